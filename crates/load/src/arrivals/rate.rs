//! A rate that changes with time, in steps and ramps.

use std::time::Duration;

/// Requests a second, as a function of time: straight pieces, of which the last goes on for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct RatePlan(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Infinite for the last one.
    seconds: f64,
    from: f64,
    to: f64,
}

/// Numbers that are no rate.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadRate {
    /// Not a number of requests a second.
    #[error("{0} is no rate of requests: use a positive number a second, up to a million")]
    Rate(f64),
    /// No rate is given.
    #[error("a plan of rates needs one at least")]
    Empty,
}

impl RatePlan {
    /// The same rate for ever.
    pub fn constant(per_s: f64) -> Result<Self, BadRate> {
        Self::steps(&[(Duration::ZERO, per_s)])
    }

    /// One rate after another: each for its time, the last for ever.
    pub fn steps(steps: &[(Duration, f64)]) -> Result<Self, BadRate> {
        let mut pieces = Vec::with_capacity(steps.len());
        for &(time, per_s) in steps {
            check(per_s)?;
            pieces.push(Piece {
                seconds: time.as_secs_f64(),
                from: per_s,
                to: per_s,
            });
        }
        pieces.last_mut().ok_or(BadRate::Empty)?.seconds = f64::INFINITY;
        Ok(Self(pieces))
    }

    /// From one rate to another, evenly, and on with that one.
    pub fn ramp(from_per_s: f64, to_per_s: f64, over: Duration) -> Result<Self, BadRate> {
        check(from_per_s)?;
        check(to_per_s)?;
        let ramp = Piece {
            seconds: over.as_secs_f64(),
            from: from_per_s,
            to: to_per_s,
        };
        let rest = Piece {
            seconds: f64::INFINITY,
            from: to_per_s,
            to: to_per_s,
        };
        Ok(Self(vec![ramp, rest]))
    }

    /// When so many requests are due. None beyond all time.
    pub(super) fn time_of(&self, count: f64) -> Option<Duration> {
        let (mut start, mut left) = (0.0, count);
        for piece in &self.0 {
            let whole = (piece.from + piece.to) / 2.0 * piece.seconds;
            if left <= whole {
                return Duration::try_from_secs_f64(start + piece.time_of(left)).ok();
            }
            left -= whole;
            start += piece.seconds;
        }
        None
    }
}

impl Piece {
    /// The t at which the area under the piece is `count`: a·t + b·t²/2 = count, solved so that a
    /// slope of 0 is no special case.
    fn time_of(&self, count: f64) -> f64 {
        let slope = match self.seconds.is_finite() && self.seconds > 0.0 {
            true => (self.to - self.from) / self.seconds,
            false => 0.0,
        };
        let root = (self.from * self.from + 2.0 * slope * count)
            .max(0.0)
            .sqrt();
        2.0 * count / (self.from + root)
    }
}

fn check(per_s: f64) -> Result<(), BadRate> {
    if per_s > 0.0 && per_s <= 1e6 {
        return Ok(());
    }
    Err(BadRate::Rate(per_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(plan: &RatePlan, count: f64) -> f64 {
        plan.time_of(count).unwrap().as_secs_f64()
    }

    #[test]
    fn steps_follow_each_other() {
        let plan =
            RatePlan::steps(&[(Duration::from_secs(10), 1.0), (Duration::ZERO, 5.0)]).unwrap();
        assert_eq!(at(&plan, 5.0), 5.0);
        assert_eq!(at(&plan, 10.0), 10.0);
        assert_eq!(at(&plan, 20.0), 12.0);
    }

    #[test]
    fn a_ramp_has_the_area_of_its_mean() {
        for (from, to) in [(1.0, 9.0), (9.0, 1.0), (5.0, 5.0)] {
            let plan = RatePlan::ramp(from, to, Duration::from_secs(10)).unwrap();
            assert!((at(&plan, 50.0) - 10.0).abs() < 1e-9);
            assert!((at(&plan, 50.0 + to) - 11.0).abs() < 1e-9);
        }
        let plan = RatePlan::ramp(1.0, 3.0, Duration::ZERO).unwrap();
        assert_eq!(at(&plan, 3.0), 1.0);
    }

    #[test]
    fn nonsense_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(RatePlan::constant(rate).is_err());
        }
        assert_eq!(RatePlan::steps(&[]), Err(BadRate::Empty));
    }
}
