//! One cell of the matrix: its repeats pooled.

use crate::{
    HostFigure, HostMeans, Metric,
    chunks::Intervals,
    cohort::Cohort,
    stats::{Percentile, Pool, repeat_interval},
};
use record::{FailureCounts, RequestCounts, RunId};

/// A figure with its 95 % interval, where there are enough values for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
}

/// How a cell's intervals were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalMethod {
    /// Order statistics over the requests of one run, lengthened by what neighbours are alike. For
    /// figures with several values a request a bootstrap of whole requests, or where these are many
    /// their linearised variance; see [`ClusterShares`](crate::stats::ClusterShares).
    OneRun,
    /// Student's t over the repeats' own percentiles; see
    /// [`repeat_interval`](crate::stats::repeat_interval).
    Repeats,
}

impl IntervalMethod {
    /// In words, to follow "95 %".
    pub const fn name(self) -> &'static str {
        match self {
            IntervalMethod::OneRun => "order-statistic intervals",
            IntervalMethod::Repeats => "t intervals over the repeats",
        }
    }
}

/// The distribution of a metric over a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// How many values.
    pub n: usize,
    /// Their mean, in milliseconds.
    pub mean_ms: Option<f64>,
    /// Their maximum, in milliseconds.
    pub max_ms: Option<f64>,
    /// In milliseconds, in the order of [`Percentile::REPORTED`].
    percentiles: [Option<Estimate>; Percentile::REPORTED.len()],
}

impl Spread {
    /// A reported percentile in milliseconds, where there are enough values for it.
    pub fn percentile(&self, percentile: Percentile) -> Option<Estimate> {
        let index = Percentile::REPORTED.iter().position(|&p| p == percentile)?;
        self.percentiles[index]
    }
}

/// One run that a cell pools.
pub(crate) struct CellRun<'a> {
    pub(crate) id: &'a RunId,
    pub(crate) cohort: &'a Cohort,
    pub(crate) host: &'a HostMeans,
}

/// All repeats of one phase with one number of users, and of one arm where there are several,
/// their raw rows pooled.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The phase of the plan.
    pub phase: String,
    /// Concurrent users.
    pub users: u32,
    /// The arm of a comparison.
    pub arm: Option<String>,
    /// The runs that are pooled here.
    pub runs: Vec<RunId>,
    /// Whether a gate that decides validity failed in these runs. Such runs are pooled only where
    /// a cell has no others.
    pub invalid: bool,
    /// Requests sent within the measured intervals, by how they ended.
    pub requests: RequestCounts,
    /// Requests whose latency is only known to exceed what was seen.
    pub censored: u64,
    /// The measured intervals together.
    pub duration_s: f64,
    /// Requests that ended well within the measured intervals, per second of them.
    pub requests_per_s: Option<f64>,
    /// Output tokens that arrived within the measured intervals, per second of them.
    pub output_tokens_per_s: Option<f64>,
    /// What the host did.
    pub host: HostMeans,
    /// How the intervals were made.
    pub method: IntervalMethod,
    spreads: [Spread; Metric::ALL.len()],
    /// What the host did in each run.
    host_by_run: Vec<HostMeans>,
}

impl Cell {
    pub(crate) fn pool(
        (phase, users, arm): (&str, u32, Option<&str>),
        invalid: bool,
        runs: &[CellRun],
    ) -> Self {
        let cohorts: Vec<&Cohort> = runs.iter().map(|run| run.cohort).collect();
        let duration_s: f64 = cohorts.iter().map(|cohort| cohort.duration_s).sum();
        let per_second = |count: f64| (duration_s > 0.0).then(|| count / duration_s);
        let ended: u64 = cohorts.iter().map(|cohort| cohort.ended_ok_within).sum();
        // A rate over all repeats needs the tokens of each.
        let tokens: Option<f64> = cohorts.iter().map(|cohort| cohort.output_tokens).sum();
        let method = match runs.len() {
            0 | 1 => IntervalMethod::OneRun,
            _ => IntervalMethod::Repeats,
        };
        Self {
            phase: phase.to_owned(),
            users,
            arm: arm.map(str::to_owned),
            runs: runs.iter().map(|run| run.id.clone()).collect(),
            invalid,
            requests: sum_counts(&cohorts),
            censored: cohorts.iter().map(|cohort| cohort.censored).sum(),
            duration_s,
            requests_per_s: per_second(ended as f64),
            output_tokens_per_s: tokens.and_then(per_second),
            host: HostMeans::pooled(runs.iter().map(|run| run.host)),
            method,
            spreads: spreads(&cohorts, method),
            host_by_run: runs.iter().map(|run| run.host.clone()).collect(),
        }
    }

    /// The distribution of a metric.
    pub fn spread(&self, metric: Metric) -> &Spread {
        &self.spreads[metric as usize]
    }

    /// The least and the greatest of the repeats' values of a host figure; nothing unless two
    /// repeats have it.
    pub fn host_range(&self, figure: HostFigure) -> Option<[f64; 2]> {
        let values: Vec<f64> = self
            .host_by_run
            .iter()
            .filter_map(|run| run.get(figure))
            .collect();
        (values.len() >= 2).then(|| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            [least, greatest]
        })
    }
}

fn sum_counts(cohorts: &[&Cohort]) -> RequestCounts {
    let sum = |count: fn(&RequestCounts) -> u64| cohorts.iter().map(|it| count(&it.counts)).sum();
    RequestCounts {
        total: sum(|counts| counts.total),
        ok: sum(|counts| counts.ok),
        failed: FailureCounts {
            refused: sum(|counts| counts.failed.refused),
            status: sum(|counts| counts.failed.status),
            timeout: sum(|counts| counts.failed.timeout),
            truncated: sum(|counts| counts.failed.truncated),
            malformed: sum(|counts| counts.failed.malformed),
        },
    }
}

/// Every metric's distribution over the pooled rows of all repeats.
fn spreads(cohorts: &[&Cohort], method: IntervalMethod) -> [Spread; Metric::ALL.len()] {
    Metric::ALL.map(|metric| {
        let pool = Pool::of(cohorts.iter().map(|cohort| cohort.spans(metric)));
        let values = Percentile::REPORTED.map(|percentile| pool.percentile_ms(percentile));
        let intervals = match (method, cohorts) {
            (IntervalMethod::OneRun, [cohort]) if metric.is_per_chunk() => {
                cohort.measured(metric).by_request
            }
            (IntervalMethod::OneRun, [cohort]) => cohort.measured(metric).in_time,
            _ => repeats_intervals(cohorts, metric, values),
        };
        let mut intervals = intervals.into_iter();
        Spread {
            n: pool.len(),
            mean_ms: pool.mean_ms(),
            max_ms: pool.max_ms(),
            percentiles: values.map(|value| {
                let interval = intervals.next().flatten();
                value.map(|value| Estimate { value, interval })
            }),
        }
    })
}

fn repeats_intervals(
    cohorts: &[&Cohort],
    metric: Metric,
    pooled: [Option<f64>; Percentile::REPORTED.len()],
) -> Intervals {
    let mut pooled = pooled.into_iter();
    Percentile::REPORTED.map(|percentile| {
        let pooled = pooled.next().flatten()?;
        // Every repeat must support the percentile, or its own says nothing.
        let own = |cohort: &&Cohort| cohort.pool(metric).percentile_ms(percentile);
        let own: Option<Vec<f64>> = cohorts.iter().map(own).collect();
        repeat_interval(pooled, &own?)
    })
}
