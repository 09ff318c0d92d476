//! What the machine was like, written down before it is changed.
//!
//! A line of JSON each, synced to the disk before the change is made: whatever ends this process,
//! the next one knows what to put back. The file is locked while its session lives (flock(2)), and
//! the kernel frees the lock with the process, however that ends.

use super::{
    Machine,
    change::{Change, How, Undone},
};
use crate::LabError;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The boot that it was made in: of all changes, only a file outlives it.
    pub(super) boot_id: Option<String>,
    pub(super) change: Change,
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

/// An open journal, locked.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    root: PathBuf,
    boot_id: Option<String>,
}

pub(super) const NAME: &str = "changed-settings.jsonl";

impl Journal {
    /// The machine's journal in this folder, made if there is none.
    pub(super) fn open(state: &Path, machine: &Machine) -> Result<Self, LabError> {
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
                root: machine.root.clone(),
                boot_id: machine.boot_id(),
            }),
            Err(TryLockError::WouldBlock) => Err(LabError::MachineBusy { path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The same, but only if there is one that holds something.
    pub(super) fn open_left(state: &Path, machine: &Machine) -> Result<Option<Self>, LabError> {
        let path = state.join(NAME);
        match fs::metadata(&path) {
            Ok(found) if found.len() > 0 => Self::open(state, machine).map(Some),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LabError::Journal { path, source }),
        }
    }

    /// Writes a change down. Only then may it be made.
    pub(super) fn note(&mut self, change: &Change) -> Result<(), LabError> {
        let entry = Entry {
            boot_id: self.boot_id.clone(),
            change: change.clone(),
        };
        let mut line = serde_json::to_vec(&entry).expect("an entry is strings and numbers");
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
        let stands = |entry: &&Entry| entry.boot_id == self.boot_id || entry.change.outlives_boot();
        let made = entries.iter().rev().filter(stands);
        let undone: Vec<_> = made.filter_map(|it| it.change.undo(&self.root)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(file: &str) -> String {
        let entry = Entry {
            boot_id: Some("b".into()),
            change: Change::Setting {
                file: file.into(),
                before: "60".into(),
                after: "10".into(),
            },
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
