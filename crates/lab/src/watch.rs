//! While a run runs: what is told of it, and what ends it early.

use crate::{
    Moment,
    gates::{Seen, common_head_tokens},
    phase,
    standing::Standing,
    target::ReadyTarget,
};
use load::{Live, Phase, Stop};
use nix::sys::statvfs::statvfs;
use plan::{CacheState, Plan};
use probe::{Latest, Roots, Sampler};
use record::{RecordError, Stage};
use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The first file that could not be written, from whichever thread.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<OnceLock<RecordError>>);

impl Trouble {
    /// Takes the outcome of a write.
    pub(crate) fn note(&self, written: Result<(), RecordError>) {
        if let Err(error) = written {
            // Only the first counts: the others follow from it.
            let _ = self.0.set(error);
        }
    }

    /// The error, once the threads that write have ended.
    pub(crate) fn check(self) -> Result<(), RecordError> {
        match Arc::into_inner(self.0).and_then(OnceLock::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Why a run is ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A person asked.
    Person,
    /// A file could not be written.
    Files,
    /// The server's process is gone.
    Server,
    /// The machine was about to suffer; in words.
    Machine(String),
    /// The neighbour did not do what the arm says; in its words.
    Neighbour(String),
}

/// Looks at a run that goes on: what is told of it, and whether there is a reason to end it.
pub(crate) struct Watch<'a> {
    pub(crate) results: &'a Path,
    pub(crate) target: &'a ReadyTarget,
    pub(crate) roots: &'a Roots,
    pub(crate) stop: &'a Stop,
    pub(crate) trouble: &'a Trouble,
    pub(crate) sampler: &'a Sampler,
    /// The host's last tick.
    pub(crate) latest: &'a Latest,
    pub(crate) plan: &'a Plan,
    /// Whether the device under test is known.
    pub(crate) device_known: bool,
    /// The declared state of the model's files, and their share in the page cache, in percent.
    pub(crate) cache: Option<(CacheState, Option<f64>)>,
}

const MIB: u64 = 1 << 20;

impl Watch<'_> {
    /// A reason, if there is one now.
    pub(crate) fn look(&self) -> Option<Cut> {
        if self.stop.is_stopped() {
            return Some(Cut::Person);
        }
        if self.trouble.0.get().is_some() {
            return Some(Cut::Files);
        }
        if self.target.is_alive(self.roots) == Some(false) {
            return Some(Cut::Server);
        }
        self.memory(self.sampler.live().mem_available_bytes)
            .or_else(|| self.room())
            .map(Cut::Machine)
    }

    /// What is told of the run at this moment.
    pub(crate) fn moment(
        &self,
        live: &Live,
        standing: &Standing,
        phase: &Phase,
        elapsed: Duration,
    ) -> Moment {
        let (load, host) = (live.snapshot(), self.sampler.live());
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        let timing = phase.timing;
        let shortest = timing.ramp + timing.warmup + timing.measure;
        let done = match phase::requests_asked(phase) {
            Some(asked) => (load.ended_ok + load.failed) as f64 / asked.max(1) as f64,
            None => elapsed.as_secs_f64() / shortest.as_secs_f64(),
        };
        let ticks = self.latest.seen();
        let ticks = ticks.map(|seen| (seen.row.tick + 1, seen.ticks_taken));
        let (ticks_due, ticks_taken) = ticks.unwrap_or_default();
        let beside = Seen {
            ticks_due,
            ticks_taken,
            same_server: self.target.is_alive(self.roots),
            cache: self.cache,
            device_known: self.device_known,
            common_head_tokens: common_head_tokens(self.target.load.api),
            ..Seen::default()
        };
        Moment {
            stage: load.stage.unwrap_or(Stage::Ramp),
            done: done.min(1.0),
            left: shortest.saturating_sub(elapsed),
            ok: load.ended_ok,
            failed: load.failed,
            in_flight: load.in_flight,
            ttft_p50_ms: load.ttft_p50.map(ms),
            ttft_p99_ms: load.ttft_p99.map(ms),
            lately_ttft_p50_ms: load.lately_ttft_p50.map(ms),
            lately_ttft_p99_ms: load.lately_ttft_p99.map(ms),
            chunks_per_s: load.chunks_per_s,
            read_mb_per_s: host.device_read_mb_s,
            write_mb_per_s: host.device_write_mb_s,
            gates: standing.gates(self.plan, beside),
        }
    }

    fn memory(&self, available: Option<u64>) -> Option<String> {
        let (mib, least) = (available? / MIB, self.plan.watchdog.mem_available_mib_min);
        (mib < least)
            .then(|| format!("MemAvailable fell to {mib} MiB, below the watchdog's {least} MiB"))
    }

    fn room(&self) -> Option<String> {
        let found = statvfs(self.results).ok()?;
        let free = found
            .blocks_available()
            .checked_mul(found.fragment_size())?;
        let (mib, least) = (free / MIB, self.plan.watchdog.results_free_mib_min);
        (mib < least).then(|| {
            format!("{mib} MiB are free for the results, below the watchdog's {least} MiB")
        })
    }
}
