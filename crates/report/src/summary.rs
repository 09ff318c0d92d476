//! The figures of one run: `summary.json`.

use crate::{Metric, chunks::Chunks, cohort::Cohort, requests::Requests, stats::Percentile};
use record::{Distribution, Interval, RequestRow, RequestTokens, Summary};

/// The figures of one phase, from all of its requests, those of its other stages too: rates count
/// what any request did within `measure`.
///
/// Latencies are those of the requests that were sent in stage `measure` and ended well; failed
/// and censored ones are counted beside them. Intervals come from order statistics, lengthened by
/// what values that follow each other are alike, whether in one request or in neighbours.
pub fn summarise(rows: &[RequestRow], tokens: &[RequestTokens], measure: &Interval) -> Summary {
    let mut requests = Requests::new(measure);
    rows.iter().for_each(|row| requests.push(row));
    // What is held in memory is read without an error.
    let chunks = Chunks::read(&mut requests, tokens);
    let chunks = chunks.map(|(chunks, _)| chunks).unwrap_or_default();
    let mut cohort = Cohort::new(&requests, chunks);
    let _ = cohort.read_again(&mut requests, tokens, false, |_, _| {});
    of_cohort(&cohort)
}

pub(crate) fn of_cohort(cohort: &Cohort) -> Summary {
    let per_second = |count: f64| {
        // An interval of no length has no rate; the field has no null.
        if cohort.duration_s > 0.0 {
            count / cohort.duration_s
        } else {
            0.0
        }
    };
    let of = |metric| distribution(cohort, metric);
    Summary {
        requests: cohort.counts,
        duration_s: cohort.duration_s,
        output_tokens: cohort.output_tokens.map(|tokens| tokens.round() as u64),
        requests_per_s: per_second(cohort.ended_ok_within as f64),
        output_tokens_per_s: cohort.output_tokens.map(per_second),
        clock: cohort.clock,
        censored: cohort.censored,
        ttfb_ms: of(Metric::Ttfb),
        ttft_ms: of(Metric::Ttft),
        ttfa_ms: of(Metric::Ttfa),
        e2e_ms: of(Metric::E2e),
        itl_ms: of(Metric::Itl),
        tpot_ms: of(Metric::Tpot),
        queue_ms: of(Metric::Queue),
        client_lag_ms: of(Metric::ClientLag),
    }
}

