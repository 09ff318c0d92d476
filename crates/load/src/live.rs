//! What a progress bar shows while a phase runs, and the way to stop it.

use clock::MonoNs;
use hdrhistogram::Histogram;
use record::{Outcome, RequestRow, Stage};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Numbers of a running phase, for any thread to look at. Clones share them.
#[derive(Clone, Default)]
pub struct Live(Arc<Counters>);

#[derive(Default)]
struct Counters {
    /// 0, or a stage's place in [`STAGES`] plus one.
    stage: AtomicU8,
    in_flight: AtomicU64,
    ended_ok: AtomicU64,
    failed: AtomicU64,
    chunks: AtomicU64,
    ttft: Mutex<Option<Ttfts>>,
    /// When the last snapshot was taken, and the chunks until then.
    last: Mutex<Option<(MonoNs, u64)>>,
}

const STAGES: [Stage; 4] = [Stage::Ramp, Stage::Warmup, Stage::Measure, Stage::Drain];
const LONGEST_US: u64 = 24 * 60 * 60 * 1_000_000;
/// The lately ended are those of the last one to two of these.
const LATELY: Duration = Duration::from_secs(5);

/// Times to the first token, in microseconds.
struct Ttfts {
    all: Histogram<u64>,
    /// Two windows that overlap: the older one is looked at, and begins anew when it is two spans
    /// long. So a look needs no sum, and the one who records writes one more number.
    lately: [Histogram<u64>; 2],
    turned: MonoNs,
}

impl Ttfts {
    fn new() -> Option<Self> {
        let empty = Histogram::new_with_bounds(1, LONGEST_US, 2).ok()?;
        Some(Self {
            all: empty.clone(),
            lately: [empty.clone(), empty],
            turned: MonoNs::now(),
        })
    }

    fn record(&mut self, us: u64) {
        self.all.saturating_record(us);
        for window in &mut self.lately {
            window.saturating_record(us);
        }
    }

    fn turn(&mut self, now: MonoNs) {
        if now.since(self.turned) >= LATELY {
            self.turned = now;
            self.lately.swap(0, 1);
            self.lately[1].reset();
        }
    }
}

fn quantile(histogram: &Histogram<u64>, q: f64) -> Option<Duration> {
    (!histogram.is_empty()).then(|| Duration::from_micros(histogram.value_at_quantile(q)))
}

/// The numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LiveSnapshot {
    /// The part of the phase; None before it starts.
    pub stage: Option<Stage>,
    /// Requests that were sent and have not ended.
    pub in_flight: u64,
    /// Requests that ended well.
    pub ended_ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Token-bearing chunks so far.
    pub chunks: u64,
    /// Chunks a second since the snapshot before; close to tokens a second.
    pub chunks_per_s: f64,
    /// Median time to the first token, of all requests that ended well so far.
    pub ttft_p50: Option<Duration>,
    /// Its 99th percentile.
    pub ttft_p99: Option<Duration>,
    /// The median of those that ended well in the last 5 to 10 seconds.
    pub lately_ttft_p50: Option<Duration>,
    /// Their 99th percentile.
    pub lately_ttft_p99: Option<Duration>,
}

impl Live {
    /// The numbers now.
    pub fn snapshot(&self) -> LiveSnapshot {
        let Counters {
            stage,
            in_flight,
            ended_ok,
            failed,
            chunks,
            ..
        } = &*self.0;
        let chunks = chunks.load(Relaxed);
        let mut ttft = lock(&self.0.ttft);
        if let Some(ttft) = &mut *ttft {
            ttft.turn(MonoNs::now());
        }
        let ttft = ttft.as_ref();
        let of_all = |q| quantile(&ttft?.all, q);
        let of_lately = |q| quantile(&ttft?.lately[0], q);
        LiveSnapshot {
            stage: STAGES
                .get(usize::from(stage.load(Relaxed)).wrapping_sub(1))
                .copied(),
            in_flight: in_flight.load(Relaxed),
            ended_ok: ended_ok.load(Relaxed),
            failed: failed.load(Relaxed),
            chunks,
            chunks_per_s: self.rate(chunks),
            ttft_p50: of_all(0.5),
            ttft_p99: of_all(0.99),
            lately_ttft_p50: of_lately(0.5),
            lately_ttft_p99: of_lately(0.99),
        }
    }

    fn rate(&self, chunks: u64) -> f64 {
        let now = MonoNs::now();
        let before = lock(&self.0.last).replace((now, chunks));
        let Some((then, chunks_then)) = before else {
            return 0.0;
        };
        let seconds = now.since(then).as_secs_f64();
        if seconds == 0.0 {
            return 0.0;
        }
        chunks.saturating_sub(chunks_then) as f64 / seconds
    }

    pub(crate) fn enter(&self, stage: Stage) {
        let place = STAGES.iter().position(|&known| known == stage);
        self.0
            .stage
            .store(place.map_or(0, |place| place as u8 + 1), Relaxed);
    }

    pub(crate) fn add_chunks(&self, count: usize) {
        if count > 0 {
            self.0.chunks.fetch_add(count as u64, Relaxed);
        }
    }

    pub(crate) fn begin(&self) {
        self.0.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, row: &RequestRow) {
        self.0.in_flight.fetch_sub(1, Relaxed);
        match row.outcome {
            Outcome::Ok => self.0.ended_ok.fetch_add(1, Relaxed),
            Outcome::Unfinished => 0,
            _ => self.0.failed.fetch_add(1, Relaxed),
        };
        let Some(ttft) = row.ttft.filter(|_| row.outcome == Outcome::Ok) else {
            return;
        };
        let us = u64::try_from(ttft.as_micros()).unwrap_or(LONGEST_US);
        let mut ttfts = lock(&self.0.ttft);
        if ttfts.is_none() {
            *ttfts = Ttfts::new();
        }
        if let Some(ttfts) = &mut *ttfts {
            ttfts.record(us);
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Nothing that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a phase early, from any thread. Clones stop the same phase.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(AtomicBool, Notify)>);

impl Stop {
    /// Ends it: what is in flight is cut and recorded as unfinished. Stays so for later phases.
    pub fn stop(&self) {
        self.0.0.store(true, Relaxed);
        self.0.1.notify_one();
    }

    /// Whether it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.0.load(Relaxed)
    }

    /// Waits for it.
    pub(crate) async fn stopped(&self) {
        while !self.is_stopped() {
            self.0.1.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lately_ended_are_forgotten_and_all_are_not() {
        let mut ttfts = Ttfts::new().unwrap();
        let at = |seconds| ttfts_began().plus(Duration::from_secs(seconds));
        ttfts.turned = ttfts_began();
        ttfts.record(1000);
        let lately = |ttfts: &Ttfts| quantile(&ttfts.lately[0], 0.5).map(|span| span.as_millis());
        ttfts.turn(at(5));
        assert_eq!(lately(&ttfts), Some(1), "five seconds old");
        ttfts.record(8000);
        ttfts.turn(at(10));
        assert_eq!(lately(&ttfts), Some(8), "the first is forgotten");
        ttfts.turn(at(14));
        assert_eq!(lately(&ttfts), Some(8));
        ttfts.turn(at(15));
        assert_eq!(lately(&ttfts), None);
        assert_eq!(ttfts.all.len(), 2);
    }

    fn ttfts_began() -> MonoNs {
        MonoNs(1_000_000_000)
    }
}
