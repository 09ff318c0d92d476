//! From the kernel's receive stamps, which are CLOCK_REALTIME, to CLOCK_MONOTONIC; also where the wall
//! clock is stepped meanwhile.

use clock::{ClockPair, MonoNs};
use std::time::Duration;

/// How long one pair of clock readings serves. NTP slews both clocks alike; only a step parts them.
const PAIR_LIFE: Duration = Duration::from_millis(10);
/// A stamp that lies further from its read than this is only believed by a pair that was read since.
const CLOSE: Duration = Duration::from_millis(1);
/// By less than this the distance of the clocks is read differently because reading takes time.
const STEP: Duration = Duration::from_micros(100);

/// The way from one clock to the other.
#[derive(Debug)]
pub(crate) struct KernelTime {
    pair: ClockPair,
    /// When a step was seen last: stamps of before are of the wall clock as it was.
    stepped: MonoNs,
}

impl KernelTime {
    pub(crate) fn new(pair: ClockPair) -> Self {
        Self {
            pair,
            stepped: MonoNs(0),
        }
    }

    /// When the kernel stamped what was read at `read`; None where a step of the wall clock leaves
    /// that open. `fresh` reads the clocks.
    pub(crate) fn arrival(
        &mut self,
        utc_ns: u64,
        read: MonoNs,
        fresh: impl FnOnce() -> ClockPair,
    ) -> Option<MonoNs> {
        let arrival = self.pair.mono_of_utc(utc_ns);
        let far = read.since(arrival).max(arrival.since(read)) > CLOSE;
        if far || read.since(self.pair.mono_ns) > PAIR_LIFE {
            self.renew(fresh());
        }
        let arrival = self.pair.mono_of_utc(utc_ns);
        (arrival >= self.stepped).then_some(arrival.min(read))
    }

    fn renew(&mut self, pair: ClockPair) {
        let expected = self.pair.mono_of_utc(pair.utc_ns);
        let moved = pair
            .mono_ns
            .since(expected)
            .max(expected.since(pair.mono_ns));
        let unsure = Duration::from_nanos(pair.uncertainty_ns + self.pair.uncertainty_ns);
        if moved > STEP + unsure {
            self.stepped = pair.mono_ns;
        }
        self.pair = pair;
    }
}

/// The narrowest of three pairs: one may have been torn by a preemption.
pub(crate) fn read_pair() -> ClockPair {
    let pairs = [ClockPair::read(), ClockPair::read(), ClockPair::read()];
    pairs
        .into_iter()
        .min_by_key(|pair| pair.uncertainty_ns)
        .unwrap_or(pairs[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const UTC: u64 = 1_795_000_000_000 * MS;

    /// Both clocks at a monotonic time, the wall clock being so much off.
    fn pair(mono_ms: u64, off_ms: i64) -> ClockPair {
        ClockPair {
            mono_ns: MonoNs(mono_ms * MS),
            utc_ns: utc(mono_ms * MS, off_ms),
            uncertainty_ns: 100,
        }
    }

    fn utc(mono_ns: u64, off_ms: i64) -> u64 {
        (UTC + mono_ns).saturating_add_signed(off_ms * MS as i64)
    }

    #[test]
    fn a_late_read_moves_no_arrival() {
        let mut kernel = KernelTime::new(pair(1000, 0));
        let (stamped, read) = (1002 * MS, MonoNs(1500 * MS));
        let arrival = kernel.arrival(utc(stamped, 0), read, || pair(1500, 0));
        assert_eq!(arrival, Some(MonoNs(stamped)));
    }

    #[test]
    fn a_step_while_the_pair_is_fresh_is_seen() {
        for off in [-5000, 5000] {
            let mut kernel = KernelTime::new(pair(1000, 0));
            // Stamped and read after the step, within the life of the pair from before.
            let read = MonoNs(1004 * MS + 50_000);
            let arrival = kernel.arrival(utc(1004 * MS, off), read, || pair(1004, off));
            let doubt = arrival.map_or(Duration::ZERO, |it| MonoNs(1004 * MS).since(it));
            assert_eq!(doubt, Duration::ZERO, "{off}: not earlier than it was");
            // What comes later is exact again.
            let (stamped, read) = (1007 * MS, MonoNs(1007 * MS + 9_000));
            let arrival = kernel.arrival(utc(stamped, off), read, || pair(1007, off));
            assert_eq!(arrival, Some(MonoNs(stamped)), "{off}");
        }
    }

    #[test]
    fn a_stamp_from_before_a_step_is_left_open_or_at_its_read() {
        for off in [-5000, 5000] {
            let mut kernel = KernelTime::new(pair(1000, 0));
            // Another message's read has renewed the pair since the step.
            kernel.arrival(utc(1020 * MS, off), MonoNs(1020 * MS), || pair(1020, off));
            let read = MonoNs(1021 * MS);
            let arrival = kernel.arrival(utc(1019 * MS, 0), read, || pair(1021, off));
            assert!(arrival.is_none_or(|it| it == read), "{off}: {arrival:?}");
        }
    }
}
