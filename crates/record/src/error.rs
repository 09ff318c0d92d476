//! What can go wrong with a session's files.

use std::path::{Path, PathBuf};

/// A file that could not be written, read or understood.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, to follow "cannot".
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The folder holds no session.
    #[error("{}: no session here: it has no session.json; name a folder that `spillpoint run` made", path.display())]
    NoSession {
        /// The folder.
        path: PathBuf,
    },
    /// A file of another format version.
    #[error("{}: format {found}, but this version of Spillpoint reads format {expected}; use the version that wrote it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it claims.
        found: u64,
        /// The version that is understood.
        expected: u32,
    },
    /// A CSV file whose header is not this version's.
    #[error("{}:1:{column}: header field {found:?} where {expected} was expected; the file is damaged or not Spillpoint's", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The field's number, from 1.
        column: usize,
        /// The field that is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A value that cannot be understood.
    #[error("{}:{line}:{column}: {name} is {value:?}, which is not {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The field's number in the line, from 1.
        column: usize,
        /// The column's name.
        name: String,
        /// The text that is there.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A row with too few or too many fields.
    #[error("{}:{line}:{found}: the row has {found} fields, the header {expected}", path.display())]
    Width {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The row's fields.
        found: usize,
        /// The header's fields.
        expected: usize,
    },
    /// A JSON file that cannot be understood.
    #[error("{}:{}:{}: {source}", path.display(), source.line(), source.column())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A binary file that is damaged before its tail.
    #[error("{}: byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
}

impl RecordError {
    pub(crate) fn io(
        path: &Path,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> RecordError {
        let path = path.to_owned();
        move |source| RecordError::Io {
            path,
            action,
            source,
        }
    }
}
