//! Confidence intervals of a percentile whose values come in clusters.

use super::{
    CONFIDENCE, Percentile, Sorted, order_statistic_ranks,
    repeats::{Z, student_t},
};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use std::ops::Range;

/// The seed of every bootstrap: the same records always give the same intervals.
pub const SEED: u64 = 0x5350_494c_4c50_4f49;

/// How many resamples an interval rests on.
pub const REPLICATES: usize = 1000;

/// The fewest clusters that an interval may rest on.
const FEWEST_CLUSTERS: usize = 20;

/// Values in ascending order, each with the cluster that it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Clustered {
    sorted: Sorted,
    /// The cluster of each value, in the values' order.
    cluster: Vec<u32>,
}

impl Clustered {
    /// Sorts values that come with the number of their cluster. NaN is left out.
    pub fn new(mut values: Vec<(f64, u32)>) -> Self {
        values.retain(|(value, _)| !value.is_nan());
        values.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let (sorted, cluster) = values.into_iter().unzip();
        Self {
            sorted: Sorted::from_ascending(sorted),
            cluster,
        }
    }

    /// The values without their clusters.
    pub fn sorted(&self) -> &Sorted {
        &self.sorted
    }

    fn clusters_used(&self, clusters: usize) -> usize {
        let mut seen = vec![false; clusters];
        for &cluster in &self.cluster {
            seen[cluster as usize] = true;
        }
        seen.into_iter().filter(|&seen| seen).count()
    }
}

/// Resamples of clusters: how often each cluster counts, in every replicate.
///
/// Two-stage cluster bootstrap: the repeats are drawn with replacement, then within each drawn
/// repeat its requests (Davison & Hinkley, "Bootstrap Methods and their Application" (1997),
/// section 3.8). With one repeat only the requests are drawn. A request brings all of its values
/// along, so values that depend on each other within a request are never taken for independent
/// ones. Three repeats are too few for it; see [`repeat_interval`](super::repeat_interval).
#[derive(Clone, Debug)]
pub struct ClusterBootstrap {
    repeat_sizes: Vec<usize>,
    replicates: usize,
    seed: u64,
}

impl ClusterBootstrap {
    /// Resamples clusters that are numbered through the repeats in order: repeat `i` holds the
    /// next `repeat_sizes[i]` of them.
    pub fn new(repeat_sizes: Vec<usize>, replicates: usize, seed: u64) -> Self {
        Self {
            repeat_sizes,
            replicates,
            seed,
        }
    }

    /// The 95 % intervals of these percentiles, all from the same resamples. Nothing where fewer
    /// than 20 clusters hold values, or where even independent values would be too few for an
    /// interval: then the resamples cannot reach beyond the greatest value that was seen, and the
    /// interval would be too short.
    pub fn intervals(&self, wanted: &[(&Clustered, Percentile)]) -> Vec<Option<[f64; 2]>> {
        let clusters = self.repeat_sizes.iter().sum();
        let brackets: Vec<Option<Bracket>> = wanted
            .iter()
            .map(|&(values, percentile)| Bracket::around(values, percentile, clusters))
            .collect();
        let mut found = vec![Vec::with_capacity(self.replicates); wanted.len()];
        if brackets.iter().any(Option::is_some) {
            self.each_resample(|weights| {
                for (bracket, found) in brackets.iter().zip(&mut found) {
                    found.extend(bracket.as_ref().and_then(|it| it.percentile(weights)));
                }
            });
        }
        let interval =
            |(bracket, found): (&Option<Bracket>, _)| expanded_interval(found, bracket.as_ref()?);
        brackets.iter().zip(found).map(interval).collect()
    }

    fn each_resample(&self, mut visit: impl FnMut(&[u16])) {
        let sizes = &self.repeat_sizes;
        let starts: Vec<usize> = sizes
            .iter()
            .scan(0, |next, size| Some(std::mem::replace(next, *next + size)))
            .collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut weights = vec![0u16; sizes.iter().sum()];
        for _ in 0..self.replicates {
            weights.fill(0);
            for _ in sizes {
                let repeat = below(&mut rng, sizes.len());
                for _ in 0..sizes[repeat] {
                    let cluster = starts[repeat] + below(&mut rng, sizes[repeat]);
                    weights[cluster] = weights[cluster].saturating_add(1);
                }
            }
            visit(&weights);
        }
    }
}

/// The percentile interval, lengthened about the sample's own percentile for the number of
/// clusters: resamples of few clusters differ too little, by √((n − 1)/n), and the normal
/// distribution's tails are too short for them (Hesterberg, "What Teachers Should Know About the
/// Bootstrap", The American Statistician 69 (2015), section 4.2).
fn expanded_interval(mut found: Vec<f64>, bracket: &Bracket) -> Option<[f64; 2]> {
    found.sort_unstable_by(f64::total_cmp);
    let last = found.len().checked_sub(1)?;
    let at = |fraction: f64| found[(fraction * last as f64).round() as usize];
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let point = bracket.values.sorted.percentile(bracket.percentile)?;
    let n = bracket.clusters_used as f64;
    let factor = (n / (n - 1.0)).sqrt() * student_t(bracket.clusters_used - 1) / Z;
    Some([at(tail), at(1.0 - tail)].map(|end| point + (end - point) * factor))
}

