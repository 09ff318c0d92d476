//! A session's rows in the forms that other tools read.
//!
//! This crate owns the shapes of other tools' files, no more: it reads a session through
//! [`record`], computes nothing that a row does not say, and writes into a folder of the caller's.
//! It must not know how the rows came about, nor what the report says of them.
//!
//! A value that was not recorded is null in the export too, never 0. Times are the session's;
//! where a tool wants the wall clock, they are laid onto UTC by the session's clock pair.

mod aiperf;
mod distribution;
mod guidellm;
mod parquet;
mod vllm;

use clock::SessionNs;
use record::{RecordError, RequestRow, RequestTokens, RunId, RunManifest, Session, Telemetry};
use std::path::{Path, PathBuf};

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The tables `runs`, `requests`, `tokens` and `telemetry`, partitioned by host and date, units in
    /// the fields' metadata.
    Parquet,
    /// A folder a run with aiperf's `profile_export.jsonl`.
    Aiperf,
    /// A file a run in the shape of vLLM's `bench serve --save-detailed`.
    Vllm,
    /// `benchmarks.json`, guidellm's report: a benchmark a run.
    Guidellm,
}

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The session's files cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The export cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The Parquet writer refused.
    #[error("{}: cannot write Parquet: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: ::parquet::errors::ParquetError,
    },
}

impl ExportError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| ExportError::Io { path, source }
    }
}

/// One run's records.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) manifest: RunManifest,
    pub(crate) rows: Vec<RequestRow>,
    pub(crate) tokens: Vec<RequestTokens>,
    /// Absent where none was recorded.
    pub(crate) telemetry: Option<Telemetry>,
}

/// Writes a session's runs into `folder`, which is made if it is not there, and names the files.
/// Runs that were planned but not begun are left out.
pub fn export(
    session: &Session,
    format: Format,
    folder: &Path,
) -> Result<Vec<PathBuf>, ExportError> {
    std::fs::create_dir_all(folder).map_err(ExportError::io(folder))?;
    let mut runs = Vec::new();
    for (dir, id) in session.run_dirs().zip(&session.manifest.runs) {
        if !dir.path().is_dir() {
            continue;
        }
        let telemetry = dir.telemetry().exists();
        runs.push(Run {
            id: id.clone(),
            manifest: dir.read_manifest()?,
            rows: dir.read_requests()?.0,
            tokens: dir.read_tokens()?.0,
            telemetry: telemetry
                .then(|| dir.read_telemetry())
                .transpose()?
                .map(|it| it.0),
        });
    }
    match format {
        Format::Parquet => parquet::write(session, &runs, folder),
        Format::Aiperf => aiperf::write(session, &runs, folder),
        Format::Vllm => vllm::write(session, &runs, folder),
        Format::Guidellm => guidellm::write(session, &runs, folder),
    }
}

/// Nanoseconds since the epoch, for tools whose stamps are of the wall clock.
pub(crate) fn wall(session: &Session, t: SessionNs) -> i64 {
    let clock = &session.manifest.clock;
    let since = session.manifest.t0_mono_ns.0 as i64 - clock.mono_ns.0 as i64;
    clock.utc_ns as i64 + since + t.0
}
