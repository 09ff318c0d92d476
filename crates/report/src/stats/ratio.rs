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

/// By which factor one set of runs exceeds another that was not paired with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnpairedRatio {
    /// The ratio of the geometric means.
    pub ratio: f64,
    /// Its 95 % interval; nothing unless both sides have two runs.
    pub interval: Option<[f64; 2]>,
    /// How many runs on each side.
    pub runs: [usize; 2],
}

/// Welch's t over logarithms: the two sides need not vary alike (Welch, "The Generalization of
/// Student's Problem when Several Different Population Variances are Involved", Biometrika 34
/// (1947)). Degrees of freedom are rounded down. Values without a logarithm are left out.
pub fn unpaired_ratio(a: &[f64], b: &[f64]) -> Option<UnpairedRatio> {
    let logs = |values: &[f64]| -> Vec<f64> {
        let usable = values.iter().filter(|it| **it > 0.0 && it.is_finite());
        usable.map(|value| value.ln()).collect()
    };
    let sides = [logs(a), logs(b)];
    if sides.iter().any(Vec::is_empty) {
        return None;
    }
    let counts = sides.each_ref().map(Vec::len);
    let means = sides
        .each_ref()
        .map(|it| it.iter().sum::<f64>() / it.len() as f64);
    let ratio = (means[1] - means[0]).exp();
    // The squared standard error of each mean.
    let errors = [0, 1].map(|side| {
        let squares: f64 = sides[side]
            .iter()
            .map(|it| (it - means[side]).powi(2))
            .sum();
        squares / (counts[side] as f64 - 1.0) / counts[side] as f64
    });
    let both: f64 = errors.iter().sum();
    let parts = [0, 1].map(|side| errors[side].powi(2) / (counts[side] as f64 - 1.0));
    let degrees = both.powi(2) / parts.iter().sum::<f64>();
    let interval = counts.iter().all(|&n| n >= 2).then(|| {
        // Sides that do not vary at all have no degrees to speak of, and no error.
        let degrees = if degrees.is_finite() {
            degrees.max(1.0) as usize
        } else {
            1
        };
        let half = student_t(degrees) * both.sqrt();
        [ratio * (-half).exp(), ratio * half.exp()]
    });
    Some(UnpairedRatio {
        ratio,
        interval,
        runs: counts,
    })
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

    /// scipy 1.17.1: `stats.ttest_ind(log(b), log(a), equal_var=False).confidence_interval()`; its
    /// degrees are 2.39, ours are rounded down to two, which makes the interval longer.
    #[test]
    fn an_unpaired_ratio_is_welchs() {
        let found = unpaired_ratio(&[1.0, 1.1, 1.05], &[1.5, 2.0, 1.6]).unwrap();
        let [low, high] = found.interval.unwrap();
        assert!((found.ratio - 1.607_75).abs() < 1e-4, "{}", found.ratio);
        assert!(low < 1.147_56 && 1.147_56 - low < 0.1, "{low}");
        assert!(2.252_49 < high && high - 2.252_49 < 0.3, "{high}");
        assert_eq!(unpaired_ratio(&[1.0], &[2.0, 2.0]).unwrap().interval, None);
        assert_eq!(unpaired_ratio(&[], &[2.0]), None);
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
