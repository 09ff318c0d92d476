//! One phase: users join, settle, are measured, and are kept asking until the measured requests
//! have ended.

mod drive;
mod flight;

pub(crate) use flight::{Failing, Flight, Shared};

use crate::{
    live::{Live, Stop},
    prompt::{Composer, LengthModel},
    target::Target,
};
use clock::SessionClock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use record::{Failure, RequestRow, RequestTokens, Stages, StampSource};
use std::{io, num::NonZeroU32, sync::mpsc, thread, time::Duration};

/// What one phase does.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Users in a closed loop.
    pub users: NonZeroU32,
    /// A user's pause between an answer and its next request.
    pub think: Duration,
    /// How long everything takes.
    pub timing: Timing,
    /// What the requests look like.
    pub workload: Workload,
    /// Words to tokens, from [`calibrate`](crate::calibrate) or the phase before.
    pub lengths: LengthModel,
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

/// What the requests look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The length of a prompt, by the server's count.
    pub prompt_tokens: u32,
    /// How many tokens a request asks for.
    pub max_tokens: u32,
    /// The sampling temperature.
    pub temperature: f64,
    /// Fixes the prompts' words.
    pub seed: u64,
    /// Makes the nonces; another for every run, or a prefix cache answers.
    pub salt: u64,
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
    /// Every user needs a connection, a connection a file.
    #[error(
        "{users} users need {needed} open files, and this process may have {allowed}; \
         raise the limit (ulimit -n {needed}) or take fewer users"
    )]
    TooManyUsers {
        /// Users asked for.
        users: u32,
        /// Files needed.
        needed: u64,
        /// The hard limit.
        allowed: u64,
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
    raise_file_limit(phase.users)?;
    let (orders, ordered) = mpsc::channel();
    let (rows, ended) = mpsc::channel();
    let shared = drive::Setup {
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
        let composer = thread::Builder::new()
            .name("compose".into())
            .spawn_scoped(scope, move || composer.run(ordered))?;
        let sockets = thread::Builder::new()
            .name("load".into())
            .spawn_scoped(scope, move || drive::drive(shared))?;
        for (row, tokens) in ended {
            sink(row, tokens);
        }
        let driven = sockets
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let lengths = composer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
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

fn raise_file_limit(users: NonZeroU32) -> Result<(), PhaseError> {
    let needed = u64::from(users.get()) + SPARE_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        return Err(PhaseError::TooManyUsers {
            users: users.get(),
            needed,
            allowed: hard,
        });
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(io::Error::from)?;
    Ok(())
}
