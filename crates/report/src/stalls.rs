//! Stalls: waits for a token far beyond what is usual in their run, and what the host did in them.

use crate::{HostMeans, Metric, cohort::Cohort, stats::Stretch};
use clock::SessionNs;
use record::{
    Column, Device, Host, Interval, Outcome, RequestRow, RequestTokens, Stage, Telemetry,
};
use std::collections::HashMap;

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

    /// Finds the stalls of a run and lays them beside its telemetry.
    pub(crate) fn find(
        rows: &[RequestRow],
        tokens: &[RequestTokens],
        cohort: &Cohort,
        telemetry: Option<&Telemetry>,
        device: Option<&str>,
        measure: &Interval,
    ) -> Self {
        let fence = |metric| {
            fence(
                cohort
                    .values(metric)
                    .iter()
                    .map(|(value, _)| *value)
                    .collect(),
            )
        };
        let mut stalls = Self {
            itl_fence_ms: fence(Metric::Itl),
            ttft_fence_ms: fence(Metric::Ttft),
            ..Self::default()
        };
        let mut all = stalls.collect(rows, tokens);
        stalls.count = all.len();
        stalls.total_s = all.iter().map(|stall| stall.length_ms).sum::<f64>() / 1000.0;
        if let Some(telemetry) = telemetry {
            let ticks = Ticks::within(telemetry, measure);
            let weight = ticks.weights(&all);
            let storage = ticks.storage_waits(device);
            for stall in &mut all {
                stall.storage_wait = storage.as_ref().and_then(|it| ticks.share_in(stall, it));
            }
            stalls.storage = Stretch {
                weight: weight.clone(),
                share: storage.unwrap_or_default(),
            };
            stalls.memory = Stretch {
                weight,
                share: ticks
                    .shares(&Column::Host(Host::PsiMemorySomeUs), 1e-6)
                    .unwrap_or_default(),
            };
        }
        all.sort_by(|a, b| {
            b.length_ms
                .total_cmp(&a.length_ms)
                .then(a.start.cmp(&b.start))
        });
        all.truncate(Self::KEPT);
        if let Some(telemetry) = telemetry {
            for stall in all.iter_mut().take(Self::EXPLAINED) {
                let around = around(telemetry, stall);
                stall.window = Some(HostMeans::over(telemetry, device, &around));
            }
        }
        stalls.longest = all;
        stalls
    }

    fn collect(&self, rows: &[RequestRow], tokens: &[RequestTokens]) -> Vec<Stall> {
        let chunks: HashMap<u64, &RequestTokens> = tokens
            .iter()
            .map(|tokens| (tokens.request, tokens))
            .collect();
        let mut all = Vec::new();
        for row in rows {
            if row.stage != Stage::Measure || row.outcome != Outcome::Ok {
                continue;
            }
            let stall = |metric, start, length_ms| Stall {
                metric,
                request: row.request,
                start,
                length_ms,
                storage_wait: None,
                window: None,
            };
            let beyond = |fence: Option<f64>, ms: f64| fence.is_some_and(|fence| ms > fence);
            if let Some(ttft) = row.ttft {
                let ms = ttft.as_secs_f64() * 1e3;
                if beyond(self.ttft_fence_ms, ms) {
                    all.push(stall(Metric::Ttft, row.sent, ms));
                }
            }
            let chunks = chunks.get(&row.request).map_or(&[][..], |it| &it.chunks);
            for pair in chunks.windows(2) {
                let gap = pair[1].arrival.saturating_sub(pair[0].arrival);
                let ms = gap.as_secs_f64() * 1e3;
                if beyond(self.itl_fence_ms, ms) {
                    all.push(stall(Metric::Itl, row.sent.plus(pair[0].arrival), ms));
                }
            }
        }
        all
    }
}

/// Beyond this a value is far out of its run: the upper quartile and three times the distance of
/// the quartiles (Tukey, "Exploratory Data Analysis" (1977), section 2D), and twice the upper
/// quartile at least, for runs that hardly vary. Each run has a fence of its own: what shifts a
/// whole repeat is no stall. Nothing with fewer than twenty values.
fn fence(mut values: Vec<f64>) -> Option<f64> {
    if values.len() < 20 {
        return None;
    }
    let mut quartile = |of: usize| {
        let rank = (values.len() * of).div_ceil(4) - 1;
        *values.select_nth_unstable_by(rank, f64::total_cmp).1
    };
    let (lower, upper) = (quartile(1), quartile(3));
    Some((upper + 3.0 * (upper - lower)).max(2.0 * upper))
}

/// From the last tick before a stall to the first after it.
fn around(telemetry: &Telemetry, stall: &Stall) -> Interval {
    let times = telemetry.times();
    let end = SessionNs(stall.start.0 + (stall.length_ms * 1e6) as i64);
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

    /// How many seconds of stalls, summed over requests, lie in each step.
    fn weights(&self, stalls: &[Stall]) -> Vec<f64> {
        let mut weights = vec![0.0; self.times.len().saturating_sub(1)];
        for stall in stalls {
            self.each_step(stall, |step, seconds| weights[step] += seconds);
        }
        weights
    }

    /// The mean of a share over a stall.
    fn share_in(&self, stall: &Stall, shares: &[f64]) -> Option<f64> {
        let (mut sum, mut over) = (0.0, 0.0);
        self.each_step(stall, |step, seconds| {
            sum += seconds * shares[step];
            over += seconds;
        });
        (over > 0.0).then(|| sum / over)
    }

    fn each_step(&self, stall: &Stall, mut visit: impl FnMut(usize, f64)) {
        let start = stall.start;
        let end = SessionNs(start.0 + (stall.length_ms * 1e6) as i64);
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

    #[test]
    fn a_fence_lies_far_beyond_the_quartiles() {
        let even: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(fence(even), Some(75.0 + 3.0 * 50.0));
        assert_eq!(fence(vec![5.0; 40]), Some(10.0));
        assert_eq!(fence(vec![5.0; 19]), None);
    }
}
