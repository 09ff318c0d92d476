//! The figures of one run: `summary.json`.

use crate::{
    Metric,
    cohort::Cohort,
    stats::{ClusterBootstrap, Clustered, Percentile, REPLICATES, SEED, order_statistic_interval},
};
use record::{Distribution, Interval, RequestRow, RequestTokens, Summary};

/// The figures of one phase, from all of its requests, those of its other stages too: rates count
/// what any request did within `measure`.
///
/// Latencies are those of the requests that were sent in stage `measure` and ended well; failed
/// and censored ones are counted beside them. The intervals of figures that a request has one
/// value of come from order statistics, which take the requests for independent; those of `itl`
/// and `client_lag`, whose values depend on each other, from a bootstrap of whole requests.
pub fn summarise(rows: &[RequestRow], tokens: &[RequestTokens], measure: &Interval) -> Summary {
    of_cohort(&Cohort::gather(rows, tokens, measure))
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
    let distribution = |metric| distribution(cohort, metric);
    Summary {
        requests: cohort.counts,
        duration_s: cohort.duration_s,
        output_tokens: cohort.output_tokens.map(|tokens| tokens.round() as u64),
        requests_per_s: per_second(cohort.ended_ok_within as f64),
        output_tokens_per_s: cohort.output_tokens.map(per_second),
        clock: cohort.clock,
        censored: cohort.censored,
        ttfb_ms: distribution(Metric::Ttfb),
        ttft_ms: distribution(Metric::Ttft),
        ttfa_ms: distribution(Metric::Ttfa),
        e2e_ms: distribution(Metric::E2e),
        itl_ms: distribution(Metric::Itl),
        tpot_ms: distribution(Metric::Tpot),
        queue_ms: distribution(Metric::Queue),
        client_lag_ms: distribution(Metric::ClientLag),
    }
}

fn distribution(cohort: &Cohort, metric: Metric) -> Distribution {
    let values = Clustered::new(cohort.values(metric).to_vec());
    let sorted = values.sorted();
    let [p50_ci, p99_ci] = if metric.is_per_chunk() {
        let wanted = [(&values, Percentile::P50), (&values, Percentile::P99)];
        let bootstrap = ClusterBootstrap::new(vec![cohort.len()], REPLICATES, SEED);
        let intervals = bootstrap.intervals(&wanted);
        [intervals[0], intervals[1]]
    } else {
        [Percentile::P50, Percentile::P99]
            .map(|percentile| order_statistic_interval(sorted, percentile))
    };
    Distribution {
        n: sorted.len() as u64,
        mean: sorted.mean(),
        p50: sorted.percentile(Percentile::P50),
        p90: sorted.percentile(Percentile::P90),
        p95: sorted.percentile(Percentile::P95),
        p99: sorted.percentile(Percentile::P99),
        max: sorted.max(),
        p50_ci,
        p99_ci,
    }
}