/// The part of the sorted values in which a resample's percentile is looked for first.
struct Bracket<'a> {
    values: &'a Clustered,
    percentile: Percentile,
    /// How many clusters hold values.
    clusters_used: usize,
    /// The indices of the bracket.
    range: Range<usize>,
    /// How many values of each cluster lie below the bracket.
    below: Vec<u32>,
    /// How many values each cluster has.
    all: Vec<u32>,
}

impl<'a> Bracket<'a> {
    /// A bracket of a few standard errors, so that most resamples' percentiles lie in it; what
    /// lies below is summed by cluster once. Nothing where there are too few values or clusters.
    fn around(values: &'a Clustered, percentile: Percentile, clusters: usize) -> Option<Self> {
        let (lower, upper) = order_statistic_ranks(values.sorted.len(), percentile)?;
        if values.clusters_used(clusters) < FEWEST_CLUSTERS {
            return None;
        }
        // Clustering widens the spread beyond that of independent values: be generous.
        let spread = 4 * (upper - lower);
        let range = lower.saturating_sub(spread)..upper + spread;
        Some(Self::new(values, percentile, clusters, range))
    }

    fn new(
        values: &'a Clustered,
        percentile: Percentile,
        clusters: usize,
        range: Range<usize>,
    ) -> Self {
        let count = |part: &[u32]| {
            let mut counts = vec![0u32; clusters];
            for &cluster in part {
                counts[cluster as usize] += 1;
            }
            counts
        };
        Self {
            below: count(&values.cluster[..range.start]),
            all: count(&values.cluster),
            range: range.start..range.end.min(values.cluster.len()),
            clusters_used: values.clusters_used(clusters),
            values,
            percentile,
        }
    }

    /// The percentile of the values when each counts as often as its cluster does.
    fn percentile(&self, weights: &[u16]) -> Option<f64> {
        let total = |counts: &[u32]| -> usize {
            let products = counts.iter().zip(weights);
            products
                .map(|(&n, &weight)| n as usize * usize::from(weight))
                .sum()
        };
        let rank = self.percentile.rank(total(&self.all))?;
        let below = total(&self.below);
        let found = if below < rank {
            self.walk(self.range.clone(), below, weights, rank)
        } else {
            None
        };
        // Outside the bracket: rare, and exact all the same.
        found.or_else(|| self.walk(0..self.values.cluster.len(), 0, weights, rank))
    }

    fn walk(
        &self,
        range: Range<usize>,
        mut reached: usize,
        weights: &[u16],
        rank: usize,
    ) -> Option<f64> {
        for index in range {
            reached += usize::from(weights[self.values.cluster[index] as usize]);
            if reached >= rank {
                return Some(self.values.sorted.values()[index]);
            }
        }
        None
    }
}

/// A whole number below `n`, by multiplication (Lemire, "Fast random integer generation in an
/// interval", 2019); unrejected, its bias is below n/2⁶⁴.
fn below(rng: &mut Xoshiro256PlusPlus, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clustered(values: &[&[f64]]) -> Clustered {
        let numbered = values.iter().zip(0..);
        Clustered::new(
            numbered
                .flat_map(|(values, cluster)| values.iter().map(move |&value| (value, cluster)))
                .collect(),
        )
    }

    #[test]
    fn a_bracket_changes_no_percentile() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let values: Vec<Vec<f64>> = (0..40)
            .map(|_| (0..5).map(|_| below(&mut rng, 50) as f64).collect())
            .collect();
        let values: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let values = clustered(&values);
        let whole = Bracket::new(&values, Percentile::P50, 40, 0..200);
        let narrow = Bracket::new(&values, Percentile::P50, 40, 95..105);
        ClusterBootstrap::new(vec![20, 20], 50, 3).each_resample(|weights| {
            let expected = whole.percentile(weights);
            assert!(expected.is_some());
            assert_eq!(narrow.percentile(weights), expected);
        });
    }

    #[test]
    fn a_resample_counts_as_many_clusters_as_there_are_in_repeats_of_one_size() {
        ClusterBootstrap::new(vec![10, 10, 10], 20, 1).each_resample(|weights| {
            assert_eq!(weights.iter().map(|&n| u32::from(n)).sum::<u32>(), 30);
        });
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values: Vec<[f64; 1]> = (0..60).map(|i| [f64::from(i * i % 61)]).collect();
        let values: Vec<&[f64]> = values.iter().map(<[f64; 1]>::as_slice).collect();
        let values = clustered(&values);
        let interval = || {
            let bootstrap = ClusterBootstrap::new(vec![30, 30], REPLICATES, SEED);
            bootstrap.intervals(&[(&values, Percentile::P50)])[0]
        };
        assert!(interval().is_some());
        assert_eq!(interval(), interval());
    }

    #[test]
    fn few_clusters_or_none_give_no_interval() {
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        let values = clustered(&[&many, &many]);
        let of = |sizes, values| {
            let bootstrap = ClusterBootstrap::new(sizes, REPLICATES, SEED);
            bootstrap.intervals(&[(values, Percentile::P50)])
        };
        assert_eq!(of(vec![2], &values), [None]);
        assert_eq!(of(vec![], &Clustered::default()), [None]);
    }
}
