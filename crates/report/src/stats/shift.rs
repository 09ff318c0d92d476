//! Do two things happen together more often than chance would have it?

use super::SEED;
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

/// One stretch of time in equal steps: how much of the first thing (its weight) each step has, and
/// what share of the step the second thing takes.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// How much of the first thing falls into each step.
    pub weight: Vec<f64>,
    /// The share of each step that the second thing takes.
    pub share: Vec<f64>,
}

/// The share of the first thing that coincides with the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coincidence {
    /// As it was seen.
    pub share: f64,
    /// Its 95 % interval, by a bootstrap of blocks of time; nothing with fewer than eight blocks
    /// that hold any of the first thing.
    pub interval: Option<[f64; 2]>,
    /// What chance would give.
    pub by_chance: f64,
    /// The range of 95 % of what chance gives.
    pub chance_range: [f64; 2],
    /// How often chance gives as much as was seen.
    pub p_value: f64,
}

const SHIFTS: usize = 499;
const RESAMPLES: usize = 999;
/// Into how many blocks a stretch is cut.
const BLOCKS: usize = 30;

/// Chance is what is left when each stretch's second thing is shifted by a random time, its end
/// wrapping to its start: both keep their own rhythm and lose only what ties them together
/// (Upton & Fingleton, "Spatial Data Analysis by Example" (1985); the torus shift). Nothing where
/// the first thing never happens, or no stretch has twenty steps.
pub fn coincidence(stretches: &[Stretch]) -> Option<Coincidence> {
    let usable: Vec<&Stretch> = stretches
        .iter()
        .filter(|it| it.share.len() >= 20 && it.weight.len() == it.share.len())
        .collect();
    let total: f64 = usable.iter().flat_map(|it| &it.weight).sum();
    if total <= 0.0 {
        return None;
    }
    // Stalls are rare: only steps that have any weight are visited.
    let sparse: Vec<Vec<(usize, f64)>> = usable.iter().map(|it| sparse(&it.weight)).collect();
    let together = |shifts: &mut dyn FnMut(usize) -> usize| -> f64 {
        let of = |(stretch, weights): (&&Stretch, &Vec<(usize, f64)>)| {
            let n = stretch.share.len();
            let by = shifts(n);
            let product = |&(step, weight): &(usize, f64)| {
                let to = step + by;
                weight * stretch.share[if to < n { to } else { to - n }]
            };
            weights.iter().map(product).sum::<f64>()
        };
        usable.iter().zip(&sparse).map(of).sum::<f64>() / total
    };
    let share = together(&mut |_| 0);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut chance: Vec<f64> = (0..SHIFTS)
        .map(|_| together(&mut |n| (rng.next_u64() % n as u64) as usize))
        .collect();
    let as_much = chance.iter().filter(|it| **it >= share).count();
    chance.sort_unstable_by(f64::total_cmp);
    Some(Coincidence {
        share,
        interval: interval(&usable, &sparse),
        by_chance: chance.iter().sum::<f64>() / SHIFTS as f64,
        chance_range: [chance[12], chance[486]],
        p_value: (1 + as_much) as f64 / (1 + SHIFTS) as f64,
    })
}

fn sparse(weight: &[f64]) -> Vec<(usize, f64)> {
    let steps = weight.iter().copied().enumerate();
    steps.filter(|(_, weight)| *weight > 0.0).collect()
}

/// A ratio of sums over blocks of time, the blocks drawn with replacement.
fn interval(stretches: &[&Stretch], sparse: &[Vec<(usize, f64)>]) -> Option<[f64; 2]> {
    let mut blocks: Vec<[f64; 2]> = Vec::new();
    for (stretch, weights) in stretches.iter().zip(sparse) {
        let n = stretch.share.len();
        let mut sums = vec![[0.0; 2]; BLOCKS];
        for &(step, weight) in weights {
            let block = &mut sums[step * BLOCKS / n];
            block[0] += weight * stretch.share[step];
            block[1] += weight;
        }
        blocks.extend(sums.into_iter().filter(|sum| sum[1] > 0.0));
    }
    if blocks.len() < 8 {
        return None;
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut sums = [0.0; 2];
            for _ in 0..blocks.len() {
                let block = blocks[(rng.next_u64() % blocks.len() as u64) as usize];
                sums[0] += block[0];
                sums[1] += block[1];
            }
            sums[0] / sums[1]
        })
        .collect();
    found.sort_unstable_by(f64::total_cmp);
    Some([found[24], found[974]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(together: bool) -> Stretch {
        let burst = |i: usize| i % 97 < 5;
        let stall = |i: usize| if together { burst(i) } else { i % 89 < 4 };
        Stretch {
            weight: (0..3000).map(|i| f64::from(u8::from(stall(i)))).collect(),
            share: (0..3000).map(|i| f64::from(u8::from(burst(i)))).collect(),
        }
    }

    #[test]
    fn what_happens_together_is_told_from_what_does_not() {
        let tied = coincidence(&[stretch(true), stretch(true)]).unwrap();
        assert_eq!(tied.share, 1.0);
        assert!((tied.by_chance - 5.0 / 97.0).abs() < 0.03, "{tied:?}");
        assert!(tied.p_value < 0.01, "{tied:?}");
        let free = coincidence(&[stretch(false), stretch(false)]).unwrap();
        assert!(free.p_value > 0.05, "{free:?}");
        let [low, high] = free.interval.unwrap();
        assert!(low <= 5.0 / 97.0 && 5.0 / 97.0 <= high, "{free:?}");
    }

    #[test]
    fn without_weight_or_steps_there_is_nothing() {
        assert_eq!(coincidence(&[]), None);
        let idle = Stretch {
            weight: vec![0.0; 30],
            share: vec![1.0; 30],
        };
        assert_eq!(coincidence(&[idle]), None);
    }
}
