//! Counts of a run's requests, for its gates.

use crate::gates::{Seen, share_pct};
use hdrhistogram::Histogram;
use record::{Outcome, RequestRow, RequestTokens, Stage};

/// What the gates look at, gathered as requests end.
pub(crate) struct Tally {
    requests: u64,
    failed: u64,
    counted: u64,
    /// Requests whose server says how many of their prompt's tokens it had cached, the tokens of
    /// these prompts, and those cached.
    told: u64,
    prompt_tokens: u64,
    cached_tokens: u64,
    /// Nanoseconds.
    lag: Histogram<u64>,
}

const LONGEST_LAG_NS: u64 = 3_600_000_000_000;

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            requests: 0,
            failed: 0,
            counted: 0,
            told: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            lag: Histogram::new_with_bounds(1, LONGEST_LAG_NS, 2)
                .expect("the bounds and the digits are in range"),
        }
    }

    /// Counts a request, if it was sent within the measured interval.
    pub(crate) fn count(&mut self, row: &RequestRow, tokens: &RequestTokens) {
        if row.stage != Stage::Measure {
            return;
        }
        self.requests += 1;
        self.failed += u64::from(row.outcome.failure().is_some());
        self.counted += u64::from(row.outcome == Outcome::Ok && row.output_tokens.is_some());
        if let (Some(prompt), Some(cached)) = (row.prompt_tokens, row.cached_tokens) {
            self.told += 1;
            self.prompt_tokens += u64::from(prompt);
            self.cached_tokens += u64::from(cached);
        }
        for lag in tokens.chunks.iter().filter_map(|chunk| chunk.lag) {
            let ns = u64::try_from(lag.as_nanos()).unwrap_or(LONGEST_LAG_NS);
            self.lag.saturating_record(ns.max(1));
        }
    }

    /// What the gates look at of the requests.
    pub(crate) fn seen(&self) -> Seen {
        let lag = (!self.lag.is_empty()).then(|| self.lag.value_at_quantile(0.99) as f64 / 1e6);
        Seen {
            requests: self.requests,
            failed: self.failed,
            counted: self.counted,
            client_lag_p99_ms: lag,
            reuse_pct: share_pct(self.cached_tokens, self.prompt_tokens),
            prompt_tokens_mean: (self.told > 0)
                .then(|| self.prompt_tokens as f64 / self.told as f64),
            ..Seen::default()
        }
    }
}
