//! What the lab tells whoever watches.

use plan::Estimate;
use record::{Gate, RunId, RunState, Stage, TargetFacts};
use std::path::PathBuf;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// How long it will take. Comes before anything starts.
    Estimated(Estimate),
    /// The target answers, everything is checked, and the session's folder is made.
    Began {
        /// The session's folder.
        session: PathBuf,
        /// The server.
        target: TargetFacts,
        /// How many runs there will be.
        runs: usize,
    },
    /// A run begins.
    RunBegan {
        /// The run.
        run: RunId,
        /// Its place in the schedule, from 1.
        number: usize,
        /// Concurrent users.
        users: u32,
    },
    /// A run goes on. Comes a few times a second.
    Progress(Moment),
    /// A run has ended and is sealed.
    RunEnded {
        /// The run.
        run: RunId,
        /// How it ended.
        state: RunState,
        /// Its gates.
        gates: Vec<Gate>,
    },
    /// Something that does not stop the session but that its owner should know.
    Warning(String),
}

/// A run at one moment, for people; its figures come from the files.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The part of the run.
    pub stage: Stage,
    /// How much of the run's shortest time has passed, from 0 to 1.
    pub done: f64,
    /// Requests that ended well so far.
    pub ok: u64,
    /// Requests that failed so far.
    pub failed: u64,
    /// Requests that are running.
    pub in_flight: u64,
    /// TTFT of the run's requests so far: the median.
    pub ttft_p50_ms: Option<f64>,
    /// TTFT of the run's requests so far: the 99th percentile.
    pub ttft_p99_ms: Option<f64>,
    /// Token-bearing chunks that arrived in the last second.
    pub chunks_per_s: f64,
    /// Read from the device under test in the last second.
    pub read_mb_per_s: Option<f64>,
    /// Written to it.
    pub write_mb_per_s: Option<f64>,
}