fn distribution(cohort: &Cohort, metric: Metric) -> Distribution {
    /// Fewer requests do not show how alike the values of one are.
    const FEWEST_REQUESTS: usize = 20;
    let measured = cohort.measured(metric);
    let enough = !metric.is_per_chunk() || measured.values.requests >= FEWEST_REQUESTS;
    let pool = cohort.pool(metric);
    let [p50, p90, p95, p99] = Percentile::REPORTED.map(|it| pool.percentile_ms(it));
    let [p50_ci, _, _, p99_ci] = measured.in_time.map(|interval| interval.filter(|_| enough));
    Distribution {
        n: pool.len() as u64,
        mean: pool.mean_ms(),
        p50,
        p90,
        p95,
        p99,
        max: pool.max_ms(),
        p50_ci,
        p99_ci,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SessionNs;
    use record::{ChunkTime, Outcome, Stage, StampSource};
    use std::time::Duration;

    const SECOND: i64 = 1_000_000_000;

    /// A request that is sent at this second, and whose chunks arrive these seconds later.
    fn request(
        request: u64,
        stage: Stage,
        outcome: Outcome,
        sent_s: f64,
        chunks_s: &[f64],
    ) -> (RequestRow, RequestTokens) {
        let span = |s: &f64| Duration::from_secs_f64(*s);
        let sent = SessionNs((sent_s * SECOND as f64) as i64);
        let ok = outcome == Outcome::Ok;
        let row = RequestRow {
            request,
            user: 0,
            stage,
            adapter: None,
            prompt_tokens_wanted: 10,
            prompt_tokens: Some(10),
            cached_tokens: None,
            output_tokens: ok.then_some(40),
            chunks: chunks_s.len() as u32,
            intended: sent,
            sent,
            ended: sent.plus(chunks_s.last().map_or(Duration::ZERO, span)),
            queue: Duration::ZERO,
            ttfb: chunks_s.first().map(span),
            ttft: chunks_s.first().map(span),
            ttfa: None,
            e2e: chunks_s.last().filter(|_| ok).map(span),
            tpot: None,
            client_lag: None,
            clock: StampSource::Kernel,
            outcome,
            status: Some(200),
            error: None,
        };
        let chunk = |s: &f64| ChunkTime {
            arrival: span(s),
            lag: Some(Duration::from_micros(5)),
        };
        let chunks = chunks_s.iter().map(chunk).collect();
        (row, RequestTokens { request, chunks })
    }

    /// Ten to twenty seconds are measured.
    fn summary(requests: Vec<(RequestRow, RequestTokens)>) -> Summary {
        let (rows, tokens): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let measure = Interval {
            start_ns: SessionNs(10 * SECOND),
            end_ns: SessionNs(20 * SECOND),
        };
        summarise(&rows, &tokens, &measure)
    }

    #[test]
    fn the_cohort_is_what_was_sent_within_and_rates_are_what_happened_within() {
        let found = summary(vec![
            // Sent before, three of its four chunks and its end within.
            request(0, Stage::Warmup, Outcome::Ok, 9.0, &[0.5, 2.0, 3.0, 4.0]),
            // All within.
            request(1, Stage::Measure, Outcome::Ok, 12.0, &[1.0, 2.0, 4.0, 5.0]),
            // Sent within, half of its chunks and its end after.
            request(2, Stage::Measure, Outcome::Ok, 18.0, &[1.0, 1.5, 3.0, 9.0]),
            // All after.
            request(3, Stage::Drain, Outcome::Ok, 20.5, &[1.0, 2.0]),
        ]);
        assert_eq!((found.requests.total, found.requests.ok), (2, 2));
        assert_eq!(found.duration_s, 10.0);
        assert_eq!(found.requests_per_s, 0.2);
        assert_eq!(found.output_tokens, Some(30 + 40 + 20));
        assert_eq!(found.output_tokens_per_s, Some(9.0));
        assert_eq!((found.e2e_ms.n, found.e2e_ms.mean), (2, Some(7000.0)));
        assert_eq!(found.e2e_ms.max, Some(9000.0));
        assert_eq!((found.itl_ms.n, found.itl_ms.max), (6, Some(6000.0)));
        assert_eq!(
            (found.client_lag_ms.n, found.client_lag_ms.p50),
            (8, Some(0.005))
        );
        assert_eq!((found.e2e_ms.p99, found.e2e_ms.p99_ci), (None, None));
    }

    #[test]
    fn a_failure_is_counted_by_kind_and_enters_no_latency() {
        let found = summary(vec![
            request(0, Stage::Measure, Outcome::Ok, 11.0, &[1.0, 2.0]),
            request(1, Stage::Measure, Outcome::Timeout, 12.0, &[7.0]),
            request(2, Stage::Measure, Outcome::Unfinished, 13.0, &[6.0]),
            request(3, Stage::Measure, Outcome::Refused, 14.0, &[]),
            request(4, Stage::Measure, Outcome::Truncated, 15.0, &[1.0]),
        ]);
        assert_eq!((found.requests.total, found.requests.ok), (5, 1));
        let failed = found.requests.failed;
        assert_eq!(
            (failed.timeout, failed.refused, failed.truncated),
            (1, 1, 1)
        );
        assert_eq!(failed.total(), 3);
        assert_eq!(found.censored, 2);
        assert_eq!((found.ttft_ms.n, found.e2e_ms.n), (1, 1));
    }

    #[test]
    fn without_usage_there_are_no_token_counts() {
        let (mut row, tokens) = request(0, Stage::Measure, Outcome::Ok, 11.0, &[1.0, 2.0]);
        row.output_tokens = None;
        let found = summary(vec![(row, tokens)]);
        assert_eq!(
            (found.output_tokens, found.output_tokens_per_s),
            (None, None)
        );
    }

    #[test]
    fn an_empty_run_has_no_figures() {
        let found = summary(Vec::new());
        assert_eq!((found.requests.total, found.e2e_ms.n), (0, 0));
        assert_eq!((found.e2e_ms.mean, found.e2e_ms.p50), (None, None));
        assert_eq!(found.output_tokens, None);
    }
}
