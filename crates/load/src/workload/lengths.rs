//! How long prompts and answers are.

use rand::RngExt;
use rand_distr::{Distribution, LogNormal, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Arc;

/// A distribution of token counts.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLengths(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Fixed(u32),
    Normal(Normal<f64>, Bounds),
    LogNormal {
        median: f64,
        of: LogNormal<f64>,
        bounds: Bounds,
    },
    Empirical(Arc<[u32]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bounds {
    min: u32,
    max: u32,
}

/// Numbers that make no distribution of token counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLengths {
    /// The parameters are out of range.
    #[error("{0} is no usable {1} of token counts: use finite, positive numbers")]
    Parameter(String, &'static str),
    /// The bounds exclude everything.
    #[error("no token count lies from {0} to {1}: put the smaller bound first, and 1 or more")]
    Bounds(u32, u32),
    /// There is nothing to draw from.
    #[error("a list of token counts needs one number at least, each 1 or more")]
    Empty,
}

impl TokenLengths {
    /// Always the same.
    pub fn fixed(tokens: u32) -> Self {
        Self(Kind::Fixed(tokens))
    }

    /// A normal distribution; draws outside the bounds become the bound.
    pub fn normal(mean: f64, sd: f64, min: u32, max: u32) -> Result<Self, BadLengths> {
        positive(mean, "mean")?;
        let normal = Normal::new(mean, sd)
            .map_err(|_| BadLengths::Parameter(sd.to_string(), "standard deviation"))?;
        Ok(Self(Kind::Normal(normal, bounds(min, max)?)))
    }

    /// A lognormal distribution by its median and the standard deviation of its logarithm.
    pub fn lognormal(median: f64, sigma: f64, min: u32, max: u32) -> Result<Self, BadLengths> {
        positive(median, "median")?;
        let of = LogNormal::new(median.ln(), sigma)
            .map_err(|_| BadLengths::Parameter(sigma.to_string(), "sigma"))?;
        Ok(Self(Kind::LogNormal {
            median,
            of,
            bounds: bounds(min, max)?,
        }))
    }

    /// Draws from what was seen elsewhere.
    pub fn empirical(seen: impl Into<Arc<[u32]>>) -> Result<Self, BadLengths> {
        let seen = seen.into();
        if seen.is_empty() || seen.contains(&0) {
            return Err(BadLengths::Empty);
        }
        Ok(Self(Kind::Empirical(seen)))
    }

    /// A count in the midst of the distribution, to calibrate with.
    pub fn typical(&self) -> u32 {
        match &self.0 {
            Kind::Fixed(tokens) => *tokens,
            Kind::Normal(normal, bounds) => bounds.clamp(normal.mean()),
            Kind::LogNormal { median, bounds, .. } => bounds.clamp(*median),
            Kind::Empirical(seen) => {
                let mut seen = seen.to_vec();
                seen.sort_unstable();
                seen[seen.len() / 2]
            }
        }
    }

    pub(super) fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> u32 {
        match &self.0 {
            Kind::Fixed(tokens) => *tokens,
            Kind::Normal(normal, bounds) => bounds.clamp(normal.sample(rng)),
            Kind::LogNormal { of, bounds, .. } => bounds.clamp(of.sample(rng)),
            Kind::Empirical(seen) => seen[rng.random_range(0..seen.len())],
        }
    }
}

impl Bounds {
    fn clamp(&self, tokens: f64) -> u32 {
        // Saturates at both ends.
        (tokens.round() as u32).clamp(self.min, self.max)
    }
}

fn bounds(min: u32, max: u32) -> Result<Bounds, BadLengths> {
    if min == 0 || min > max {
        return Err(BadLengths::Bounds(min, max));
    }
    Ok(Bounds { min, max })
}

fn positive(value: f64, what: &'static str) -> Result<(), BadLengths> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(BadLengths::Parameter(value.to_string(), what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn draws(lengths: &TokenLengths) -> Vec<u32> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut draws: Vec<u32> = (0..4_001).map(|_| lengths.draw(&mut rng)).collect();
        draws.sort_unstable();
        draws
    }

    #[test]
    fn draws_follow_their_distribution_within_its_bounds() {
        let normal = draws(&TokenLengths::normal(1_000.0, 100.0, 900, 5_000).unwrap());
        assert_eq!(normal[0], 900);
        assert!(normal[2_000].abs_diff(1_000) < 15, "{}", normal[2_000]);
        let lognormal = TokenLengths::lognormal(1_020.0, 1.0, 1, 16_000).unwrap();
        assert_eq!(lognormal.typical(), 1_020);
        let lognormal = draws(&lognormal);
        assert!(
            lognormal[2_000].abs_diff(1_020) < 60,
            "{}",
            lognormal[2_000]
        );
        assert!(lognormal[4_000] <= 16_000);
        let seen = draws(&TokenLengths::empirical([5, 7]).unwrap());
        assert_eq!((seen[0], seen[4_000]), (5, 7));
        assert_eq!(draws(&TokenLengths::fixed(8))[4_000], 8);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(TokenLengths::normal(f64::NAN, 1.0, 1, 2).is_err());
        assert!(TokenLengths::normal(10.0, f64::INFINITY, 1, 2).is_err());
        assert!(TokenLengths::lognormal(0.0, 1.0, 1, 2).is_err());
        assert!(TokenLengths::normal(10.0, 1.0, 0, 2).is_err());
        assert!(TokenLengths::normal(10.0, 1.0, 3, 2).is_err());
        assert!(TokenLengths::empirical([]).is_err());
    }
}
