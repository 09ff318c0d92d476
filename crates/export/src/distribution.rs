//! A weighted distribution, summed up as guidellm sums it up.

use serde_json::{Value, json};

const PERCENTILES: [(&str, f64); 11] = [
    ("p001", 0.001),
    ("p01", 0.01),
    ("p05", 0.05),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

/// Values and their weights, each value once, in order, its share of all weight beside it.
struct Shares(Vec<(f64, f64)>);

impl Shares {
    fn of(mut weighted: Vec<(f64, f64)>) -> Self {
        weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        weighted.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        weighted.retain(|(_, weight)| *weight > 0.0);
        let all: f64 = weighted.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut weighted {
            *weight /= all;
        }
        Self(weighted)
    }

    /// The first value up to which this share lies.
    fn at(&self, share: f64) -> Option<f64> {
        let mut sum = 0.0;
        let reached = self.0.iter().find(|(_, part)| {
            sum += part;
            sum >= share
        });
        reached.or(self.0.last()).map(|(value, _)| *value)
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|(value, share)| value * share).sum()
    }

    /// The first of the most frequent values.
    fn mode(&self) -> Option<f64> {
        let mut most: Option<(f64, f64)> = None;
        for &(value, share) in &self.0 {
            if most.is_none_or(|(_, best)| share > best) {
                most = Some((value, share));
            }
        }
        most.map(|(value, _)| value)
    }
}

/// guidellm's `DistributionSummary` of these values and weights; null without any.
pub(crate) fn summary(weighted: Vec<(f64, f64)>, count: usize) -> Value {
    let shares = Shares::of(weighted);
    let (Some((least, _)), Some((greatest, _))) = (shares.0.first(), shares.0.last()) else {
        return Value::Null;
    };
    let mean = shares.mean();
    let squares = |(value, share): &(f64, f64)| (value - mean).powi(2) * share;
    let variance: f64 = shares.0.iter().map(squares).sum();
    let percentiles: serde_json::Map<String, Value> = PERCENTILES
        .iter()
        .map(|(name, share)| ((*name).to_owned(), json!(shares.at(*share))))
        .collect();
    json!({
        "mean": mean,
        "median": shares.at(0.5),
        "mode": shares.mode(),
        "variance": variance,
        "std_dev": variance.sqrt(),
        "min": least,
        "max": greatest,
        "count": count,
        "total_sum": mean * count as f64,
        "percentiles": percentiles,
    })
}

/// Events closer than this are one event to guidellm.
const TOGETHER_S: f64 = 1e-4;

/// How fast events came: each one's weight over the time that is nearer to it than to its
/// neighbours, weighted with that time. As guidellm computes rates.
pub(crate) fn rates(events: &[(f64, f64)], start: f64, end: f64) -> Value {
    let within = events
        .iter()
        .filter(|(at, _)| (start..=end).contains(at))
        .copied();
    let mut times: Vec<(f64, f64)> = [(start, 0.0)].into_iter().chain(within).collect();
    times.push((end, 0.0));
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times.dedup_by(|next, kept| {
        let same = next.0 - kept.0 <= TOGETHER_S;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let count: f64 = times.iter().map(|(_, weight)| weight).sum();
    let middle = |a: usize, b: usize| (times[a].0 + times[b].0) / 2.0;
    let last = times.len() - 1;
    if last == 0 {
        return Value::Null;
    }
    let nearest = |index: usize| {
        let from = if index == 0 {
            times[0].0
        } else {
            middle(index - 1, index)
        };
        let to = if index == last {
            times[last].0
        } else {
            middle(index, index + 1)
        };
        (to - from).max(1e-6)
    };
    let rate = |(index, (_, weight)): (usize, &(f64, f64))| {
        let seconds = nearest(index);
        (weight / seconds, seconds)
    };
    summary(
        times.iter().enumerate().map(rate).collect(),
        count.round() as usize,
    )
}
