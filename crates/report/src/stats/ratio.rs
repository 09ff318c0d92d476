//! The effect between paired runs as a ratio, for the few pairs that a session has.

use super::{binomial::regularised_beta, repeats::student_t};

/// By which factor the second of each pair exceeds the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedRatio {
    /// The geometric mean of the pairs' ratios.
    pub ratio: f64,
    /// Its 95 % interval; nothing with one pair.
    pub interval: Option<[f64; 2]>,
    /// The least factor that so many pairs, spread like these, would have shown four times in
    /// five; nothing with one pair.
    pub detectable: Option<f64>,
    /// How often pairs without an effect would differ as much; nothing with one pair.
    pub p_value: Option<f64>,
    /// How many pairs.
    pub pairs: usize,
}

/// Student's t over the logarithms of the pairs' ratios: latencies are skewed, and what a pair
/// shares (temperature, time of day, prompts) cancels in its ratio. Unlike Wilcoxon's interval
/// ([`paired_effect`](super::paired_effect)), which needs six pairs, it holds for three. The
/// detectable factor is that of the two-sided t test at 5 % with a power of 80 %, by the sum of
/// the two quantiles (Julious, "Sample Sizes for Clinical Trials" (2010), section 4.2).
/// A pair whose values have no logarithm is left out.
pub fn paired_ratio(pairs: &[(f64, f64)]) -> Option<PairedRatio> {
    let logs: Vec<f64> = pairs
        .iter()
        .filter(|(a, b)| *a > 0.0 && *b > 0.0 && a.is_finite() && b.is_finite())
        .map(|(a, b)| (b / a).ln())
        .collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let degrees = logs.len().checked_sub(1)?;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let error = (degrees > 0).then(|| (squares / degrees as f64 / n).sqrt());
    Some(PairedRatio {
        ratio: mean.exp(),
        interval: error.map(|error| {
            let half = student_t(degrees) * error;
            [(mean - half).exp(), (mean + half).exp()]
        }),
        p_value: error.map(|error| two_sided(mean / error, degrees)),
        detectable: error.map(|error| ((student_t(degrees) + t80(degrees)) * error).exp()),
        pairs: logs.len(),
    })
}

impl PairedRatio {
    /// Whether its interval leaves no change out.
    pub fn is_clear(&self) -> bool {
        self.interval
            .is_some_and(|[low, high]| low > 1.0 || high < 1.0)
    }
}

/// P(|T| ≥ |t|) for Student's t: Abramowitz & Stegun 26.7.1.
fn two_sided(t: f64, degrees: usize) -> f64 {
    let degrees = degrees as f64;
    if t.is_nan() {
        // No difference in any pair.
        return 1.0;
    }
    regularised_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The 80th percentile of Student's t.
fn t80(degrees: usize) -> f64 {
    /// scipy 1.17.1: `scipy.stats.t.ppf(0.8, degrees)`, from one degree of freedom on.
    const TABLE: [f64; 12] = [
        1.3764, 1.0607, 0.9785, 0.941, 0.9195, 0.9057, 0.896, 0.8889, 0.8834, 0.8791, 0.8755,
        0.8726,
    ];
    const Z80: f64 = 0.841_621_233_572_914_3;
    TABLE
        .get(degrees - 1)
        .copied()
        .unwrap_or_else(|| Z80 + (Z80.powi(3) + Z80) / (4.0 * degrees as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17.1 and numpy 2.4.6: mean, `std(ddof=1)` and `stats.t.ppf` of the logarithms.
    #[test]
    fn a_ratio_agrees_with_scipy() {
        let found = paired_ratio(&[(1.0, 1.1), (1.0, 1.2), (2.0, 2.1), (1.0, 1.3)]).unwrap();
        let [low, high] = found.interval.unwrap();
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-4, "{found}");
        near(found.ratio, 1.158_58);
        near(low, 0.996_60);
        near(high, 1.346_89);
        near(found.detectable.unwrap(), 1.217_63);
        // stats.ttest_1samp(np.log(ratios), 0).pvalue
        near(found.p_value.unwrap(), 0.052_862);
        assert!(!found.is_clear());
    }

    #[test]
    fn one_pair_has_a_ratio_alone_and_none_has_nothing() {
        let one = paired_ratio(&[(2.0, 3.0), (0.0, 1.0)]).unwrap();
        assert_eq!((one.pairs, one.interval, one.detectable), (1, None, None));
        assert!((one.ratio - 1.5).abs() < 1e-12);
        assert_eq!(paired_ratio(&[]), None);
    }

    #[test]
    fn beyond_the_table_the_expansion_is_close() {
        // scipy 1.17.1: t.ppf(0.8, 30).
        assert!((t80(30) - 0.853_8).abs() < 1e-3);
    }
}
