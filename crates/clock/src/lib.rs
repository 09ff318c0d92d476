//! The one clock of a session.
//!
//! Every time that Spillpoint records is CLOCK_MONOTONIC, so that a request, a host sample and a
//! device counter can be laid beside each other, and so that an NTP step moves none of them.
//! This crate owns the two types for such times and is the only place that reads the clock.
//! It knows nothing of what the times are for.
//!
//! Kernel receive timestamps arrive in CLOCK_REALTIME; [`ClockPair`] maps them here.

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::{ops::Sub, time::Duration};

/// A reading of CLOCK_MONOTONIC, in nanoseconds. The same in every process of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonoNs(pub u64);

impl MonoNs {
    /// Reads the clock.
    pub fn now() -> Self {
        Self(read(ClockId::CLOCK_MONOTONIC))
    }

    /// This time plus `span`.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(duration_ns(span)))
    }

    /// How long it is from `earlier` until this time; zero if `earlier` is later.
    pub fn since(self, earlier: MonoNs) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds since the session's t0, as every recorded time is. Negative before t0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SessionNs(pub i64);

impl SessionNs {
    /// This time plus `span`.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration_ns(span)))
    }

    /// Seconds since t0, for axes and people.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// The signed distance between two session times, in nanoseconds.
impl Sub for SessionNs {
    type Output = i64;

    fn sub(self, earlier: SessionNs) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Turns CLOCK_MONOTONIC readings into session times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionClock {
    t0: MonoNs,
}

impl SessionClock {
    /// A clock whose t0 is now.
    pub fn start() -> Self {
        Self { t0: MonoNs::now() }
    }

    /// The clock of a session whose t0 is known.
    pub fn from_t0(t0: MonoNs) -> Self {
        Self { t0 }
    }

    /// The session's t0.
    pub fn t0(&self) -> MonoNs {
        self.t0
    }

    /// Reads the clock.
    pub fn now(&self) -> SessionNs {
        self.at(MonoNs::now())
    }

    /// A monotonic reading as session time.
    pub fn at(&self, time: MonoNs) -> SessionNs {
        // u64 nanoseconds last 584 years of uptime, i64 half of that: the cast can't wrap.
        SessionNs(time.0 as i64 - self.t0.0 as i64)
    }

    /// A session time as a monotonic reading; times before boot become zero.
    pub fn mono(&self, time: SessionNs) -> MonoNs {
        MonoNs(self.t0.0.saturating_add_signed(time.0))
    }
}

/// CLOCK_MONOTONIC and CLOCK_REALTIME read together: ties session time to UTC, and maps the
/// kernel's socket timestamps, which are CLOCK_REALTIME
/// (Documentation/networking/timestamping.rst), onto CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPair {
    /// The monotonic time at which `utc_ns` held.
    pub mono_ns: MonoNs,
    /// Nanoseconds of UTC since the Unix epoch.
    pub utc_ns: u64,
    /// The true pair is at most this far apart: the span of the two monotonic readings.
    pub uncertainty_ns: u64,
}

impl ClockPair {
    /// Reads both clocks: the real time between two monotonic readings.
    pub fn read() -> Self {
        let before = MonoNs::now();
        let utc_ns = read(ClockId::CLOCK_REALTIME);
        let uncertainty_ns = MonoNs::now().0.saturating_sub(before.0);
        Self {
            mono_ns: MonoNs(before.0 + uncertainty_ns / 2),
            utc_ns,
            uncertainty_ns,
        }
    }

    /// How far the wall clock was stepped between an earlier pair and this one, in nanoseconds:
    /// negative if it was set back. Slewing moves both clocks alike and does not show.
    pub fn stepped_since(&self, earlier: &ClockPair) -> i64 {
        let gone = self.mono_ns.0 as i64 - earlier.mono_ns.0 as i64;
        self.utc_ns as i64 - earlier.utc_ns as i64 - gone
    }

    /// The monotonic time of a real time near this pair.
    pub fn mono_of_utc(&self, utc_ns: u64) -> MonoNs {
        let ago = self.utc_ns as i64 - utc_ns as i64;
        MonoNs(self.mono_ns.0.saturating_add_signed(-ago))
    }
}

fn read(clock: ClockId) -> u64 {
    // The kernel refuses only unknown clocks and bad pointers (clock_gettime(2)); both clocks
    // exist on every Linux.
    let time = clock_gettime(clock).expect("CLOCK_MONOTONIC and CLOCK_REALTIME always exist");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn duration_ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_clock_moves_forward() {
        let clock = SessionClock::start();
        let first = clock.now();
        assert!(first.0 >= 0);
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_real_time_maps_onto_the_monotonic_clock() {
        let pair = ClockPair {
            mono_ns: MonoNs(5_000),
            utc_ns: 1_000_000,
            uncertainty_ns: 10,
        };
        assert_eq!(pair.mono_of_utc(1_000_000), MonoNs(5_000));
        assert_eq!(pair.mono_of_utc(999_000), MonoNs(4_000));
        assert_eq!(pair.mono_of_utc(1_000_500), MonoNs(5_500));
    }

    proptest! {
        #[test]
        fn session_and_monotonic_time_are_the_same_clock(t0 in 0..1u64 << 62, at in 0..1u64 << 62) {
            let clock = SessionClock::from_t0(MonoNs(t0));
            prop_assert_eq!(clock.mono(clock.at(MonoNs(at))), MonoNs(at));
        }
    }
}
