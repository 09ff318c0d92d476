//! What the client reports beside what was true. Pure.

use clock::MonoNs;
use engine::truth::{RequestTimes, TruthReport};
use record::{Interval, Outcome, RequestRow, RequestTokens, Stage};
use std::{collections::HashMap, time::Duration};

/// The errors of one level's measured requests, in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Errors {
    pub(crate) ttft_us: Vec<f64>,
    pub(crate) itl_us: Vec<f64>,
    pub(crate) e2e_us: Vec<f64>,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) unfinished: u64,
    pub(crate) unmatched: u64,
}

/// What the client reports of a request, and what was true of it.
struct Pair<'a> {
    row: &'a RequestRow,
    tokens: &'a RequestTokens,
    truth: &'a RequestTimes,
}

/// Compares the requests that were sent in the measured interval. `id` is what the client called a
/// request in its `x-request-id`.
pub(crate) fn compare(
    rows: &[(RequestRow, RequestTokens)],
    truth: &TruthReport,
    id: impl Fn(u64) -> String,
) -> Errors {
    let named = truth.requests.iter().filter_map(|times| {
        let id = times.id.as_deref()?;
        Some((id, times))
    });
    let truths: HashMap<&str, &RequestTimes> = named.collect();
    let mut errors = Errors::default();
    for (row, tokens) in rows.iter().filter(|(row, _)| row.stage == Stage::Measure) {
        match row.outcome {
            Outcome::Ok => errors.requests += 1,
            Outcome::Unfinished => {
                errors.unfinished += 1;
                continue;
            }
            _ => {
                errors.failed += 1;
                continue;
            }
        }
        let truth = truths.get(id(row.request).as_str());
        let added = truth.and_then(|truth| Pair { row, tokens, truth }.add_to(&mut errors));
        errors.unmatched += u64::from(added.is_none());
    }
    errors
}

impl Pair<'_> {
    /// None, with nothing added, if the two don't tell of the same tokens.
    fn add_to(&self, errors: &mut Errors) -> Option<()> {
        let (chunks, sent) = (&self.tokens.chunks, &self.truth.token_ns);
        let (first, last) = (sent.first()?, sent.last()?);
        let (ttft, e2e) = (self.row.ttft?, self.row.e2e?);
        if !self.truth.complete || chunks.len() != sent.len() {
            return None;
        }
        let since_arrival = |at: &MonoNs| at.since(self.truth.arrival_ns);
        errors.ttft_us.push(error_us(ttft, since_arrival(first)));
        errors.e2e_us.push(error_us(e2e, since_arrival(last)));
        let gaps = chunks.windows(2).zip(sent.windows(2));
        errors.itl_us.extend(gaps.map(|(chunks, sent)| {
            // Chunks that were stamped by two clocks can be out of order; their gap is then 0.
            let reported = chunks[1].arrival.saturating_sub(chunks[0].arrival);
            error_us(reported, sent[1].since(sent[0]))
        }));
        Some(())
    }
}

fn error_us(reported: Duration, truth: Duration) -> f64 {
    // Spans of a phase: far from what an i64 of nanoseconds holds.
    (reported.as_nanos() as i64 - truth.as_nanos() as i64) as f64 / 1e3
}

