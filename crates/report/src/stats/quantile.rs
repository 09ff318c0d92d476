//! Percentiles of a sample.

use std::fmt;

/// A percentile, in whole thousandths so that its rank is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile(u16);

impl Percentile {
    /// The median.
    pub const P50: Percentile = Percentile(500);
    /// The 90th percentile.
    pub const P90: Percentile = Percentile(900);
    /// The 95th percentile.
    pub const P95: Percentile = Percentile(950);
    /// The 99th percentile.
    pub const P99: Percentile = Percentile(990);
    /// The percentiles that are reported, in ascending order.
    pub const REPORTED: [Percentile; 4] = [Self::P50, Self::P90, Self::P95, Self::P99];

    /// As a fraction of 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// The fewest values that support it: one of them is then expected above it, so that the
    /// percentile is not merely the maximum by another name. The median needs one value.
    pub fn fewest(self) -> usize {
        if self == Self::P50 {
            return 1;
        }
        usize::from(1000u16.div_ceil(1000 - self.0))
    }

    /// Its rank, from 1, among `n` values: ⌈n·p⌉, or nothing where `n` is too small for it.
    ///
    /// This is definition 1 of Hyndman & Fan, "Sample quantiles in statistical packages", The
    /// American Statistician 50 (1996): the inverse of the empirical distribution function,
    /// `method="inverted_cdf"` in numpy. A percentile is then a value that was observed, and the
    /// order statistics of its interval are of the same kind.
    pub fn rank(self, n: usize) -> Option<usize> {
        (n >= self.fewest()).then(|| (n as u128 * u128::from(self.0)).div_ceil(1000) as usize)
    }

    /// The highest reported percentile that `n` values support.
    pub fn highest(n: usize) -> Option<Percentile> {
        Self::REPORTED
            .into_iter()
            .rev()
            .find(|percentile| n >= percentile.fewest())
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", f64::from(self.0) / 10.0)
    }
}

/// Values in ascending order, none of them NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Sorts the values. NaN, which no record holds, is left out.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.retain(|value| !value.is_nan());
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    /// Values that are in ascending order already.
    pub(super) fn from_ascending(values: Vec<f64>) -> Self {
        debug_assert!(values.is_sorted());
        Self(values)
    }

    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their arithmetic mean.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.0.iter().sum::<f64>() / self.len() as f64)
    }

    /// The greatest.
    pub fn max(&self) -> Option<f64> {
        self.0.last().copied()
    }

    /// A percentile, where there are enough values for it; see [`Percentile::rank`].
    pub fn percentile(&self, percentile: Percentile) -> Option<f64> {
        percentile.rank(self.len()).map(|rank| self.0[rank - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4.6: `numpy.quantile(x, p, method="inverted_cdf")`.
    #[test]
    fn percentiles_agree_with_numpy() {
        let x: Vec<f64> = (0..137)
            .map(|i| f64::from((i * 7919) % 1009) / 8.0)
            .collect();
        let sorted = Sorted::new(x);
        let found = Percentile::REPORTED.map(|p| sorted.percentile(p).unwrap());
        assert_eq!(found, [64.125, 113.75, 121.0, 125.125]);
    }

    #[test]
    fn a_percentile_from_too_few_values_is_none() {
        let ramp = |n: u32| Sorted::new((1..=n).map(f64::from).collect());
        assert_eq!(ramp(99).percentile(Percentile::P99), None);
        assert_eq!(ramp(100).percentile(Percentile::P99), Some(99.0));
        assert_eq!(ramp(19).percentile(Percentile::P95), None);
        assert_eq!(ramp(20).percentile(Percentile::P95), Some(19.0));
        assert_eq!(ramp(9).percentile(Percentile::P90), None);
        assert_eq!(ramp(10).percentile(Percentile::P90), Some(9.0));
        assert_eq!(ramp(1).percentile(Percentile::P50), Some(1.0));
        assert_eq!(ramp(0).percentile(Percentile::P50), None);
        assert_eq!(Percentile::highest(99), Some(Percentile::P95));
    }

    #[test]
    fn a_percentile_is_called_as_people_say_it() {
        let names = Percentile::REPORTED.map(|p| p.to_string());
        assert_eq!(names, ["p50", "p90", "p95", "p99"]);
    }
}
