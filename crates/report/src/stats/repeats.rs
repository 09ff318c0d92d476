//! Confidence intervals of a percentile from what the repeats of a cell differ by.

/// The 95 % interval of a percentile of pooled repeats, from each repeat's own percentile:
/// Student's t over the repeats' logarithms, around the pooled value. Nothing with fewer than
/// two repeats, or where a value has no logarithm.
///
/// What differs from repeat to repeat (placement, temperature, what else the host did) moves all
/// of a repeat's requests together, and only the repeats show by how much: their number, not that
/// of the requests, decides how sure one can be. A two-stage bootstrap of three repeats holds the
/// truth three times in four when repeats differ (`tests/coverage.rs`); this interval does 95
/// times in 100, at the price of its length. Latencies are skewed: their logarithms are not.
pub fn repeat_interval(pooled: f64, repeats: &[f64]) -> Option<[f64; 2]> {
    let degrees = repeats
        .len()
        .checked_sub(1)
        .filter(|&degrees| degrees > 0)?;
    if pooled <= 0.0 || repeats.iter().any(|&value| value <= 0.0) {
        return None;
    }
    let count = repeats.len() as f64;
    let mean = repeats.iter().map(|value| value.ln()).sum::<f64>() / count;
    let squares: f64 = repeats
        .iter()
        .map(|value| (value.ln() - mean).powi(2))
        .sum();
    let error = (squares / degrees as f64 / count).sqrt();
    let factor = (student_t(degrees) * error).exp();
    Some([pooled / factor, pooled * factor])
}

/// The 97.5th percentile of the standard normal.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The 97.5th percentile of Student's t.
pub(super) fn student_t(degrees: usize) -> f64 {
    /// scipy 1.17.1: `scipy.stats.t.ppf(0.975, degrees)`, from one degree of freedom on.
    const TABLE: [f64; 30] = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201,
        2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739,
        2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
    ];
    // Beyond the table, the first term of its expansion is right within 0.003: Abramowitz & Stegun
    // 26.7.5.
    TABLE
        .get(degrees - 1)
        .copied()
        .unwrap_or_else(|| Z + (Z.powi(3) + Z) / (4.0 * degrees as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // ln: 0, 1, 2; mean 1, standard error 1/√3.
        let repeats = [0.0, 1.0, 2.0].map(f64::exp);
        let [low, high] = repeat_interval(1f64.exp(), &repeats).unwrap();
        let half = 4.3027 / 3f64.sqrt();
        assert!((low.ln() - (1.0 - half)).abs() < 1e-9);
        assert!((high.ln() - (1.0 + half)).abs() < 1e-9);
    }

    #[test]
    fn the_expansion_meets_the_table() {
        assert!((student_t(31) - 2.0395).abs() < 4e-3);
        assert!((student_t(60) - 2.0003).abs() < 1e-3);
    }

    #[test]
    fn one_repeat_or_a_value_without_logarithm_has_no_interval() {
        assert_eq!(repeat_interval(1.0, &[1.0]), None);
        assert_eq!(repeat_interval(1.0, &[]), None);
        assert_eq!(repeat_interval(1.0, &[0.0, 1.0]), None);
    }
}
