//! What can go wrong, and what to do.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why nothing was calibrated.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The truth server's program can't be started.
    #[error("can't start {}: {source}; see that the program is still where it was", program.display())]
    Start {
        /// Which.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It started and did not listen.
    #[error(
        "{} did not say within {limit_s} s where it listens (it said: {said:?}); \
         its own messages say why",
        program.display()
    )]
    NotReady {
        /// Which.
        program: PathBuf,
        /// How long it was waited for.
        limit_s: u64,
        /// Its first line, if there was one.
        said: String,
    },
    /// It gave no record of what it did.
    #[error("can't fetch the truth from {address}: {source}; run it again with less load")]
    Fetch {
        /// Where it listens.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The truth server could not serve.
    #[error(transparent)]
    Serve(#[from] engine::truth::TruthError),
    /// The line that says where it listens could not be written.
    #[error("can't write where the truth server listens: {0}")]
    Announce(#[source] io::Error),
    /// The server can't be talked to.
    #[error(transparent)]
    Preflight(#[from] load::PreflightError),
    /// A phase could not be run.
    #[error(transparent)]
    Phase(#[from] load::PhaseError),
    /// The sampler could not be started.
    #[error(transparent)]
    Sampler(#[from] probe::StartError),
    /// It was stopped before its end.
    #[error("the calibration was stopped; nothing was kept, run it again")]
    Stopped,
}

/// Why a calibration can't be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading, or making the folder, failed.
    #[error("can't {what} {}: {source}; run `spillpoint calibrate` to make one", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is no calibration.
    #[error("{}: not a calibration: {source}; run `spillpoint calibrate` to make it anew", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is another version's.
    #[error(
        "{}: made in format {found}, this version reads {wanted}; \
         run `spillpoint calibrate` to make it anew",
        path.display()
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        wanted: u32,
    },
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] record::RecordError),
    /// There is no place for it.
    #[error("neither XDG_STATE_HOME nor HOME is an absolute path; set one, or name a file")]
    NoHome,
}
