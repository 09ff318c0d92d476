//! What the machine's settings were, written down before they are changed.
//!
//! A line of JSON each, synced to the disk before the change is made: whatever ends this process,
//! the next one knows what to put back. The file is locked while its session lives (flock(2)), and
//! the kernel frees the lock with the process, however that ends.

use super::setting::current;
use crate::LabError;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The boot that it was made in: a setting does not outlive it.
    pub(super) boot_id: Option<String>,
    pub(super) file: PathBuf,
    pub(super) before: String,
    pub(super) after: String,
}

/// The entries of a journal; Err: the line, from 1, that is none. A last line that was cut short by
/// a kill is left out: its change was not made yet.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, usize> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate();
    lines
        .map(|(index, line)| serde_json::from_str(line).map_err(|_| index + 1))
        .collect()
}

/// A setting that was to be put back.
#[derive(Debug)]
pub struct Undone {
    /// Its file.
    pub file: PathBuf,
    /// What it was before.
    pub before: String,
    /// What came of it.
    pub how: How,
}

/// What came of putting a setting back.
#[derive(Debug)]
pub enum How {
    /// It is as it was.
    Restored,
    /// Someone else has set it to this since; it was left so.
    ChangedSince(String),
    /// It could not be read or written.
    Failed(io::Error),
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, before) = (self.file.display(), &self.before);
        match &self.how {
            How::Restored => write!(f, "{file} is {before} again"),
            How::ChangedSince(now) => write!(
                f,
                "{file} was {before} before, and is {now}, as someone else has set it since: left so"
            ),
            How::Failed(error) => write!(
                f,
                "{file} could not be set back to {before} ({error}); run `spillpoint restore` as \
                 who changed it, or set it by hand"
            ),
        }
    }
}

/// An open journal, locked.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    boot_id: Option<String>,
}

const NAME: &str = "changed-settings.jsonl";

impl Journal {
    /// The journal in this folder, made if there is none.
    pub(super) fn open(state: &Path, boot_id: Option<String>) -> Result<Self, LabError> {
        let path = state.join(NAME);
        let failed = |source| LabError::Journal {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(state).map_err(failed)?;
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path,
                file,
                boot_id,
            }),
            Err(TryLockError::WouldBlock) => Err(LabError::MachineBusy { path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The same, but only if there is one that holds something.
    pub(super) fn open_left(
        state: &Path,
        boot_id: Option<String>,
    ) -> Result<Option<Self>, LabError> {
        match fs::metadata(state.join(NAME)) {
            Ok(found) if found.len() > 0 => Self::open(state, boot_id).map(Some),
            _ => Ok(None),
        }
    }

    /// Writes a change down. Only then may it be made.
    pub(super) fn note(&mut self, file: &Path, before: &str, after: &str) -> Result<(), LabError> {
        let entry = Entry {
            boot_id: self.boot_id.clone(),
            file: file.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let mut line = serde_json::to_vec(&entry).expect("an entry is strings");
        line.push(b'\n');
        let written = self.file.write_all(&line);
        written
            .and_then(|()| self.file.sync_all())
            .map_err(|source| self.failed(source))
    }

    /// Puts everything back, the last change first, and empties the journal if that worked.
    pub(super) fn undo(&mut self) -> Result<Vec<Undone>, LabError> {
        let text = fs::read_to_string(&self.path).map_err(|source| self.failed(source))?;
        let entries = parse(&text).map_err(|line| LabError::JournalLine {
            path: self.path.clone(),
            line,
        })?;
        let this_boot = |entry: &&Entry| entry.boot_id == self.boot_id;
        let made = entries.iter().rev().filter(this_boot);
        let undone: Vec<_> = made.filter_map(put_back).collect();
        if !undone.iter().any(|it| matches!(it.how, How::Failed(_))) {
            let emptied = self.file.set_len(0).and_then(|()| self.file.sync_all());
            emptied.map_err(|source| self.failed(source))?;
        }
        Ok(undone)
    }

    fn failed(&self, source: io::Error) -> LabError {
        LabError::Journal {
            path: self.path.clone(),
            source,
        }
    }
}

/// None where the change was never made, or is undone.
fn put_back(entry: &Entry) -> Option<Undone> {
    let how = match read(&entry.file) {
        Ok(now) if now == entry.before => return None,
        Ok(now) if now != entry.after => How::ChangedSince(now),
        Ok(_) => write(&entry.file, &entry.before).map_or_else(How::Failed, |()| How::Restored),
        Err(error) => How::Failed(error),
    };
    Some(Undone {
        file: entry.file.clone(),
        before: entry.before.clone(),
        how,
    })
}

/// A setting's value.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.read_to_string(&mut text)?;
    Ok(current(&text).to_owned())
}

/// Sets it. Never makes a file.
pub(super) fn write(file: &Path, value: &str) -> io::Result<()> {
    let mut file = File::options().write(true).truncate(true).open(file)?;
    file.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str) -> String {
        let entry = Entry {
            boot_id: Some("b".into()),
            file: file.into(),
            before: "60".into(),
            after: "10".into(),
        };
        serde_json::to_string(&entry).unwrap() + "\n"
    }

    #[test]
    fn a_journal_reads_back_whatever_byte_it_was_cut_at() {
        let (first, second) = (line("/a"), line("/b"));
        let text = format!("{first}{second}");
        for cut in 0..=text.len() {
            let whole = usize::from(cut >= first.len()) + usize::from(cut >= text.len());
            assert_eq!(parse(&text[..cut]).unwrap().len(), whole, "{cut}");
        }
    }

    #[test]
    fn a_line_that_is_no_change_is_told() {
        assert_eq!(parse(&format!("{}x\n", line("/a"))), Err(2));
    }
}
