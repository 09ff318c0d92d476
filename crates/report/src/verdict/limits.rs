//! The limits that decide a verdict. They are choices, not laws: each says why.

/// Below this rate the device is not read for the server's sake: housekeeping reads as much.
pub(super) const READS_MB_S: f64 = 1.0;

/// Waits for I/O in less than this share of time can move no median and hardly a tail.
pub(super) const WAITS_PCT: f64 = 5.0;

/// The reads are the server's when it caused at least this share of them.
pub(super) const OWNED: f64 = 0.5;

/// A mechanism counter explains reads when it stands for at least this share of their bytes.
pub(super) const MECHANISM: f64 = 0.1;

/// Major faults of the server that come faster than this are no stray ones.
pub(super) const MAJFAULTS_S: f64 = 10.0;

/// Swapping in faster than this, in pages a second, is memory pressure.
pub(super) const SWAPIN_PAGES_S: f64 = 10.0;

/// With fewer requests than this waiting on average, the server's queue explains nothing.
pub(super) const WAITING: f64 = 0.5;

/// A sweep is saturated when, from the fewest users to the most, throughput grew by less than
/// this share of what it would have grown by had each user been served as the first.
pub(super) const EFFICIENCY: f64 = 0.7;

/// A model is loaded cold with less than this share of its files in the page cache, in percent,
/// and warm with more than the second.
pub(super) const COLD_PCT: f64 = 1.0;
pub(super) const WARM_PCT: f64 = 95.0;

/// Fewer pairs or repeats decide nothing.
pub(super) const PAIRS: usize = 3;

/// An arm that is slower by less than this factor is not slower in any sense that matters, however
/// sure the difference is.
pub(super) const LEAST_RATIO: f64 = 1.01;

/// An effect that may still be larger than this factor is not shown to be none: the pairs are too
/// few or too unlike.
pub(super) const NONE_UP_TO: f64 = 1.25;
