//! Confidence intervals of a percentile from the order statistics of independent values.

use super::{CONFIDENCE, Percentile, Sorted, binomial_cdf};

/// The ranks, from 1, of the two order statistics that enclose the percentile with at least 95 %
/// confidence, at most 2.5 % on either side; nothing where the sample is too small to hold them.
///
/// The number of values below the true percentile is binomial whatever the distribution, so the
/// interval assumes only that values are independent: David & Nagaraja, "Order Statistics", 3rd
/// ed. (2003), section 7.1.
pub fn order_statistic_ranks(n: usize, percentile: Percentile) -> Option<(usize, usize)> {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let p = percentile.fraction();
    let trials = n as u64;
    // The upper rank is the first with P(X ≤ rank − 1) ≥ 1 − tail, the lower the last with
    // P(X ≤ rank − 1) ≤ tail.
    let first_reaching = |level: f64| partition(trials, |k| binomial_cdf(k, trials, p) < level);
    let upper = first_reaching(1.0 - tail) + 1;
    let lower = partition(trials, |k| binomial_cdf(k, trials, p) <= tail);
    (lower >= 1 && upper <= trials).then_some((lower as usize, upper as usize))
}

/// The 95 % interval of a percentile of independent values; see [`order_statistic_ranks`].
pub fn order_statistic_interval(sorted: &Sorted, percentile: Percentile) -> Option<[f64; 2]> {
    let (lower, upper) = order_statistic_ranks(sorted.len(), percentile)?;
    Some([sorted.values()[lower - 1], sorted.values()[upper - 1]])
}

/// How many of 0, 1, …, n fulfil the predicate, which holds up to some point and not after it.
fn partition(n: u64, predicate: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, n + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if predicate(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17.1, `scipy.stats.quantile_test(x, p=p).confidence_interval(0.95)` over the
    /// values 1, 2, …, n.
    #[test]
    fn ranks_agree_with_scipy() {
        for (n, percentile, expected) in SCIPY {
            assert_eq!(
                order_statistic_ranks(n, percentile),
                expected,
                "{n} {percentile}"
            );
        }
    }

    type Case = (usize, Percentile, Option<(usize, usize)>);
    const SCIPY: [Case; 10] = [
        (5, Percentile::P50, None),
        (6, Percentile::P50, Some((1, 6))),
        (20, Percentile::P50, Some((6, 15))),
        (137, Percentile::P50, Some((57, 81))),
        (1000, Percentile::P50, Some((469, 532))),
        (137, Percentile::P90, Some((116, 131))),
        (137, Percentile::P95, Some((125, 136))),
        (368, Percentile::P99, Some((360, 368))),
        (1000, Percentile::P99, Some((983, 997))),
        (100_000, Percentile::P99, Some((98_938, 99_062))),
    ];

    #[test]
    fn a_p99_has_an_interval_from_368_values_on() {
        assert_eq!(order_statistic_ranks(367, Percentile::P99), None);
        assert!(order_statistic_ranks(368, Percentile::P99).is_some());
    }
}
