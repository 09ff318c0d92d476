//! Confidence intervals of a percentile whose values come in many clusters.

use super::{Percentile, dependent::ranks_within, repeats::student_t};

/// How many values of each cluster lie at or below a percentile.
///
/// The share of values up to the percentile is a ratio of two sums over clusters, whose variance
/// follows from the clusters' own differences from it (linearisation); the interval of the
/// percentile is that of the share, read off the order statistics (Woodruff, "Confidence Intervals
/// for Medians and Other Position Measures", JASA 47 (1952); Cochran, "Sampling Techniques", 3rd
/// ed. (1977), section 11.12). It is what [`ClusterBootstrap`](super::ClusterBootstrap) tends to
/// with many clusters, at the cost of one pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterShares {
    clusters: usize,
    squares: f64,
}

impl ClusterShares {
    /// The fewest clusters that an interval may rest on.
    const FEWEST: usize = 20;

    /// Takes a cluster of so many values, so many of them at or below the percentile.
    pub fn push(&mut self, values: usize, below: usize, percentile: Percentile) {
        if values > 0 {
            self.clusters += 1;
            let difference = below as f64 - percentile.fraction() * values as f64;
            self.squares += difference * difference;
        }
    }

    /// The ranks, from 1, of the 95 % interval of this percentile of `n` values. Nothing with fewer
    /// than 20 clusters, or where the ranks lie outside the sample.
    pub fn ranks(&self, n: usize, percentile: Percentile) -> Option<(usize, usize)> {
        if self.clusters < Self::FEWEST {
            return None;
        }
        let clusters = self.clusters as f64;
        let error = (self.squares * clusters / (clusters - 1.0)).sqrt();
        ranks_within(student_t(self.clusters - 1) * error, n, percentile)
    }
}
