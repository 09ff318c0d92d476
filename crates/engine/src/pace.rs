//! Sleeping until an absolute time, to the precision the kernel has.

use clock::MonoNs;
use nix::{
    sys::{prctl, time::TimeSpec},
    time::{ClockId, ClockNanosleepFlags, clock_nanosleep},
};

/// Asks for exact wake-ups of the calling thread: by default the kernel may be 50 µs late.
pub(crate) fn wake_exactly() {
    if let Err(error) = prctl::set_timerslack(1) {
        tracing::warn!(%error, "timer slack stays at the default; steps may end 50 µs late");
    }
}

/// Sleeps until `deadline`; returns at once if it has passed.
pub(crate) fn sleep_until(deadline: MonoNs) {
    let until = TimeSpec::new(
        (deadline.0 / 1_000_000_000) as i64,
        (deadline.0 % 1_000_000_000) as i64,
    );
    // A signal may interrupt the sleep; the deadline is absolute, so just sleep on.
    while MonoNs::now() < deadline {
        let flags = ClockNanosleepFlags::TIMER_ABSTIME;
        let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, flags, &until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_never_wakes_early() {
        wake_exactly();
        let deadline = MonoNs::now().plus(Duration::from_millis(2));
        sleep_until(deadline);
        assert!(MonoNs::now() >= deadline);
        sleep_until(MonoNs(0));
    }
}
