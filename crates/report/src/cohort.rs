//! The requests of a run that its figures are about, and their values.
//!
//! The cohort is the requests *sent* within the measured interval, followed to their end. Rates
//! count what happened within the interval, whichever request it belongs to.

use crate::Metric;
use record::{Interval, Outcome, RequestCounts, RequestRow, RequestTokens, Stage, StampSource};
use std::{collections::HashMap, time::Duration};

/// A value in milliseconds and the request of the cohort that it belongs to.
pub(crate) type Value = (f64, u32);

/// What the figures of one run rest on.
#[derive(Clone, Debug)]
pub(crate) struct Cohort {
    pub(crate) counts: RequestCounts,
    pub(crate) censored: u64,
    pub(crate) clock: StampSource,
    pub(crate) duration_s: f64,
    pub(crate) ended_ok_within: u64,
    pub(crate) output_tokens: Option<f64>,
    /// Output tokens of all requests, whatever their stage; absent if any that ended well has no
    /// count.
    pub(crate) all_output_tokens: Option<f64>,
    /// By metric, in the order of [`Metric::ALL`].
    values: [Vec<Value>; Metric::ALL.len()],
}

impl Cohort {
    /// Gathers the cohort of a run. Tokens whose request has no row are of a run that was cut
    /// off: they belong to no request that is known to have ended, and are left out.
    pub(crate) fn gather(
        rows: &[RequestRow],
        tokens: &[RequestTokens],
        measure: &Interval,
    ) -> Self {
        let chunks: HashMap<u64, &RequestTokens> = tokens
            .iter()
            .map(|tokens| (tokens.request, tokens))
            .collect();
        let mut cohort = Self {
            counts: RequestCounts::default(),
            censored: 0,
            clock: StampSource::Kernel,
            duration_s: measure.seconds(),
            ended_ok_within: 0,
            output_tokens: None,
            all_output_tokens: rows
                .iter()
                .filter(|row| row.outcome == Outcome::Ok || row.output_tokens.is_some())
                .map(|row| row.output_tokens.map(f64::from))
                .sum(),
            values: Default::default(),
        };
        for row in rows {
            let tokens = chunks.get(&row.request).copied();
            cohort.count_within(row, tokens, measure);
            if row.stage == Stage::Measure {
                cohort.admit(row, tokens);
            }
        }
        cohort
    }

    /// The values of a metric.
    pub(crate) fn values(&self, metric: Metric) -> &[Value] {
        &self.values[metric as usize]
    }

    /// How many requests it has, whatever became of them.
    pub(crate) fn len(&self) -> usize {
        self.counts.total as usize
    }

    /// Counts what a request of any stage did within the measured interval.
    fn count_within(
        &mut self,
        row: &RequestRow,
        tokens: Option<&RequestTokens>,
        measure: &Interval,
    ) {
        if row.outcome == Outcome::Ok && measure.contains(row.ended) {
            self.ended_ok_within += 1;
        }
        let (Some(usage), Some(tokens)) = (row.output_tokens, tokens) else {
            return;
        };
        if tokens.chunks.is_empty() {
            return;
        }
        let within = tokens
            .chunks
            .iter()
            .filter(|chunk| measure.contains(row.sent.plus(chunk.arrival)))
            .count();
        let share = within as f64 / tokens.chunks.len() as f64;
        *self.output_tokens.get_or_insert(0.0) += f64::from(usage) * share;
    }

    fn admit(&mut self, row: &RequestRow, tokens: Option<&RequestTokens>) {
        let request = self.counts.total as u32;
        self.counts.total += 1;
        self.clock = self.clock.max(row.clock);
        let failed = &mut self.counts.failed;
        match row.outcome {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Refused => failed.refused += 1,
            Outcome::Status => failed.status += 1,
            Outcome::Timeout => failed.timeout += 1,
            Outcome::Truncated => failed.truncated += 1,
            Outcome::Malformed => failed.malformed += 1,
            Outcome::Unfinished => {}
        }
        if matches!(row.outcome, Outcome::Timeout | Outcome::Unfinished) {
            self.censored += 1;
        }
        let chunks = tokens.map_or(&[][..], |tokens| &tokens.chunks);
        let lags = chunks.iter().filter_map(|chunk| chunk.lag);
        self.push(Metric::ClientLag, request, lags);
        if row.outcome != Outcome::Ok {
            return;
        }
        for metric in Metric::ALL {
            self.push(metric, request, metric.of_request(row));
        }
        let gaps = chunks
            .windows(2)
            .map(|pair| pair[1].arrival.saturating_sub(pair[0].arrival));
        self.push(Metric::Itl, request, gaps);
    }

    fn push(&mut self, metric: Metric, request: u32, spans: impl IntoIterator<Item = Duration>) {
        let values = spans.into_iter().map(|span| (millis(span), request));
        self.values[metric as usize].extend(values);
    }
}

fn millis(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}
