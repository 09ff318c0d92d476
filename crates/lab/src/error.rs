//! Why a session could not be run.

use load::{PhaseError, PreflightError, UrlError};
use record::RecordError;
use std::{io, path::PathBuf};

/// Why a session could not be run, or not to its end. What was measured until then is kept.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The server can't be measured. Nothing was started.
    #[error(transparent)]
    Target(#[from] PreflightError),
    /// The results can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The load generator can't start.
    #[error(transparent)]
    Load(#[from] PhaseError),
    /// The sampler can't start.
    #[error(transparent)]
    Sampler(#[from] probe::StartError),
    /// The folder for the results is no place for them.
    #[error("{}: no place for results ({source}); name another with --results", path.display())]
    Results {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path on the device under test isn't there.
    #[error("{}: the path on the device under test isn't there ({source})", path.display())]
    Storage {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The embedded engine can't be started.
    #[error("cannot start the embedded engine, {} ({source})", program.display())]
    EngineStart {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The embedded engine did not come up.
    #[error("the embedded engine did not come up within {limit_s} s; its last words: {last_words}")]
    EngineNotReady {
        /// How long it had.
        limit_s: u64,
        /// The last line of its log.
        last_words: String,
    },
    /// The embedded engine says that it listens nowhere.
    #[error("the embedded engine names no address to reach it at: {0}")]
    EngineUrl(#[from] UrlError),
    /// The server ended during a run.
    #[error(
        "{run}: the server ended during the run; its last words: {last_words}. What was measured \
         until then is kept"
    )]
    ServerDied {
        /// The run.
        run: record::RunId,
        /// What it said last, where that is known.
        last_words: String,
    },
}

impl LabError {
    /// Whether something that the person named is wrong, rather than that the work failed.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            LabError::Target(_)
                | LabError::Results { .. }
                | LabError::Storage { .. }
                | LabError::Load(PhaseError::TooManyConnections { .. })
        )
    }
}
