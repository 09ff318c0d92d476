//! Stalls: waits for a token far beyond what is usual in their run, and what the host did in them.

use crate::{
    HostMeans, Metric,
    chunks::gaps,
    cohort::Cohort,
    requests::Request,
    stats::{Pool, Stretch, millis},
};
use clock::SessionNs;
use record::{ChunkNs, Column, Device, Host, Interval, Telemetry};
use std::time::Duration;

/// A wait far beyond what is usual in its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Stall {
    /// `itl` or `ttft`.
    pub metric: Metric,
    /// The request that waited.
    pub request: u64,
    /// When the wait began.
    pub start: SessionNs,
    /// How long it was.
    pub length_ms: f64,
    /// The share of it in which some task waited for storage; absent where that was not recorded.
    pub storage_wait: Option<f64>,
    /// What the host did from the last tick before it to the first after it; only of the longest.
    pub window: Option<HostMeans>,
}

/// The stalls of one run's measured interval.
#[derive(Clone, Debug, Default)]
pub struct Stalls {
    /// A gap between tokens above this is a stall.
    pub itl_fence_ms: Option<f64>,
    /// A first token later than this is a stall.
    pub ttft_fence_ms: Option<f64>,
    /// How many there were.
    pub count: usize,
    /// Their time, summed over requests.
    pub total_s: f64,
    /// The longest, longest first; at most [`Stalls::KEPT`].
    pub longest: Vec<Stall>,
    /// Stall time against waits for storage, tick by tick.
    pub(crate) storage: Stretch,
    /// Stall time against waits for memory, tick by tick.
    pub(crate) memory: Stretch,
}

impl Stalls {
    /// How many stalls are kept.
    pub const KEPT: usize = 400;
    /// For how many of them the host's figures are worked out.
    const EXPLAINED: usize = 8;
}

/// Above what a wait is a stall, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences {
    itl_ns: Option<u64>,
    ttft_ns: Option<u64>,
}

impl Fences {
    pub(crate) fn of(cohort: &Cohort) -> Self {
        let fence = |metric| fence_ns(&cohort.pool(metric));
        Self {
            itl_ns: fence(Metric::Itl),
            ttft_ns: fence(Metric::Ttft),
        }
    }
}

/// Gathers the stalls of a run, and lays them beside its telemetry.
pub(crate) struct Gathering<'a> {
    fences: Fences,
    telemetry: Option<&'a Telemetry>,
    device: Option<&'a str>,
    ticks: Option<Ticks<'a>>,
    /// How many seconds of stalls, summed over requests, lie in each step between two ticks.
    weight: Vec<f64>,
    count: usize,
    total_ns: u128,
    /// The longest so far, and some others.
    longest: Vec<Wait>,
}

/// A stall, in little memory: there may be millions of them.
#[derive(Clone, Copy)]
struct Wait {
    length_ns: u64,
    start: SessionNs,
    metric: Metric,
    request: u64,
}

impl Wait {
    fn end(&self) -> SessionNs {
        self.start.plus(Duration::from_nanos(self.length_ns))
    }
}

impl<'a> Gathering<'a> {
    pub(crate) fn new(
        fences: Fences,
        telemetry: Option<&'a Telemetry>,
        device: Option<&'a str>,
        measure: &Interval,
    ) -> Self {
        let ticks = telemetry.map(|telemetry| Ticks::within(telemetry, measure));
        let steps = ticks.as_ref().map_or(0, |ticks| ticks.times.len());
        Self {
            fences,
            telemetry,
            device,
            weight: vec![0.0; steps.saturating_sub(1)],
            ticks,
            count: 0,
            total_ns: 0,
            longest: Vec::new(),
        }
    }

    /// Takes a late first token.
    pub(crate) fn first_token(&mut self, request: &Request) {
        let ttft = request.span_ns(Metric::Ttft).filter(|_| request.counts());
        let (Some(length_ns), Some(fence)) = (ttft, self.fences.ttft_ns) else {
            return;
        };
        if length_ns > fence {
            self.push(Wait {
                length_ns,
                start: request.sent,
                metric: Metric::Ttft,
                request: request.number,
            });
        }
    }

    /// Takes the long gaps of a request's chunks.
    pub(crate) fn gaps(&mut self, request: &Request, chunks: &[ChunkNs]) {
        let Some(fence) = self.fences.itl_ns else {
            return;
        };
        for (length_ns, chunk) in gaps(chunks).zip(chunks) {
            if length_ns > fence {
                self.push(Wait {
                    length_ns,
                    start: request.sent.plus(Duration::from_nanos(chunk.arrival_ns)),
                    metric: Metric::Itl,
                    request: request.number,
                });
            }
        }
    }

    fn push(&mut self, wait: Wait) {
        self.count += 1;
        self.total_ns += u128::from(wait.length_ns);
        if let Some(ticks) = &self.ticks {
            let weight = &mut self.weight;
            ticks.each_step(&wait, |step, seconds| weight[step] += seconds);
        }
        self.longest.push(wait);
        if self.longest.len() >= 8 * Stalls::KEPT {
            self.keep_the_longest();
        }
    }

    fn keep_the_longest(&mut self) {
        let order = |it: &Wait| (std::cmp::Reverse(it.length_ns), it.start);
        self.longest.sort_by_key(order);
        self.longest.truncate(Stalls::KEPT);
    }

