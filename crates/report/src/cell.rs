//! One cell of the matrix: its repeats pooled.

use crate::{
    HostFigure, HostMeans, Metric,
    cohort::Cohort,
    stats::{
        ClusterBootstrap, Clustered, Percentile, REPLICATES, SEED, Sorted, repeat_interval,
        time_ordered_interval,
    },
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
    /// Order statistics over the requests of one run, lengthened by what neighbours are alike; a
    /// bootstrap of whole requests for figures with several values a request.
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
    let pooled = Metric::ALL.map(|metric| pool(cohorts, metric));
    let intervals = match method {
        IntervalMethod::OneRun => one_run_intervals(cohorts, &pooled),
        IntervalMethod::Repeats => Metric::ALL
            .map(|metric| repeats_intervals(cohorts, metric, pooled[metric as usize].sorted())),
    };
    Metric::ALL.map(|metric| {
        let sorted = pooled[metric as usize].sorted();
        let mut intervals = intervals[metric as usize].into_iter();
        Spread {
            n: sorted.len(),
            mean_ms: sorted.mean(),
            max_ms: sorted.max(),
            percentiles: Percentile::REPORTED.map(|percentile| {
                let interval = intervals.next().flatten();
                Some(Estimate {
                    value: sorted.percentile(percentile)?,
                    interval,
                })
            }),
        }
    })
}

/// A metric's intervals, in the order of [`Percentile::REPORTED`].
type Intervals = [Option<[f64; 2]>; Percentile::REPORTED.len()];

fn repeats_intervals(cohorts: &[&Cohort], metric: Metric, pooled: &Sorted) -> Intervals {
    let sorted = |cohort: &&Cohort| {
        Sorted::new(
            cohort
                .values(metric)
                .iter()
                .map(|(value, _)| *value)
                .collect(),
        )
    };
    let repeats: Vec<Sorted> = cohorts.iter().map(sorted).collect();
    Percentile::REPORTED.map(|percentile| {
        // Every repeat must support the percentile, or its own says nothing.
        let own: Option<Vec<f64>> = repeats.iter().map(|it| it.percentile(percentile)).collect();
        repeat_interval(pooled.percentile(percentile)?, &own?)
    })
}

fn one_run_intervals(
    cohorts: &[&Cohort],
    pooled: &[Clustered; Metric::ALL.len()],
) -> [Intervals; Metric::ALL.len()] {
    let sizes = cohorts.iter().map(|cohort| cohort.len()).collect();
    let bootstrap = ClusterBootstrap::new(sizes, REPLICATES, SEED);
    let wanted: Vec<(&Clustered, Percentile)> = Metric::ALL
        .into_iter()
        .filter(|metric| metric.is_per_chunk())
        .flat_map(|metric| Percentile::REPORTED.map(|p| (&pooled[metric as usize], p)))
        .collect();
    let mut bootstrapped = bootstrap.intervals(&wanted).into_iter();
    Metric::ALL.map(|metric| {
        let sorted = pooled[metric as usize].sorted();
        Percentile::REPORTED.map(|percentile| {
            if metric.is_per_chunk() {
                bootstrapped.next().flatten()
            } else {
                // One run: its values are in the order in which the requests ended.
                time_ordered_interval(&in_order(cohorts, metric), sorted, percentile)
            }
        })
    })
}

fn in_order(cohorts: &[&Cohort], metric: Metric) -> Vec<f64> {
    let values = cohorts.iter().flat_map(|cohort| cohort.values(metric));
    values.map(|(value, _)| *value).collect()
}

/// The values of all cohorts, their requests numbered through.
fn pool(cohorts: &[&Cohort], metric: Metric) -> Clustered {
    let mut values = Vec::with_capacity(cohorts.iter().map(|it| it.values(metric).len()).sum());
    let mut first = 0u32;
    for cohort in cohorts {
        let renumbered = cohort.values(metric).iter();
        values.extend(renumbered.map(|&(value, request)| (value, first + request)));
        first += cohort.len() as u32;
    }
    Clustered::new(values)
}
