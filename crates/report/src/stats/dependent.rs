//! Confidence intervals of a percentile of values that follow each other in time.

use super::{Percentile, Sorted, order_statistic_ranks, repeats::student_t};

/// How many stretches of time a run is cut into.
const BATCHES: usize = 10;

/// The 95 % interval of a percentile of one run's values, given in the order of time, and sorted.
///
/// Neighbours in a queue are alike, so a run holds fewer independent values than it has requests.
/// How much fewer shows in the share of values at or below the percentile, stretch by stretch:
/// the variance of ten such shares gives the standard error of the whole (batch means for
/// quantiles: Seila, "A Batching Approach to Quantile Estimation in Regenerative Simulations",
/// Management Science 28 (1982)), and Student's t with nine degrees of freedom the ranks. The
/// interval is never shorter than that of independent values ([`order_statistic_ranks`]), which
/// stands alone where a stretch would hold fewer than twenty values. Nothing where the ranks lie
/// outside the sample.
pub fn time_ordered_interval(
    in_order: &[f64],
    sorted: &Sorted,
    percentile: Percentile,
) -> Option<[f64; 2]> {
    let n = sorted.len();
    let (mut lower, mut upper) = order_statistic_ranks(n, percentile)?;
    let length = in_order.len() / BATCHES;
    if length >= 20 {
        let point = sorted.percentile(percentile)?;
        let share = |batch: &[f64]| {
            let below = batch.iter().filter(|value| **value <= point).count();
            below as f64 / batch.len() as f64
        };
        let shares: Vec<f64> = in_order
            .chunks_exact(length)
            .take(BATCHES)
            .map(share)
            .collect();
        let mean = shares.iter().sum::<f64>() / BATCHES as f64;
        let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
        let error = (squares / (BATCHES - 1) as f64 / BATCHES as f64).sqrt();
        let reach = student_t(BATCHES - 1) * error * n as f64;
        let middle = percentile.fraction() * n as f64;
        if middle - reach < 1.0 || middle + reach + 1.0 > n as f64 {
            return None;
        }
        lower = lower.min((middle - reach).floor() as usize);
        upper = upper.max((middle + reach).ceil() as usize + 1);
    }
    let values = sorted.values();
    Some([values[lower - 1], *values.get(upper - 1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{normal::Normals, order_statistic_interval};

    #[test]
    fn few_values_have_the_interval_of_independent_ones() {
        let values: Vec<f64> = (0..150).map(|i| f64::from(i * 37 % 150)).collect();
        let sorted = Sorted::new(values.clone());
        assert_eq!(
            time_ordered_interval(&values, &sorted, Percentile::P50),
            order_statistic_interval(&sorted, Percentile::P50)
        );
    }

    #[test]
    fn values_like_their_neighbours_have_a_longer_interval() {
        let mut level = 0.0;
        let values: Vec<f64> = Normals::new(3)
            .take(2000)
            .into_iter()
            .map(|step| {
                level = 0.9 * level + step;
                level
            })
            .collect();
        let sorted = Sorted::new(values.clone());
        let length = |[low, high]: [f64; 2]| high - low;
        let dependent = time_ordered_interval(&values, &sorted, Percentile::P50).unwrap();
        let independent = order_statistic_interval(&sorted, Percentile::P50).unwrap();
        assert!(length(dependent) > 2.0 * length(independent));
    }
}
