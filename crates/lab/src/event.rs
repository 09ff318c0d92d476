//! What the lab tells whoever watches.

use plan::Estimate;
use probe::Latest;
use record::{Gate, RunId, RunState, Stage, TargetFacts};
use std::{path::PathBuf, time::Duration};

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
        /// The device under test, as the kernel names it; absent if there is none.
        device: Option<String>,
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
    /// The host is being sampled, from here to the run's end: it can be looked at there.
    Sampling(Latest),
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
#[derive(Clone, Debug)]
pub struct Moment {
    /// The part of the run.
    pub stage: Stage,
    /// How much of the run's shortest time has passed, from 0 to 1.
    pub done: f64,
    /// What is left of that time; zero while the last requests end.
    pub left: Duration,
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
    /// TTFT of the requests that ended in the last 5 to 10 seconds: the median.
    pub lately_ttft_p50_ms: Option<f64>,
    /// TTFT of these: the 99th percentile.
    pub lately_ttft_p99_ms: Option<f64>,
    /// Token-bearing chunks that arrived in the last second.
    pub chunks_per_s: f64,
    /// Read from the device under test in the last second.
    pub read_mb_per_s: Option<f64>,
    /// Written to it.
    pub write_mb_per_s: Option<f64>,
    /// The run's gates as they would be judged now. One that has nothing to look at yet has no
    /// measured value.
    pub gates: Vec<Gate>,
}
