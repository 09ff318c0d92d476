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
use record::{
    RecordError, RequestRow, RequestTokens, RunDir, RunId, RunManifest, Session, Telemetry,
};
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

/// What was written, and what was not.
#[derive(Debug)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What is missing in them, in words: runs that were not begun, that cannot be read, or not to
    /// their end.
    pub notes: Vec<String>,
}

/// Writes a session's runs into `folder`, which is made if it is not there. A run that cannot be read
/// is left out, and named.
pub fn export(session: &Session, format: Format, folder: &Path) -> Result<Exported, ExportError> {
    std::fs::create_dir_all(folder).map_err(ExportError::io(folder))?;
    let (mut runs, mut notes) = (Vec::new(), Vec::new());
    for (dir, id) in session.run_dirs().zip(&session.manifest.runs) {
        if !dir.path().is_dir() {
            notes.push(format!("{id}: was planned but not run"));
            continue;
        }
        match Run::read(id, &dir, &mut notes) {
            Ok(run) => runs.push(run),
            Err(error) => notes.push(format!("{id}: left out: {error}")),
        }
    }
    let files = match format {
        Format::Parquet => parquet::write(session, &runs, folder),
        Format::Aiperf => aiperf::write(session, &runs, folder),
        Format::Vllm => vllm::write(session, &runs, folder),
        Format::Guidellm => guidellm::write(session, &runs, folder),
    }?;
    Ok(Exported { files, notes })
}

impl Run {
    /// Telemetry is what a run can do without.
    fn read(id: &RunId, dir: &RunDir, notes: &mut Vec<String>) -> Result<Self, RecordError> {
        let manifest = dir.read_manifest()?;
        let (rows, torn_rows) = dir.read_requests()?;
        let (tokens, torn_tokens) = dir.read_tokens()?;
        let (telemetry, torn_telemetry) = match dir.read_telemetry() {
            Ok((telemetry, torn)) => (Some(telemetry), torn),
            Err(error) => {
                notes.push(format!("{id}: without telemetry: {error}"));
                (None, None)
            }
        };
        let torn = [torn_rows, torn_tokens, torn_telemetry];
        let torn = torn.into_iter().flatten();
        notes.extend(torn.map(|torn| format!("{id}: {torn}")));
        Ok(Self {
            id: id.clone(),
            manifest,
            rows,
            tokens,
            telemetry,
        })
    }
}

/// Nanoseconds since the epoch, for tools whose stamps are of the wall clock.
pub(crate) fn wall(session: &Session, t: SessionNs) -> i64 {
    let clock = &session.manifest.clock;
    let since = session.manifest.t0_mono_ns.0 as i64 - clock.mono_ns.0 as i64;
    clock.utc_ns as i64 + since + t.0
}
