//! What is tried.

use std::{num::NonZeroU32, time::Duration};

/// What a calibration tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The numbers of users, rising.
    pub users: Vec<NonZeroU32>,
    /// Tokens of each reply.
    pub reply_tokens: u32,
    /// From the last user's joining to the measured interval.
    pub warmup: Duration,
    /// The measured interval.
    pub measure: Duration,
    /// The error that the 99th percentile may not reach.
    pub limit: Duration,
}

impl Default for Settings {
    /// About a minute and a half.
    fn default() -> Self {
        Self {
            users: levels([16, 64, 192, 500, 1000, 2000, 4000]),
            reply_tokens: 50,
            warmup: Duration::from_secs(1),
            measure: Duration::from_secs(8),
            limit: Duration::from_millis(1),
        }
    }
}

impl Settings {
    /// A quarter of a minute, for a first look. With the truth server's usual pace, 16 users still
    /// send the 100 requests that a 99th percentile needs.
    pub fn quick() -> Self {
        Self {
            users: levels([16, 64, 192]),
            reply_tokens: 20,
            measure: Duration::from_secs(4),
            ..Self::default()
        }
    }

    /// Users join evenly over this time: with a new connection each, all at once would measure
    /// the joining.
    pub(crate) fn ramp(users: NonZeroU32) -> Duration {
        Duration::from_millis(500) + Duration::from_micros(500) * users.get()
    }
}

fn levels<const N: usize>(users: [u32; N]) -> Vec<NonZeroU32> {
    users.into_iter().filter_map(NonZeroU32::new).collect()
}