/// Tokens that arrived within the interval, whichever request they belong to.
pub(crate) fn tokens_within(rows: &[(RequestRow, RequestTokens)], interval: Interval) -> u64 {
    let within = |(row, tokens): &(RequestRow, RequestTokens)| {
        let arrivals = tokens.chunks.iter().map(|it| row.sent.plus(it.arrival));
        arrivals
            .filter(|at| (interval.start_ns..interval.end_ns).contains(at))
            .count() as u64
    };
    rows.iter().map(within).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SessionNs;
    use record::{ChunkTime, StampSource};

    const US: u64 = 1_000;

    /// A request that was sent at 1 ms and whose tokens arrived so many microseconds later.
    fn reported(
        request: u64,
        stage: Stage,
        outcome: Outcome,
        us: &[u64],
    ) -> (RequestRow, RequestTokens) {
        let at = |us: &u64| Duration::from_micros(*us);
        let row = RequestRow {
            request,
            user: 0,
            stage,
            adapter: None,
            prompt_tokens_wanted: 1,
            prompt_tokens: None,
            cached_tokens: None,
            output_tokens: None,
            chunks: us.len() as u32,
            intended: SessionNs(0),
            sent: SessionNs(1_000_000),
            ended: SessionNs(0),
            queue: Duration::ZERO,
            ttfb: None,
            ttft: us.first().map(at),
            ttfa: None,
            e2e: us.last().map(at),
            tpot: None,
            client_lag: None,
            clock: StampSource::Kernel,
            outcome,
            status: None,
            error: None,
        };
        let chunk = |us| ChunkTime {
            arrival: at(us),
            lag: None,
        };
        let chunks = us.iter().map(chunk).collect();
        (row, RequestTokens { request, chunks })
    }

    /// What the server knows: arrived at 5 ms, tokens so many microseconds later.
    fn true_times(id: &str, us: &[u64]) -> RequestTimes {
        let arrival = MonoNs(5_000_000);
        RequestTimes {
            id: Some(id.to_owned()),
            peer_port: 1,
            nth: 0,
            arrival_ns: arrival,
            read_ns: arrival,
            token_ns: us.iter().map(|us| MonoNs(arrival.0 + us * US)).collect(),
            complete: true,
        }
    }

    fn truth(requests: Vec<RequestTimes>) -> TruthReport {
        TruthReport {
            requests,
            ..TruthReport::default()
        }
    }

    fn id(request: u64) -> String {
        format!("c{request}")
    }

    #[test]
    fn errors_are_what_was_reported_less_what_was_true() {
        let rows = [reported(7, Stage::Measure, Outcome::Ok, &[110, 125, 210])];
        let truth = truth(vec![true_times("c7", &[100, 120, 200])]);
        let errors = compare(&rows, &truth, id);
        let near = |found: &[f64], wanted: &[f64]| {
            assert_eq!(found.len(), wanted.len());
            let pairs = found.iter().zip(wanted);
            pairs.for_each(|(found, wanted)| assert!((found - wanted).abs() < 1e-6, "{found}"));
        };
        near(&errors.ttft_us, &[10.0]);
        near(&errors.itl_us, &[-5.0, 5.0]);
        near(&errors.e2e_us, &[10.0]);
        assert_eq!((errors.requests, errors.unmatched), (1, 0));
    }

    #[test]
    fn only_measured_requests_with_a_whole_truth_are_compared() {
        let ok = |request, us: &[u64]| reported(request, Stage::Measure, Outcome::Ok, us);
        let rows = [
            ok(1, &[10, 20]),
            ok(2, &[10]),
            ok(3, &[10]),
            reported(4, Stage::Measure, Outcome::Timeout, &[]),
            reported(5, Stage::Measure, Outcome::Unfinished, &[10]),
            reported(6, Stage::Drain, Outcome::Refused, &[]),
        ];
        let mut cut = true_times("c3", &[10]);
        cut.complete = false;
        let truth = truth(vec![true_times("c1", &[10]), cut, true_times("c5", &[10])]);
        let errors = compare(&rows, &truth, id);
        let counts = (errors.requests, errors.failed, errors.unfinished);
        assert_eq!(counts, (3, 1, 1));
        // Another number of tokens, none known, and cut short.
        assert_eq!(errors.unmatched, 3);
        assert!(errors.ttft_us.is_empty() && errors.itl_us.is_empty());
    }

    #[test]
    fn tokens_count_by_when_they_arrived() {
        let rows = [reported(1, Stage::Warmup, Outcome::Ok, &[0, 500, 1000])];
        let interval = Interval {
            start_ns: SessionNs(1_000_000),
            end_ns: SessionNs(2_000_000),
        };
        assert_eq!(tokens_within(&rows, interval), 2);
    }
}
