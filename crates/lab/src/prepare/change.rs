//! A change of the machine, and how it is undone.

use super::{setting, swap, timers};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A change, as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Change {
    /// A file of the kernel's got another value.
    Setting {
        file: PathBuf,
        before: String,
        after: String,
    },
    /// A timer of systemd's was stopped.
    Timer { unit: String },
    /// A swap was switched off.
    Swap { device: PathBuf, priority: i32 },
    /// A file of our own was written.
    OwnFile { file: PathBuf },
}

/// Something that was to be put back.
#[derive(Debug)]
pub struct Undone {
    /// What: a file, a timer, a swap.
    pub what: String,
    /// What it was before.
    pub before: String,
    /// What came of it.
    pub how: How,
}

/// What came of putting it back.
#[derive(Debug)]
pub enum How {
    /// It is as it was.
    Restored,
    /// Someone else has set it to this since; it was left so.
    ChangedSince(String),
    /// It could not be looked at or put back.
    Failed(io::Error),
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, before) = (&self.what, &self.before);
        match &self.how {
            How::Restored => write!(f, "{what} is {before} again"),
            How::ChangedSince(now) => write!(
                f,
                "{what} was {before} before, and is {now}, as someone else has set it since: left so"
            ),
            How::Failed(error) => write!(
                f,
                "{what} could not be set back to {before} ({error}); run `spillpoint restore` as \
                 who changed it, or set it by hand"
            ),
        }
    }
}

impl Change {
    /// Whether it outlives the boot that it was made in.
    pub(super) fn outlives_boot(&self) -> bool {
        match self {
            Change::OwnFile { .. } => true,
            Change::Setting { .. } | Change::Timer { .. } | Change::Swap { .. } => false,
        }
    }

    /// Puts it back, on the machine below `root`. None where it was never made, or is undone.
    pub(super) fn undo(&self, root: &Path) -> Option<Undone> {
        let (what, before, how) = match self {
            Change::Setting {
                file,
                before,
                after,
            } => (
                file.display().to_string(),
                before.clone(),
                undo_setting(file, before, after)?,
            ),
            Change::Timer { unit } => (
                unit.clone(),
                "active".to_owned(),
                unless_it_is(timers::is_active(unit), || timers::start(unit))?,
            ),
            Change::Swap { device, priority } => (
                format!("swap on {}", device.display()),
                format!("on (priority {priority})"),
                unless_it_is(swap::is_on(root, device), || {
                    swap::switch_on(device, *priority)
                })?,
            ),
            Change::OwnFile { file } => (
                file.display().to_string(),
                "absent".to_owned(),
                unless_it_is(fs::exists(file).map(|it| !it), || fs::remove_file(file))?,
            ),
        };
        Some(Undone { what, before, how })
    }
}

/// None where it is as it was.
fn unless_it_is(
    as_it_was: io::Result<bool>,
    put_back: impl FnOnce() -> io::Result<()>,
) -> Option<How> {
    match as_it_was {
        Ok(true) => None,
        Ok(false) => Some(put_back().map_or_else(How::Failed, |()| How::Restored)),
        Err(error) => Some(How::Failed(error)),
    }
}

fn undo_setting(file: &Path, before: &str, after: &str) -> Option<How> {
    Some(match read(file) {
        Ok(now) if now == before => return None,
        Ok(now) if now != after => How::ChangedSince(now),
        Ok(_) => write(file, before).map_or_else(How::Failed, |()| How::Restored),
        Err(error) => How::Failed(error),
    })
}

/// A setting's value.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.read_to_string(&mut text)?;
    Ok(setting::current(&text).to_owned())
}

/// Sets it. Never makes a file.
pub(super) fn write(file: &Path, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(file)?;
    file.write_all(value.as_bytes())
}

/// Runs a program of the system's to its end. Err: its words, or why it can't be started.
pub(super) fn run(words: &[&str]) -> io::Result<String> {
    let owned: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let program = words.first().copied().unwrap_or_default();
    let ran = crate::server::command(&owned)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
        })?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let complained = String::from_utf8_lossy(&ran.stderr);
    let line = complained.lines().map(str::trim).find(|it| !it.is_empty());
    let words = line.map_or_else(
        || format!("{program} ended with {}", ran.status),
        str::to_owned,
    );
    Err(io::Error::other(words))
}
