//! What a session that was cut short left.

use crate::{RecordError, RunDir, RunState};
use std::{fs, path::PathBuf};

impl RunDir {
    /// Whether the run was measured to its end and sealed.
    pub fn is_complete(&self) -> bool {
        let manifest = self.read_manifest();
        manifest.is_ok_and(|manifest| manifest.state == RunState::Complete)
    }

    /// Moves what is there of a run that was cut short out of the way, and keeps it as evidence:
    /// `h2-u008-r1.cut-1`. None where nothing is there.
    pub fn set_aside(&self) -> Result<Option<PathBuf>, RecordError> {
        let path = self.path();
        if !path.exists() {
            return Ok(None);
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".cut-");
        let free = (1_u32..).find_map(|number| {
            let mut name = name.clone();
            name.push(number.to_string());
            let place = PathBuf::from(name);
            (!place.exists()).then_some(place)
        });
        let place = free.unwrap_or_else(|| PathBuf::from(name));
        fs::rename(path, &place).map_err(RecordError::io(path, "set the run aside"))?;
        Ok(Some(place))
    }
}

#[cfg(test)]
mod tests {
    use crate::{RunId, SessionDir};
    use std::fs;

    #[test]
    fn what_was_cut_is_kept_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = SessionDir::new(folder.path()).run(&RunId::new("h2", 8, 1));
        assert_eq!(run.set_aside().unwrap(), None);
        for number in 1..3 {
            fs::create_dir_all(run.path()).unwrap();
            let place = run.set_aside().unwrap().unwrap();
            assert!(place.ends_with(format!("h2-u008-r1.cut-{number}")));
            assert!(place.is_dir() && !run.path().exists());
        }
        assert!(!run.is_complete());
    }
}
