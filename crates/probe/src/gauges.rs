//! What follows from two readings of one block device: the figures of `iostat -x`.
//!
//! Pure arithmetic on raw counters. A mean over no I/O is undefined, hence absent, never 0.

use crate::parse::BlockStat;
use std::time::Duration;

/// The figures of one device over one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockGauges {
    /// Mean time of the reads that completed; absent if none did.
    pub r_await_ms: Option<f64>,
    /// Mean time of the writes that completed; absent if none did.
    pub w_await_ms: Option<f64>,
    /// Mean I/Os in flight.
    pub aqu_sz: Option<f64>,
    /// Share of the time with any I/O in flight. The kernel counts it in its own ticks of 1 to
    /// 10 ms, so that over a short interval it can exceed the interval: it is cut at 100.
    pub util_pct: Option<f64>,
}

impl BlockGauges {
    /// The figures between two readings that lie `elapsed` apart.
    pub fn between(first: &BlockStat, last: &BlockStat, elapsed: Duration) -> Self {
        let elapsed_ms = elapsed.as_secs_f64() * 1e3;
        let share = |ms: u64| (elapsed_ms > 0.0).then(|| ms as f64 / elapsed_ms);
        let busy_ms = growth_ms(first.io_time_ms, last.io_time_ms);
        let weighted_ms = growth_ms(first.weighted_io_time_ms, last.weighted_io_time_ms);
        Self {
            r_await_ms: mean_ms(
                growth_ms(first.read_time_ms, last.read_time_ms),
                last.reads.saturating_sub(first.reads),
            ),
            w_await_ms: mean_ms(
                growth_ms(first.write_time_ms, last.write_time_ms),
                last.writes.saturating_sub(first.writes),
            ),
            aqu_sz: share(weighted_ms),
            util_pct: share(busy_ms).map(|share| (100.0 * share).min(100.0)),
        }
    }
}

fn mean_ms(total_ms: u64, ios: u64) -> Option<f64> {
    (ios > 0).then(|| total_ms as f64 / ios as f64)
}

/// How far a millisecond counter of a block device has come. It has 32 bits, so that it wraps:
/// `weighted_io_time_ms` does so after 72 minutes at 1000 I/Os in flight. A small step back is no
/// wrap, and counts as nothing.
pub fn growth_ms(first: u64, last: u64) -> u64 {
    const RANGE: u64 = 1 << 32;
    match last.checked_sub(first) {
        Some(growth) => growth,
        None if first < RANGE && first - last > RANGE / 2 => last + RANGE - first,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_figures_of_iostat() {
        let first = BlockStat {
            reads: 100,
            read_time_ms: 50,
            io_time_ms: 1000,
            weighted_io_time_ms: 2000,
            ..BlockStat::default()
        };
        let last = BlockStat {
            reads: 300,
            read_time_ms: 150,
            io_time_ms: 1050,
            weighted_io_time_ms: 2250,
            ..first
        };
        let gauges = BlockGauges::between(&first, &last, Duration::from_millis(100));
        assert_eq!(gauges.r_await_ms, Some(0.5));
        assert_eq!(gauges.w_await_ms, None);
        assert_eq!(gauges.aqu_sz, Some(2.5));
        assert_eq!(gauges.util_pct, Some(50.0));
    }

    #[test]
    fn no_time_no_share() {
        let stat = BlockStat::default();
        let gauges = BlockGauges::between(&stat, &stat, Duration::ZERO);
        assert_eq!(gauges, BlockGauges::default());
    }

    #[test]
    fn utilisation_is_cut_at_the_whole() {
        let last = BlockStat {
            io_time_ms: 12,
            ..BlockStat::default()
        };
        let gauges = BlockGauges::between(&BlockStat::default(), &last, Duration::from_millis(10));
        assert_eq!(gauges.util_pct, Some(100.0));
    }

    proptest! {
        #[test]
        fn a_wrap_is_seen(first in 0..1u64 << 32, growth in 0..1u64 << 31) {
            prop_assert_eq!(growth_ms(first, (first + growth) % (1 << 32)), growth);
        }

        #[test]
        fn a_small_step_back_is_nothing(last in 0..1u64 << 32, back in 1..1u64 << 30) {
            prop_assert_eq!(growth_ms(last + back, last), 0);
        }
    }
}
