//! When requests are wanted: closed loop, open loop, or as a trace says.
//!
//! The moments are pure: an open loop's come from a seed, a trace's from a file. Only `scheduler`
//! waits for them. Arrivals are honest: none is skipped, and a late one does not move the next.

mod rate;
mod scheduler;
mod trace;

pub use rate::{BadRate, RatePlan};
pub(crate) use scheduler::{Due, schedule};
pub use trace::{Trace, TraceError};

use crate::workload::TraceShape;
use rand::SeedableRng;
use rand_distr::{Distribution, Exp1, Gamma};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{num::NonZeroU32, time::Duration};

/// Who decides when a request is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Users that wait for an answer before they ask again: load falls as the server slows.
    Closed {
        /// How many.
        users: NonZeroU32,
        /// A user's pause between an answer and its next request.
        think: Duration,
    },
    /// A clock: requests come whether the server keeps up or not.
    Open(OpenLoop),
}

/// Requests that come by the clock.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenLoop {
    /// When.
    pub source: Source,
    /// No more than this in flight; what is beyond waits its turn, and `queue` says how long.
    pub max_in_flight: Option<NonZeroU32>,
}

/// Where an open loop's moments come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A rate, and how evenly it is kept.
    Rate(RatePlan, Spacing),
    /// What somebody else's users did.
    Trace(Trace),
}

/// How evenly requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spacing {
    /// All the same distance apart.
    Constant,
    /// As users that do not know of each other.
    Poisson,
    /// Gaps of a gamma distribution with this shape: 1 is Poisson, less is burstier.
    Gamma {
        /// The shape; positive.
        burstiness: f64,
    },
}

/// A request's moment, counted from the start of the phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) after: Duration,
    pub(crate) shape: Option<TraceShape>,
}

impl OpenLoop {
    /// All moments, in order; the same at every call.
    pub(crate) fn moments(&self, seed: u64) -> Moments<'_> {
        match &self.source {
            Source::Rate(rate, spacing) => Moments::Rate {
                rate,
                gaps: Gaps::new(*spacing),
                rng: Xoshiro256PlusPlus::seed_from_u64(seed),
                count: 0.0,
            },
            Source::Trace(trace) => Moments::Trace(trace.requests().iter()),
        }
    }
}

/// An open loop's moments.
#[derive(Clone, Debug)]
pub(crate) enum Moments<'a> {
    Rate {
        rate: &'a RatePlan,
        gaps: Gaps,
        rng: Xoshiro256PlusPlus,
        /// Requests due so far, by the rate; a real number.
        count: f64,
    },
    Trace(std::slice::Iter<'a, trace::TraceRequest>),
}

/// Gaps of mean 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gaps {
    Constant,
    Poisson,
    Gamma(Gamma<f64>),
}

impl Gaps {
    fn new(spacing: Spacing) -> Self {
        match spacing {
            Spacing::Constant => Self::Constant,
            Spacing::Poisson => Self::Poisson,
            // A shape that makes no distribution is as good as none: Poisson.
            Spacing::Gamma { burstiness } => {
                Gamma::new(burstiness, 1.0 / burstiness).map_or(Self::Poisson, Self::Gamma)
            }
        }
    }

    fn draw(&self, rng: &mut Xoshiro256PlusPlus) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Poisson => Exp1.sample(rng),
            Self::Gamma(gamma) => gamma.sample(rng),
        }
    }
}

impl Iterator for Moments<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        match self {
            Self::Rate {
                rate,
                gaps,
                rng,
                count,
            } => {
                *count += gaps.draw(rng);
                Some(Moment {
                    after: rate.time_of(*count)?,
                    shape: None,
                })
            }
            Self::Trace(requests) => requests.next().map(|request| Moment {
                after: request.after,
                shape: Some(request.shape.clone()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(rate: RatePlan, spacing: Spacing, count: usize) -> Vec<f64> {
        let open = OpenLoop {
            source: Source::Rate(rate, spacing),
            max_in_flight: None,
        };
        let moments: Vec<Moment> = open.moments(7).take(count).collect();
        assert_eq!(moments, open.moments(7).take(count).collect::<Vec<_>>());
        moments
            .iter()
            .map(|moment| moment.after.as_secs_f64())
            .collect()
    }

    #[test]
    fn constant_arrivals_do_not_drift() {
        let times = seconds(RatePlan::constant(3.0).unwrap(), Spacing::Constant, 3_000);
        assert!((times[2_999] - 1_000.0).abs() < 1e-6);
    }

    #[test]
    fn random_gaps_have_the_mean_and_spread_that_they_should() {
        let spread = |spacing| {
            let times = seconds(RatePlan::constant(10.0).unwrap(), spacing, 20_000);
            let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance =
                gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!((mean - 0.1).abs() < 0.01, "{mean}");
            variance.sqrt() / mean
        };
        assert!((spread(Spacing::Poisson) - 1.0).abs() < 0.05);
        // A gamma distribution's coefficient of variation is 1 / sqrt(shape).
        assert!((spread(Spacing::Gamma { burstiness: 0.25 }) - 2.0).abs() < 0.15);
        assert!((spread(Spacing::Gamma { burstiness: 4.0 }) - 0.5).abs() < 0.05);
    }
}
