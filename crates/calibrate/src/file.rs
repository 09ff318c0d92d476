//! Where a calibration is kept.

use crate::{Calibration, FileError, calibration::FORMAT};
use record::write_whole;
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Where a calibration lies unless told otherwise: it belongs to this machine and user.
pub fn default_file() -> Result<PathBuf, FileError> {
    state_file(env::var_os("XDG_STATE_HOME"), env::var_os("HOME")).ok_or(FileError::NoHome)
}

/// The XDG base directory specification ignores paths that are not absolute.
fn state_file(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|it| it.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("spillpoint/calibration.json"))
}

impl Calibration {
    /// Reads a calibration.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read(path).map_err(io_error("read", path))?;
        let json = |source| FileError::Json {
            path: path.to_owned(),
            source,
        };
        // The version is looked at first: another version's fields are not this one's faults.
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(json)?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(FORMAT) => Err(FileError::Version {
                path: path.to_owned(),
                found,
                wanted: FORMAT,
            }),
            _ => serde_json::from_value(value).map_err(json),
        }
    }

    /// Writes it, and makes its folder; a file that is there is replaced whole.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
        }
        let json = |source| FileError::Json {
            path: path.to_owned(),
            source,
        };
        let mut text = serde_json::to_vec_pretty(self).map_err(json)?;
        text.push(b'\n');
        Ok(write_whole(path, &text)?)
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::tests::{calibration, level};

    #[test]
    fn the_file_lies_where_the_specification_says() {
        let file = |state: Option<&str>, home: Option<&str>| {
            state_file(state.map(Into::into), home.map(Into::into))
        };
        let found = file(Some("/state"), Some("/home/me"));
        assert_eq!(found, Some("/state/spillpoint/calibration.json".into()));
        for relative in [None, Some(""), Some("state")] {
            let found = file(relative, Some("/home/me"));
            let wanted = "/home/me/.local/state/spillpoint/calibration.json";
            assert_eq!(found, Some(wanted.into()));
        }
        assert_eq!(file(None, None), None);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/calibration.json");
        let written = calibration(vec![level(16, Some(10.5)), level(64, None)]);
        written.write(&path).unwrap();
        written.write(&path).unwrap();
        assert_eq!(Calibration::read(&path).unwrap(), written);
    }

    #[test]
    fn what_is_no_calibration_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.json");
        let refused = |wanted: &str| {
            let error = Calibration::read(&path).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(error.contains("run `spillpoint calibrate`"), "{error}");
        };
        refused("can't read");
        for (text, wanted) in [
            ("{", "not a calibration: EOF"),
            ("{\"format\": 1}", "missing field"),
            ("{\"format\": 2}", "made in format 2, this version reads 1"),
        ] {
            fs::write(&path, text).unwrap();
            refused(wanted);
        }
    }
}
