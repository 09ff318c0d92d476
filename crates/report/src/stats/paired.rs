//! The effect between paired runs: the same load with and without a change, back to back.

use super::{CONFIDENCE, repeats::Z};

/// By how much the second of each pair exceeds the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedEffect {
    /// The Hodges–Lehmann estimate: the median of all averages of two differences.
    pub estimate: f64,
    /// Its 95 % interval; nothing with fewer than six pairs, which cannot carry one.
    pub interval: Option<[f64; 2]>,
    /// How many pairs.
    pub pairs: usize,
}

/// The Hodges–Lehmann estimate of a shift from paired differences, and the interval that belongs
/// to Wilcoxon's signed-rank test: Hollander, Wolfe & Chicken, "Nonparametric Statistical
/// Methods", 3rd ed. (2014), sections 3.2 and 3.3. It assumes that the differences are symmetric
/// about the shift, not that they are normal; one wild pair moves it little. Nothing without
/// pairs. The work grows with the square of their number.
pub fn paired_effect(differences: &[f64]) -> Option<PairedEffect> {
    let mut averages: Vec<f64> = Vec::with_capacity(differences.len().pow(2) / 2 + 1);
    for (index, a) in differences.iter().enumerate() {
        averages.extend(differences[index..].iter().map(|b| (a + b) / 2.0));
    }
    averages.sort_unstable_by(f64::total_cmp);
    let count = averages.len();
    let (below, above) = (count.checked_sub(1)? / 2, count / 2);
    let interval = signed_rank_depth(differences.len())
        .map(|depth| [averages[depth - 1], averages[count - depth]]);
    Some(PairedEffect {
        estimate: (averages[below] + averages[above]) / 2.0,
        interval,
        pairs: differences.len(),
    })
}

/// How many averages from either end the interval begins: the greatest `d` for which the
/// signed-rank statistic of `n` pairs falls below `d` with at most 2.5 %.
fn signed_rank_depth(n: usize) -> Option<usize> {
    const EXACT: usize = 60;
    let tail = (1.0 - CONFIDENCE) / 2.0;
    if n > EXACT {
        let n = n as f64;
        let middle = n * (n + 1.0) / 4.0;
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        return Some((middle - Z * deviation).floor() as usize);
    }
    let mut reached = 0.0;
    let mut depth = 0;
    for probability in signed_rank_probabilities(n) {
        reached += probability;
        if reached > tail {
            break;
        }
        depth += 1;
    }
    (depth > 0).then_some(depth)
}

/// P(T = 0), P(T = 1), … for the sum T of the ranks 1 … n, each in it or not with probability ½.
fn signed_rank_probabilities(n: usize) -> Vec<f64> {
    let mut probabilities = vec![0.0; n * (n + 1) / 2 + 1];
    probabilities[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..probabilities.len()).rev() {
            let with = sum
                .checked_sub(rank)
                .map_or(0.0, |less| probabilities[less]);
            probabilities[sum] = 0.5 * (probabilities[sum] + with);
        }
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The depths are those of scipy 1.17.1's signed-rank distribution,
    /// `scipy.stats._wilcoxon.WilcoxonDistribution(n)`.
    #[test]
    fn depths_agree_with_scipy() {
        for (n, depth) in SCIPY {
            assert_eq!(signed_rank_depth(n), depth, "{n}");
        }
    }

    const SCIPY: [(usize, Option<usize>); 8] = [
        (1, None),
        (5, None),
        (6, Some(1)),
        (8, Some(4)),
        (10, Some(9)),
        (12, Some(14)),
        (25, Some(90)),
        (60, Some(649)),
    ];

    /// Darwin's fifteen pairs of plants (Fisher, "The Design of Experiments", 1935), inches.
    #[test]
    fn an_effect_agrees_with_numpy() {
        let darwin = [
            6.125, -8.375, 1.0, 2.0, 0.75, 2.875, 3.5, 5.125, 1.75, 3.625, 7.0, 3.0, 9.375, 7.5,
            -6.0,
        ];
        let effect = paired_effect(&darwin).unwrap();
        assert_eq!(effect.estimate, 3.125);
        assert_eq!(effect.interval, Some([0.5, 5.1875]));
        assert_eq!(effect.pairs, 15);
    }

    #[test]
    fn few_pairs_have_an_estimate_but_no_interval() {
        let effect = paired_effect(&[1.0, 2.0, 4.0]).unwrap();
        assert_eq!((effect.estimate, effect.interval), (2.25, None));
        assert_eq!(paired_effect(&[]), None);
    }

    #[test]
    fn many_pairs_meet_the_exact_depth() {
        let n = 60.0f64;
        let middle = n * (n + 1.0) / 4.0;
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let exact = signed_rank_depth(60).unwrap() as f64;
        assert!((exact - (middle - Z * deviation)).abs() < 3.0);
    }
}
