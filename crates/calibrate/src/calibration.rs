//! The result, and what follows from it. Pure.

use crate::{Settings, Spread};
use record::{HostFacts, StampSource};
use serde::{Deserialize, Serialize};

/// The version of the file's format.
pub(crate) const FORMAT: u32 = 1;

/// The instrument's own error on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The version of the format.
    pub format: u32,
    /// When it was made, in UTC.
    pub made: jiff::Timestamp,
    /// The program's version.
    pub version: String,
    /// The machine: its name, its kernel, its CPU.
    pub host: HostFacts,
    /// Tokens of each reply.
    pub reply_tokens: u32,
    /// The measured interval of each level.
    pub measure_s: f64,
    /// What was found at each number of users, rising.
    pub levels: Vec<Level>,
    /// The sampler over all levels.
    pub telemetry: Telemetry,
    /// The error that the 99th percentile may not reach.
    pub limit_us: f64,
    /// The largest load up to which it never did; null if it did at the smallest.
    pub holds_up_to_users: Option<u32>,
}

/// What was found at one number of users. Errors are what was reported less what was true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// The users.
    pub users: u32,
    /// Tokens that arrived in the measured interval, per second of it.
    pub tokens_per_s: f64,
    /// Requests sent in the measured interval that ended well.
    pub requests: u64,
    /// Of the measured requests, those that failed.
    pub failed: u64,
    /// Those still running when the drain's time was over.
    pub unfinished: u64,
    /// Those that ended well but of which the truth is not known in full; in none of the errors.
    pub unmatched: u64,
    /// The error of the time to the first token, a value a request.
    pub ttft_us: Spread,
    /// The error of the time between tokens, a value a gap.
    pub itl_us: Spread,
    /// The error of the time to the last token, a value a request.
    pub e2e_us: Spread,
    /// CPU time of the client's socket thread per token; null without tokens.
    pub client_cpu_us_per_token: Option<f64>,
    /// Whose clock stamped the arrivals.
    pub clock: StampSource,
    /// How far the truth can be trusted.
    pub truth: TruthBounds,
    /// The sampler beside it.
    pub telemetry: Telemetry,
}

/// The truth's own error: it is written down just before a token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthBounds {
    /// Sends that took longer than 100 µs.
    pub slow_sends: u64,
    /// The longest send.
    pub max_send_us: u64,
    /// Sends into a socket that was full, so that the client moved the truth.
    pub blocked_sends: u64,
    /// Requests whose arrival the kernel did not stamp.
    pub unstamped_requests: u64,
}

/// How well the sampler kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// The wanted distance of two ticks.
    pub interval_ms: f64,
    /// Ticks that were due.
    pub ticks_due: u64,
    /// Ticks that were taken.
    pub ticks_taken: u64,
    /// How late they began.
    pub late_us: Spread,
}

impl Level {
    /// Whether the 99th percentile of every error is known and below the limit, and nothing failed.
    pub fn holds(&self, limit_us: f64) -> bool {
        let errors = [self.ttft_us, self.itl_us, self.e2e_us];
        let small = errors
            .iter()
            .all(|error| error.p99.is_some_and(|p99| p99 < limit_us));
        small && self.failed + self.unfinished + self.unmatched == 0
    }
}

impl Calibration {
    /// The judgement over levels of rising load.
    pub(crate) fn new(
        made: jiff::Timestamp,
        host: HostFacts,
        settings: &Settings,
        levels: Vec<Level>,
        telemetry: Telemetry,
    ) -> Self {
        let limit_us = settings.limit.as_secs_f64() * 1e6;
        let holding = levels.iter().take_while(|level| level.holds(limit_us));
        Self {
            format: FORMAT,
            made,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host,
            reply_tokens: settings.reply_tokens,
            measure_s: settings.measure.as_secs_f64(),
            holds_up_to_users: holding.last().map(|level| level.users),
            levels,
            telemetry,
            limit_us,
        }
    }

    /// The level to cite for a run with so many users: the next that was tried with as many or
    /// more. None if there were never as many.
    pub fn at(&self, users: u32) -> Option<&Level> {
        self.levels.iter().find(|level| level.users >= users)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn level(users: u32, p99: Option<f64>) -> Level {
        let spread = Spread {
            n: 1000,
            p50: Some(12.34),
            p99,
            max: p99,
        };
        Level {
            users,
            tokens_per_s: f64::from(users) * 50.0,
            requests: 1000,
            failed: 0,
            unfinished: 0,
            unmatched: 0,
            ttft_us: spread,
            itl_us: spread,
            e2e_us: spread,
            client_cpu_us_per_token: Some(7.5),
            clock: StampSource::Kernel,
            truth: TruthBounds {
                slow_sends: 0,
                max_send_us: 40,
                blocked_sends: 0,
                unstamped_requests: 0,
            },
            telemetry: Telemetry::default(),
        }
    }

    pub(crate) fn calibration(levels: Vec<Level>) -> Calibration {
        let host = HostFacts {
            hostname: "spark".to_owned(),
            kernel: "6.14".to_owned(),
            cores: 20,
            ..HostFacts::default()
        };
        let made = jiff::Timestamp::UNIX_EPOCH;
        let telemetry = Telemetry {
            interval_ms: 100.0,
            ticks_due: 801,
            ticks_taken: 800,
            late_us: level(1, Some(90.0)).ttft_us,
        };
        Calibration::new(made, host, &Settings::default(), levels, telemetry)
    }

    #[test]
    fn it_holds_up_to_the_last_level_before_the_first_that_does_not() {
        let found = |p99s: &[Option<f64>]| {
            let levels = (1..).zip(p99s).map(|(users, p99)| level(users, *p99));
            calibration(levels.collect()).holds_up_to_users
        };
        assert_eq!(found(&[Some(10.0), Some(999.0), Some(1000.0)]), Some(2));
        assert_eq!(found(&[Some(10.0), Some(2000.0), Some(10.0)]), Some(1));
        assert_eq!(found(&[None, Some(10.0)]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_level_with_a_failure_does_not_hold() {
        let mut failing = level(16, Some(10.0));
        assert!(failing.holds(1000.0));
        failing.failed = 1;
        assert!(!failing.holds(1000.0));
    }

    #[test]
    fn a_run_cites_the_next_larger_level() {
        let calibration = calibration(vec![level(16, None), level(64, None)]);
        let cited = |users| calibration.at(users).map(|level| level.users);
        assert_eq!(
            [cited(1), cited(16), cited(17), cited(65)],
            [Some(16), Some(16), Some(64), None]
        );
    }
}
