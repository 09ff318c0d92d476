//! The two knees of a sweep: where added users only wait, and where storage begins to be waited
//! for.

use crate::{
    HostFigure, RunAnalysis,
    stats::{Knee, knee},
};

/// A knee of a sweep, in users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsersKnee {
    /// The number of users.
    pub users: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// How often chance alone bends a straight line as much.
    pub p_value: f64,
}

/// The knees of a sweep; each absent where the records show none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Knees {
    /// From here on added users add little throughput, only waiting.
    pub queue: Option<UsersKnee>,
    /// From here on the host's waits for I/O grow with the users.
    pub storage: Option<UsersKnee>,
    /// The users that the greatest throughput could serve at the least latency: the greatest
    /// throughput times the latency with the fewest users, by Little's law. No more than so many
    /// are served without waiting for each other (Lazowska et al., "Quantitative System
    /// Performance" (1984), section 5.2).
    pub little_users: Option<f64>,
}

/// A bend that chance makes in more than one of twenty sweeps is none.
const SURE: f64 = 0.05;
/// Beyond the queue's knee, doubled users bring less than this power of two in throughput.
const SATURATED_SLOPE: f64 = 0.5;
/// Storage waits that grow by less than this share of time over the whole sweep are no finding.
const LEAST_RISE_PCT: f64 = 1.0;

/// Finds the knees of the runs of a sweep that count, arms left out.
pub(crate) fn of(runs: &[RunAnalysis]) -> Knees {
    let sweep: Vec<(f64, &RunAnalysis)> = runs
        .iter()
        .filter(|run| run.counts())
        .filter_map(|run| {
            let manifest = run.manifest.as_ref()?;
            let users = f64::from(manifest.users);
            (manifest.arm.is_none() && users > 0.0).then_some((users, run))
        })
        .collect();
    Knees {
        queue: queue(&sweep),
        storage: storage(&sweep),
        little_users: little(&sweep),
    }
}

/// Throughput against users, both as logarithms: where the slope falls.
fn queue(sweep: &[(f64, &RunAnalysis)]) -> Option<UsersKnee> {
    let points: Vec<(f64, f64)> = sweep
        .iter()
        .filter_map(|(users, run)| {
            let rate = run.summary.as_ref()?.requests_per_s;
            (rate > 0.0).then(|| (users.ln(), rate.ln()))
        })
        .collect();
    let found = knee(&points)?;
    let falls = found.slope_after < found.slope_before.min(1.0) * SATURATED_SLOPE;
    (found.p_value <= SURE && falls).then(|| in_users(&found))
}

/// Waits for I/O against the logarithm of users: where they begin to rise.
fn storage(sweep: &[(f64, &RunAnalysis)]) -> Option<UsersKnee> {
    let points = |figure| -> Vec<(f64, f64)> {
        let point = |(users, run): &(f64, &RunAnalysis)| Some((users.ln(), run.host.get(figure)?));
        sweep.iter().filter_map(point).collect()
    };
    let figures = [HostFigure::PsiIoSomePct, HostFigure::IowaitPct];
    let points = figures.map(points).into_iter().find(|it| !it.is_empty())?;
    let found = knee(&points)?;
    let last = points
        .iter()
        .map(|(x, _)| *x)
        .fold(f64::NEG_INFINITY, f64::max);
    let rise = found.slope_after * (last - found.at);
    let rises = found.slope_after > found.slope_before.max(0.0) && rise >= LEAST_RISE_PCT;
    (found.p_value <= SURE && rises).then(|| in_users(&found))
}

fn in_users(knee: &Knee) -> UsersKnee {
    UsersKnee {
        users: knee.at.exp(),
        interval: knee.interval.map(f64::exp),
        p_value: knee.p_value,
    }
}

fn little(sweep: &[(f64, &RunAnalysis)]) -> Option<f64> {
    let summaries = || {
        sweep
            .iter()
            .filter_map(|(users, run)| Some((*users, run.summary.as_ref()?)))
    };
    let fewest = summaries()
        .map(|(users, _)| users)
        .fold(f64::INFINITY, f64::min);
    let latencies: Vec<f64> = summaries()
        .filter(|(users, _)| *users == fewest)
        .filter_map(|(_, summary)| summary.e2e_ms.mean)
        .collect();
    let latency = latencies.iter().sum::<f64>() / latencies.len() as f64;
    let most = summaries()
        .map(|(_, summary)| summary.requests_per_s)
        .fold(0.0, f64::max);
    (!latencies.is_empty() && most > 0.0).then_some(most * latency / 1000.0)
}
