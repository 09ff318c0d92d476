//! Why a session could not be run.

use load::{BaseUrl, PhaseError, PreflightError};
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
    /// The server that is ours to start can't be started.
    #[error("cannot start the server ({source}); its command is: {command}")]
    ServerStart {
        /// Its command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The server that we started ended before it served.
    #[error("the server ended before it served; its last words: {last_words}")]
    ServerEnded {
        /// The last line of its log.
        last_words: String,
    },
    /// The server that we started does not serve in time.
    #[error("the server does not serve after {limit:?}; its last words: {last_words}")]
    ServerNotReady {
        /// How long it had.
        limit: std::time::Duration,
        /// The last line of its log.
        last_words: String,
    },
    /// Something answers where the server is to be started.
    #[error(
        "something answers at {address} already, and would be measured in place of the server that \
         is to be started there: end it, or name it with --url, without a lifecycle"
    )]
    AddressTaken {
        /// Where.
        address: std::net::SocketAddr,
    },
    /// Another session measures this server.
    #[error("{url}: another session measures this server now; wait until it has ended")]
    TargetBusy {
        /// Which.
        url: BaseUrl,
    },
    /// The plan restarts the server, and it is not ours to restart.
    #[error(
        "the plan restarts the server, and this one is not ours to restart; name a target's file with its lifecycle (--target)"
    )]
    NotOurs,
    /// The plan brings the model's files to a state, and they are not known.
    #[error(
        "the plan evicts or reads the model's files, and they are not named; name them with \
         --model-files, or in the target's file. Without the server's lifecycle, what is then \
         measured is whether the running server reads them again"
    )]
    NoModelFiles,
    /// The plan starts the server in several configurations, and it is not ours to start.
    #[error(
        "the plan starts the server in several configurations, and this one is not ours to restart; \
         name a target's file with its lifecycle and its variants (--target). To measure it as it \
         runs, populate and replay on one configuration, take the arms out of the plan: \
         spillpoint plan show tiers > my.toml"
    )]
    NotOursToVary,
    /// The plan names a configuration of the server that the target lacks.
    #[error(
        "the plan has an arm for the server's variant {name}, and the target has no [variants.{name}] \
         ({known}): add it to the target's file, or take the arm out of the plan"
    )]
    NoVariant {
        /// The variant.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The plan asks for LoRA adapters, and there are none.
    #[error(
        "the plan asks for LoRA adapters, and none are named; name a list of them with --adapters"
    )]
    NoAdapters,
    /// A file of the model can't be read.
    #[error("{}: cannot read the model's file ({source})", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The page cache can't be looked at or changed.
    #[error(transparent)]
    Cache(#[from] probe::page_cache::CacheError),
    /// The session to be gone on with does not fit.
    #[error("{}: {why}", path.display())]
    Resume {
        /// Its folder.
        path: PathBuf,
        /// Why, and what to do.
        why: &'static str,
    },
    /// The watchdog ended a run.
    #[error("{run}: {why}. What was measured until then is kept; go on with --resume")]
    Cut {
        /// The run.
        run: record::RunId,
        /// Why.
        why: String,
    },
    /// The plan requires a preparation that can't be made.
    #[error(
        "the plan requires its preparation, and {what} can't be done: {why}; run as root, or take it \
         out of [prepare]"
    )]
    NotPrepared {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
    /// The plan has a neighbour, and there is no fio.
    #[error(
        "the plan has a neighbour on the drive, which is fio, and fio is not installed (Debian, Ubuntu: \
         apt install fio)"
    )]
    NoFio,
    /// There is no room for the neighbour's file.
    #[error(
        "{}: {free_mib} MiB are free, and the neighbour's file and what must stay free take \
         {needed_mib} MiB; make room, or name another folder with --results", path.display()
    )]
    NoRoom {
        /// The results' folder.
        path: PathBuf,
        /// Free there.
        free_mib: u64,
        /// Needed.
        needed_mib: u64,
    },
    /// The neighbour's file can't be written.
    #[error("{}: cannot write the neighbour's file ({source})", path.display())]
    NeighbourFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A session lives that has changed the machine's settings.
    #[error(
        "{}: another session has changed this machine's settings and still runs; wait until it has \
         ended", path.display()
    )]
    MachineBusy {
        /// The journal that it holds.
        path: PathBuf,
    },
    /// What the machine's settings were can't be noted or read.
    #[error("{}: cannot keep what this machine's settings were ({source})", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of the journal is not one of this version's.
    #[error(
        "{}: line {line} is no change that this version makes; set back by hand what the file says, \
         and remove it", path.display()
    )]
    JournalLine {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The plan requires a quiet machine.
    #[error(
        "the machine was not quiet within {limit:?} (CPU {cpu_pct:.0} % busy, device \
         {device_pct:.0} %); end what else runs, or allow more in [prepare] settle"
    )]
    NotQuiet {
        /// How long it had.
        limit: std::time::Duration,
        /// All CPUs together, last.
        cpu_pct: f64,
        /// The device under test, last.
        device_pct: f64,
    },
    /// A person ended it.
    #[error("interrupted")]
    Interrupted,
    /// The server ended during a run.
    #[error(
        "{run}: the server ended during the run; its last words: {last_words}. What was measured \
         until then is kept; see server.log, and go on with --resume"
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
                | LabError::TargetBusy { .. }
                | LabError::AddressTaken { .. }
                | LabError::NotOurs
                | LabError::NotOursToVary
                | LabError::NoVariant { .. }
                | LabError::NoModelFiles
                | LabError::NoAdapters
                | LabError::NoFio
                | LabError::NoRoom { .. }
                | LabError::NotPrepared { .. }
                | LabError::MachineBusy { .. }
                | LabError::Cache(_)
                | LabError::Resume { .. }
                | LabError::ServerStart { .. }
                | LabError::Load(PhaseError::TooManyConnections { .. })
        )
    }
}
