//! When ticks are due: pure arithmetic on the clock.

use clock::MonoNs;
use std::time::Duration;

/// The distance of two ticks: 10 ms to 1 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInterval(Duration);

/// An interval that is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sampling interval of {0:?} is not possible; choose 10 ms to 1 s")]
pub struct BadInterval(pub Duration);

impl SampleInterval {
    /// Ten a second.
    pub const DEFAULT: Self = Self(Duration::from_millis(100));

    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    /// An interval of this length.
    pub fn new(interval: Duration) -> Result<Self, BadInterval> {
        if (Self::SHORTEST..=Self::LONGEST).contains(&interval) {
            Ok(Self(interval))
        } else {
            Err(BadInterval(interval))
        }
    }

    /// Its length.
    pub fn duration(self) -> Duration {
        self.0
    }
}

/// Ticks at absolute deadlines, so that neither a late tick nor a long read moves the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    origin: MonoNs,
    interval: SampleInterval,
}

impl Schedule {
    pub(crate) fn new(origin: MonoNs, interval: SampleInterval) -> Self {
        Self { origin, interval }
    }

    pub(crate) fn due(&self, tick: u64) -> MonoNs {
        MonoNs(
            self.origin
                .0
                .saturating_add(tick.saturating_mul(self.interval_ns())),
        )
    }

    /// The tick to take after `last`: the one that became due latest, or else the next. Those
    /// between were missed, and their numbers stay unused.
    pub(crate) fn after(&self, last: u64, now: MonoNs) -> u64 {
        (last + 1).max(self.latest_due(now))
    }

    fn latest_due(&self, now: MonoNs) -> u64 {
        now.0.saturating_sub(self.origin.0) / self.interval_ns()
    }

    fn interval_ns(&self) -> u64 {
        // At most 1e9: `SampleInterval` is at most a second.
        self.interval.0.as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn schedule() -> Schedule {
        let interval = SampleInterval::new(Duration::from_millis(100)).unwrap();
        Schedule::new(MonoNs(7 * MS), interval)
    }

    #[test]
    fn a_tick_in_time_is_followed_by_the_next() {
        assert_eq!(schedule().due(3), MonoNs(307 * MS));
        assert_eq!(schedule().after(3, MonoNs(310 * MS)), 4);
    }

    #[test]
    fn a_tick_that_ends_late_takes_the_one_that_is_due() {
        // Tick 4 was due at 407 and comes late; 5 and 6 were due before 650, so 5 is missed.
        assert_eq!(schedule().after(3, MonoNs(450 * MS)), 4);
        assert_eq!(schedule().after(4, MonoNs(650 * MS)), 6);
    }

    #[test]
    fn only_sensible_intervals() {
        let new = |ms| SampleInterval::new(Duration::from_millis(ms));
        assert!(new(10).is_ok() && new(1000).is_ok());
        assert_eq!(
            new(9).unwrap_err().to_string(),
            "a sampling interval of 9ms is not possible; choose 10 ms to 1 s"
        );
        assert!(new(1001).is_err());
    }

    proptest! {
        #[test]
        fn the_next_tick_is_new_and_less_than_an_interval_late(last in 0..1000u64, now in 0..100_000u64) {
            let (schedule, now) = (schedule(), MonoNs(now * MS));
            let next = schedule.after(last, now);
            prop_assert!(next > last);
            prop_assert!(next == last + 1 || now.since(schedule.due(next)) < Duration::from_millis(100));
        }
    }
}
