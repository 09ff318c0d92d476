//! Why nothing was imported.

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
    #[error("{}: no run here that can be imported ({refused} refused); name the harness's results folder, which holds *_manifest.json", path.display())]
    NoRuns {
        /// The folder.
        path: PathBuf,
        /// How many were there and refused.
        refused: usize,
    },
    /// The session cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}
