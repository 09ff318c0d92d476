//! Where a series settles.

/// How many values a batch holds.
const BATCH: usize = 5;

/// From which value on a series looks settled: the truncation that MSER-5 chooses, the one after
/// which the mean of what is left is known best (White, "An Effective Truncation Heuristic for
/// Bias Reduction in Simulation Output", Simulation 69 (1997)). Nothing where it would cut more
/// than half, which says that the series has not settled, or where there are fewer than ten
/// batches.
pub fn settles_at(series: &[f64]) -> Option<usize> {
    let batches: Vec<f64> = series
        .chunks_exact(BATCH)
        .map(|batch| batch.iter().sum::<f64>() / BATCH as f64)
        .collect();
    let n = batches.len();
    if n < 10 {
        return None;
    }
    let mut best: Option<(f64, usize)> = None;
    let (mut sum, mut squares) = (0.0, 0.0);
    for (index, value) in batches.iter().enumerate().rev() {
        sum += value;
        squares += value * value;
        let left = (n - index) as f64;
        // The last few batches agree by chance.
        if left >= 5.0 {
            let spread = (squares - sum * sum / left).max(0.0) / (left * left);
            if best.is_none_or(|(least, _)| spread <= least) {
                best = Some((spread, index));
            }
        }
    }
    let (_, index) = best?;
    (index <= n / 2).then_some(index * BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::normal::Normals;

    #[test]
    fn a_slow_start_is_found() {
        let mut noise = Normals::new(1);
        let noise = noise.take(600);
        let series: Vec<f64> = (0..600)
            .map(|i| 10.0 + 20.0 * (-(i as f64) / 30.0).exp() + noise[i])
            .collect();
        let from = settles_at(&series).unwrap();
        assert!((40..200).contains(&from), "{from}");
    }

    #[test]
    fn a_settled_series_loses_little_and_a_drifting_one_never_settles() {
        let noise = Normals::new(2).take(600);
        assert!(settles_at(&noise).unwrap() < 200);
        let drift: Vec<f64> = (0..600).map(|i| i as f64 + noise[i]).collect();
        assert_eq!(settles_at(&drift), None);
        assert_eq!(settles_at(&[1.0; 20]), None);
    }
}