    pub(crate) fn finish(mut self) -> Stalls {
        self.keep_the_longest();
        let storage = self.ticks.as_ref();
        let storage = storage.and_then(|ticks| ticks.storage_waits(self.device));
        let memory = self.ticks.as_ref();
        let memory = memory.and_then(|it| it.shares(&Column::Host(Host::PsiMemorySomeUs), 1e-6));
        let longest = self.longest.iter().enumerate();
        let longest = longest.map(|(index, wait)| Stall {
            metric: wait.metric,
            request: wait.request,
            start: wait.start,
            length_ms: millis(wait.length_ns),
            storage_wait: storage
                .as_ref()
                .and_then(|shares| self.ticks.as_ref()?.share_in(wait, shares)),
            window: self
                .telemetry
                .filter(|_| index < Stalls::EXPLAINED)
                .map(|it| HostMeans::over(it, self.device, &around(it, wait))),
        });
        Stalls {
            itl_fence_ms: self.fences.itl_ns.map(millis),
            ttft_fence_ms: self.fences.ttft_ns.map(millis),
            count: self.count,
            total_s: self.total_ns as f64 / 1e9,
            longest: longest.collect(),
            storage: Stretch {
                weight: self.weight.clone(),
                share: storage.clone().unwrap_or_default(),
            },
            memory: Stretch {
                weight: self.weight.clone(),
                share: memory.unwrap_or_default(),
            },
        }
    }
}

/// Beyond this a value is far out of its run: the upper quartile and three times the distance of
/// the quartiles (Tukey, "Exploratory Data Analysis" (1977), section 2D), and twice the upper
/// quartile at least, for runs that hardly vary. Each run has a fence of its own: what shifts a
/// whole repeat is no stall. Nothing with fewer than twenty values.
fn fence_ns(values: &Pool) -> Option<u64> {
    if values.len() < 20 {
        return None;
    }
    let quartile = |of: usize| values.at_rank((values.len() * of).div_ceil(4));
    let (lower, upper) = (quartile(1)?, quartile(3)?);
    let far_out = upper.saturating_add((upper - lower).saturating_mul(3));
    Some(far_out.max(upper.saturating_mul(2)))
}

/// From the last tick before a stall to the first after it.
fn around(telemetry: &Telemetry, stall: &Wait) -> Interval {
    let times = telemetry.times();
    let end = stall.end();
    let before = times
        .partition_point(|&t| t <= stall.start)
        .saturating_sub(1);
    let after = times
        .partition_point(|&t| t < end)
        .min(times.len().saturating_sub(1));
    let at = |index: usize| times.get(index).copied().unwrap_or(end);
    Interval {
        start_ns: at(before),
        end_ns: SessionNs(at(after).0 + 1),
    }
}

/// The ticks inside the measured interval: each step is the time between two.
struct Ticks<'a> {
    telemetry: &'a Telemetry,
    first: usize,
    times: &'a [SessionNs],
}

impl<'a> Ticks<'a> {
    fn within(telemetry: &'a Telemetry, measure: &Interval) -> Self {
        let times = telemetry.times();
        let first = times.partition_point(|&t| t < measure.start_ns);
        let end = times.partition_point(|&t| t < measure.end_ns);
        Self {
            telemetry,
            first,
            times: &times[first..end.max(first)],
        }
    }

    /// The share of each step that a counter of time grew by.
    fn shares(&self, column: &Column, seconds: f64) -> Option<Vec<f64>> {
        let series = self.telemetry.series(column)?;
        let steps = self.times.windows(2).enumerate().map(|(index, pair)| {
            let moved = series.get(self.first + index + 1)? - series.get(self.first + index)?;
            let span = (pair[1] - pair[0]) as f64 / 1e9;
            (span > 0.0).then(|| (moved * seconds / span).clamp(0.0, 1.0))
        });
        // A step without a reading cannot be laid beside anything.
        steps.collect()
    }

    /// Waits for I/O by pressure (PSI), or else the time with an I/O in flight on the device.
    fn storage_waits(&self, device: Option<&str>) -> Option<Vec<f64>> {
        let pressure = self.shares(&Column::Host(Host::PsiIoSomeUs), 1e-6);
        pressure.or_else(|| {
            let column = Column::Device(device?.to_owned(), Device::IoTimeMs);
            self.shares(&column, 1e-3)
        })
    }

    /// The mean of a share over a stall.
    fn share_in(&self, stall: &Wait, shares: &[f64]) -> Option<f64> {
        let (mut sum, mut over) = (0.0, 0.0);
        self.each_step(stall, |step, seconds| {
            sum += seconds * shares[step];
            over += seconds;
        });
        (over > 0.0).then(|| sum / over)
    }

    fn each_step(&self, stall: &Wait, mut visit: impl FnMut(usize, f64)) {
        let start = stall.start;
        let end = stall.end();
        let first = self
            .times
            .partition_point(|&t| t <= start)
            .saturating_sub(1);
        for (step, pair) in self.times.windows(2).enumerate().skip(first) {
            if pair[0] >= end {
                break;
            }
            let overlap = pair[1].min(end) - pair[0].max(start);
            if overlap > 0 {
                visit(step, overlap as f64 / 1e9);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Spans;

    #[test]
    fn a_fence_lies_far_beyond_the_quartiles() {
        let fence =
            |values: &mut dyn Iterator<Item = u64>| fence_ns(&values.collect::<Spans>().pool());
        assert_eq!(fence(&mut (1..=100)), Some(75 + 3 * 50));
        assert_eq!(fence(&mut [5; 40].into_iter()), Some(10));
        assert_eq!(fence(&mut [5; 19].into_iter()), None);
    }
}
