//! Whether a run had settled when its measured interval began.

use crate::{Metric, requests::Request, stats::settles_at};
use clock::SessionNs;
use record::Stage;

/// Where a run's latencies settle, in the order in which its requests were sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    /// Requests that were left out before the measured interval: ramp and warm-up.
    pub cut: usize,
    /// Requests of the measured interval that ended well.
    pub measured: usize,
    /// From which of these on the latency looks settled; absent where it never does.
    pub settles_at: Option<usize>,
    /// The mean latency up to there (or of the first half), relative to the rest.
    pub start_ratio: f64,
}

/// A start that differs by less is none that a reader must know of.
const WORTH_SAYING: f64 = 0.1;

impl Steady {
    /// Nothing with fewer than fifty requests.
    pub(crate) fn of(requests: &[Request]) -> Option<Self> {
        let measured = requests.iter().filter(|request| request.counts());
        let mut measured: Vec<(SessionNs, u64)> = measured
            .filter_map(|request| Some((request.sent, request.span_ns(Metric::E2e)?)))
            .collect();
        measured.sort_by_key(|(sent, _)| *sent);
        let seconds = |(_, ns): &(SessionNs, u64)| *ns as f64 / 1e9;
        let latencies: Vec<f64> = measured.iter().map(seconds).collect();
        if latencies.len() < 50 {
            return None;
        }
        let from = settles_at(&latencies);
        let (start, rest) = latencies.split_at(from.unwrap_or(latencies.len() / 2));
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let start_ratio = match start {
            [] => 1.0,
            _ => mean(start) / mean(rest),
        };
        Some(Self {
            cut: requests
                .iter()
                .filter(|it| matches!(it.stage, Stage::Ramp | Stage::Warmup))
                .count(),
            measured: latencies.len(),
            settles_at: from,
            start_ratio,
        })
    }

    /// In words, where the measured interval seems to hold a start or a drift.
    pub(crate) fn doubt(&self) -> Option<String> {
        if (self.start_ratio - 1.0).abs() < WORTH_SAYING {
            return None;
        }
        match self.settles_at {
            None => Some(
                "its latencies never settle within the measured interval: they drift (MSER-5)"
                    .to_owned(),
            ),
            Some(from) if from * 4 > self.measured => Some(format!(
                "its latencies settle only after {from} of {} requests (MSER-5): a longer warm-up would leave them out",
                self.measured
            )),
            Some(_) => None,
        }
    }
}
