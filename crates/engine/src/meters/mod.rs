//! What the engine counts, and the Prometheus text of it. Names are vLLM's where they mean the
//! same; what only this engine knows is called `spillpoint:`.

mod page;

use crate::{
    config::Bytes,
    ledger::{Outcome, RequestTruth},
    sched::Tally,
    storage::{adapters::AdapterRead, tier::TierCounts, weights::LoadReport},
};
use clock::MonoNs;
use page::Histogram;
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What stands on the page beside the counts.
pub(crate) struct Facts<'a> {
    /// The name served.
    pub(crate) model: &'a str,
    /// The KV cache's settings, as labels.
    pub(crate) settings: &'a str,
    /// When the engine started.
    pub(crate) started: MonoNs,
    /// Memory held as ballast.
    pub(crate) ballast: Option<Bytes>,
}

/// Which adapters requests name, as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoraInUse {
    /// Most at a time in a batch.
    pub(crate) most: u32,
    /// Of requests in the batch.
    pub(crate) running: BTreeSet<String>,
    /// Of requests that wait.
    pub(crate) waiting: BTreeSet<String>,
}

/// Everything counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<Counts>);

#[derive(Clone, Debug, Default)]
struct Counts {
    tally: Tally,
    tier: Option<TierCounts>,
    lora: Option<LoraInUse>,
    steps: u64,
    lateness: Duration,
    held_up: Duration,
    loaded: Option<LoadReport>,
    paged_bytes: u64,
    paged_wait: Duration,
    adapters: AdapterRead,
    stop: u64,
    length: u64,
    abort: u64,
    first_token: Histogram,
    inter_token: Histogram,
    end_to_end: Histogram,
    queue: Histogram,
    prefill: Histogram,
    decode: Histogram,
}

impl Meters {
    /// The scheduler's state as of now.
    pub(crate) fn publish(&self, tally: Tally, tier: Option<TierCounts>, lora: Option<LoraInUse>) {
        let mut counts = self.lock();
        counts.tally = tally;
        counts.tier = tier;
        counts.lora = lora;
    }

    /// A step ended, this long after it was due.
    pub(crate) fn step(&self, late: Duration) {
        let mut counts = self.lock();
        counts.steps += 1;
        counts.lateness += late;
    }

    /// Time was anchored anew: all later steps end this much later.
    pub(crate) fn held_up(&self, span: Duration) {
        self.lock().held_up += span;
    }

    /// The weights are in memory.
    pub(crate) fn loaded(&self, report: LoadReport) {
        self.lock().loaded = Some(report);
    }

    /// A step read `bytes` of weights from the device and waited `wait` beyond computing.
    pub(crate) fn paged(&self, bytes: u64, wait: Duration) {
        let mut counts = self.lock();
        counts.paged_bytes += bytes;
        counts.paged_wait += wait;
    }

    /// An adapter was read.
    pub(crate) fn adapter_read(&self, read: AdapterRead) {
        let mut counts = self.lock();
        counts.adapters.file_bytes += read.file_bytes;
        counts.adapters.device_bytes += read.device_bytes;
        counts.adapters.took += read.took;
    }

    /// A request ended.
    pub(crate) fn finished(&self, truth: &RequestTruth) {
        let mut counts = self.lock();
        match truth.outcome {
            Outcome::Stop => counts.stop += 1,
            Outcome::Length => counts.length += 1,
            Outcome::Aborted => counts.abort += 1,
        }
        let arrival = truth.arrival_ns;
        if let Some(scheduled) = truth.scheduled_ns {
            counts.queue.add(scheduled.since(arrival));
            if let Some(prefilled) = truth.prefill_done_ns {
                counts.prefill.add(prefilled.since(scheduled));
            }
        }
        if let (Some(first), Some(last)) = (truth.token_ns.first(), truth.token_ns.last()) {
            counts.first_token.add(first.since(arrival));
            counts.decode.add(last.since(*first));
            counts.end_to_end.add(last.since(arrival));
        }
        for gap in truth.token_ns.windows(2) {
            counts.inter_token.add(gap[1].since(gap[0]));
        }
    }

    /// The exposition text.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> String {
        page::render(&self.lock().clone(), facts)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Nothing that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
