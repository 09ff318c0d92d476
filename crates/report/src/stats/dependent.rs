//! Confidence intervals of a percentile of values that follow each other in time.

use super::{Percentile, Sorted, order_statistic_ranks, repeats::student_t};

/// How many stretches of time a run is cut into.
const BATCHES: usize = 10;

/// A stretch of fewer values says nothing.
const FEWEST: usize = 20;

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
    let point = sorted.percentile(percentile)?;
    let mut shares = BatchShares::new(in_order.len());
    for value in in_order {
        shares.push(usize::from(*value > point));
    }
    let (lower, upper) = shares.ranks(0, sorted.len(), percentile)?;
    let values = sorted.values();
    Some([*values.get(lower - 1)?, *values.get(upper - 1)?])
}

/// The shares of a run's values, given in the order of time, that lie at or below some points, in
/// each of ten stretches of time.
#[derive(Clone, Debug)]
pub struct BatchShares {
    length: usize,
    left: usize,
    /// How many values lie above just so many of the points, so far.
    above: [usize; Self::CLASSES],
    /// The same at the end of each stretch.
    ends: Vec<[usize; Self::CLASSES]>,
}

impl BatchShares {
    /// The points that there can be, and none.
    const CLASSES: usize = Percentile::REPORTED.len() + 1;

    /// For so many values.
    pub fn new(values: usize) -> Self {
        let length = values / BATCHES;
        Self {
            length,
            left: length,
            above: [0; Self::CLASSES],
            ends: Vec::with_capacity(BATCHES),
        }
    }

    /// Takes the next value: above how many of the points it lies, which ascend.
    #[inline]
    pub fn push(&mut self, above: usize) {
        self.above[above] += 1;
        self.left = self.left.wrapping_sub(1);
        if self.left == 0 && self.ends.len() < BATCHES {
            self.ends.push(self.above);
            self.left = self.length;
        }
    }

    /// The ranks of the interval about the point with this index, which is this percentile of `n`
    /// values; see [`time_ordered_interval`].
    pub fn ranks(&self, point: usize, n: usize, percentile: Percentile) -> Option<(usize, usize)> {
        if self.length < FEWEST {
            return order_statistic_ranks(n, percentile);
        }
        let mut before = 0;
        let shares: Vec<f64> = self
            .ends
            .iter()
            .map(|above| {
                let below: usize = above[..=point].iter().sum();
                let share = (below - before) as f64 / self.length as f64;
                before = below;
                share
            })
            .collect();
        let mean = shares.iter().sum::<f64>() / BATCHES as f64;
        let squares: f64 = shares.iter().map(|share| (share - mean).powi(2)).sum();
        let error = (squares / (BATCHES - 1) as f64 / BATCHES as f64).sqrt();
        let reach = student_t(BATCHES - 1) * error * n as f64;
        ranks_within(reach, n, percentile)
    }
}

/// The ranks that reach so far about a percentile's, and no less than those of independent values.
/// Nothing where they lie outside the sample.
pub(super) fn ranks_within(reach: f64, n: usize, percentile: Percentile) -> Option<(usize, usize)> {
    let (lower, upper) = order_statistic_ranks(n, percentile)?;
    let middle = percentile.fraction() * n as f64;
    if middle - reach < 1.0 || middle + reach + 1.0 > n as f64 {
        return None;
    }
    Some((
        lower.min((middle - reach).floor() as usize),
        upper.max((middle + reach).ceil() as usize + 1),
    ))
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
