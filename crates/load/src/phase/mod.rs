//! One phase: load comes up, settles, is measured, and is kept up until the measured requests have
//! ended.

mod drive;
mod flight;
mod open;

pub(crate) use drive::sleep_until;
pub(crate) use flight::{Answer, Failing, Flight, Shared};

use crate::{
    arrivals::{Arrivals, OpenLoop},
    dialect::Api,
    live::{Live, Stop},
    prompt::{Composer, LengthModel},
    target::Target,
    workload::{LoraDialect, Workload},
};
use clock::SessionClock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use record::{Failure, RequestRow, RequestTokens, Stages, StampSource};
use std::{io, num::NonZeroU32, panic::resume_unwind, sync::mpsc, thread, time::Duration};

/// What one phase does. Made by [`Phase::closed`] or [`Phase::open`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Phase {
    /// Who decides when a request is sent.
    pub arrivals: Arrivals,
    /// How long everything takes.
    pub timing: Timing,
    /// What the requests look like.
    pub workload: Workload,
    /// Words to tokens, from [`calibrate`](crate::calibrate) or the phase before.
    pub lengths: LengthModel,
    /// Each user of a closed loop asks so often and no more; with the last answer the measured
    /// interval ends, if its time is not over before. Absent: users ask as long as the phase lasts.
    pub each: Option<NonZeroU32>,
}

impl Phase {
    /// A closed loop: each user waits for its answer, thinks, and asks again.
    pub fn closed(
        users: NonZeroU32,
        think: Duration,
        timing: Timing,
        workload: Workload,
        lengths: LengthModel,
    ) -> Self {
        Self {
            arrivals: Arrivals::Closed { users, think },
            timing,
            workload,
            lengths,
            each: None,
        }
    }

    /// An open loop: requests come by the clock.
    pub fn open(
        arrivals: OpenLoop,
        timing: Timing,
        workload: Workload,
        lengths: LengthModel,
    ) -> Self {
        Self {
            arrivals: Arrivals::Open(arrivals),
            timing,
            workload,
            lengths,
            each: None,
        }
    }

    /// Connections that it needs at once; None if there is no telling.
    fn connections(&self) -> Option<NonZeroU32> {
        match &self.arrivals {
            Arrivals::Closed { users, .. } => Some(*users),
            Arrivals::Open(open) => open.max_in_flight,
        }
    }
}

/// How long the parts of a phase take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Users join evenly over this time.
    pub ramp: Duration,
    /// All are there; nothing counts yet.
    pub warmup: Duration,
    /// The measured interval.
    pub measure: Duration,
    /// How long the measured requests may take to end after it.
    pub drain_limit: Duration,
    /// From sending a request to its proper end.
    pub request_deadline: Duration,
}

/// How a phase went.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseReport {
    /// The parts of the phase as they were.
    pub stages: Stages,
    /// Whose clock stamped: user space's if it stamped anything.
    pub clock: StampSource,
    /// The length model as corrected by the responses.
    pub lengths: LengthModel,
    /// Requests that were sent again because their idle connection had died.
    pub resent: u64,
    /// The failures: the first of each kind, and how many there were of it.
    pub failures: Vec<FailureNote>,
    /// CPU time of the thread that does all socket work.
    pub cpu: Duration,
    /// It was stopped before its time.
    pub stopped: bool,
}

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureNote {
    /// What it counts as.
    pub failure: Failure,
    /// The server's or the system's words, of the first one.
    pub words: String,
    /// How many there were.
    pub count: u64,
}

/// Why a phase could not be run.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// Every connection needs a file.
    #[error(
        "{connections} connections need {needed} open files, and this process may have {allowed}; \
         raise the limit (ulimit -n {needed}) or take fewer users"
    )]
    TooManyConnections {
        /// Connections that may be needed.
        connections: u32,
        /// Files needed.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// The adapters are for servers of another kind.
    #[error(
        "the adapters are named as {dialect:?} takes them, but the {api} API is spoken; \
         name the LoRA dialect of this server"
    )]
    WrongLora {
        /// How they are named.
        dialect: LoraDialect,
        /// What is spoken.
        api: Api,
    },
    /// No thread or no event queue could be had.
    #[error(
        "can't start the load generator: {0}; free some memory, threads or files and run again"
    )]
    Start(#[from] io::Error),
}

/// Runs a phase and blocks until it is over.
///
/// Every request becomes a row, also one that failed or that was still running at the end. `sink` is
/// called with each on this thread, as it ends. Not to be called from within an async runtime.
pub fn run(
    target: &Target,
    phase: &Phase,
    clock: SessionClock,
    live: &Live,
    stop: &Stop,
    mut sink: impl FnMut(RequestRow, RequestTokens),
) -> Result<PhaseReport, PhaseError> {
    check_lora(target, phase)?;
    raise_file_limit(phase.connections())?;
    let (orders, ordered) = mpsc::channel();
    let (rows, ended) = mpsc::channel();
    let setup = drive::Setup {
        target: target.clone(),
        phase: phase.clone(),
        clock,
        live: live.clone(),
        stop: stop.clone(),
        orders,
        rows,
    };
    let composer = Composer {
        target,
        workload: &phase.workload,
        lengths: phase.lengths,
    };
    thread::scope(|scope| {
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        let composer = thread("compose").spawn_scoped(scope, move || composer.run(ordered))?;
        let sockets = thread("load").spawn_scoped(scope, move || drive::drive(setup))?;
        for (row, tokens) in ended {
            sink(row, tokens);
        }
        let driven = sockets
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))?;
        let lengths = composer.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(PhaseReport {
            stages: driven.stages,
            clock: driven.tally.clock(),
            lengths,
            resent: driven.tally.resent,
            failures: driven.tally.failures,
            cpu: driven.cpu,
            stopped: driven.stopped,
        })
    })
}

/// Files that the process needs besides the connections.
const SPARE_FILES: u64 = 128;

fn check_lora(target: &Target, phase: &Phase) -> Result<(), PhaseError> {
    let (api, adapters) = (target.api, phase.workload.adapters.as_ref());
    match adapters.map(crate::workload::Adapters::dialect) {
        Some(dialect) if (dialect == LoraDialect::Triton) != (api == Api::Triton) => {
            Err(PhaseError::WrongLora { dialect, api })
        }
        _ => Ok(()),
    }
}

/// Raises the soft limit as far as is needed, or, where there is no telling, as far as it goes.
fn raise_file_limit(connections: Option<NonZeroU32>) -> Result<(), PhaseError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    let connections = connections.map_or(0, NonZeroU32::get);
    let needed = u64::from(connections) + SPARE_FILES;
    if hard < needed {
        return Err(PhaseError::TooManyConnections {
            connections,
            needed,
            allowed: hard,
        });
    }
    if soft < needed || connections == 0 {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io::Error::from)?;
    }
    Ok(())
}
