//! Why nothing was imported.

use crate::Note;
use record::RecordError;
use std::path::PathBuf;

/// Nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The folder cannot be read.
    #[error("{}: cannot read: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is no run in it.
    #[error("{}: no run here that can be imported{}; name the harness's results folder, which holds *_manifest.json", path.display(), refusals(refused))]
    NoRuns {
        /// The folder.
        path: PathBuf,
        /// What was there, and why it was refused.
        refused: Vec<Note>,
    },
    /// The session cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

fn refusals(refused: &[Note]) -> String {
    let refused = refused.iter().map(|note| format!("; {note}"));
    refused.collect()
}
