//! A distribution, as far as a calibration tells of it.

use report::stats::{Percentile, Sorted};
use serde::{Deserialize, Serialize};

/// A distribution in microseconds. A figure is null where there are too few values for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many values.
    pub n: u64,
    /// The median, with its sign: an error that is mostly to one side shows here.
    pub p50: Option<f64>,
    /// The 99th percentile of the magnitude.
    pub p99: Option<f64>,
    /// The greatest magnitude.
    pub max: Option<f64>,
}

impl Spread {
    pub(crate) fn of(values: Vec<f64>) -> Self {
        let magnitudes = Sorted::new(values.iter().map(|value| value.abs()).collect());
        let values = Sorted::new(values);
        Self {
            n: values.len() as u64,
            p50: values.percentile(Percentile::P50),
            p99: magnitudes.percentile(Percentile::P99),
            max: magnitudes.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_has_a_sign_and_the_rest_none() {
        let spread = Spread::of((-150..50).map(f64::from).collect());
        assert_eq!(spread.n, 200);
        assert_eq!(spread.p50, Some(-51.0));
        assert_eq!(spread.p99, Some(148.0));
        assert_eq!(spread.max, Some(150.0));
    }

    #[test]
    fn too_few_values_have_no_99th_percentile() {
        assert_eq!(Spread::of(vec![1.0; 99]).p99, None);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
