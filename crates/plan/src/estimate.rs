//! How long a plan takes, before it is run: pure.

use crate::{Lifecycle, Plan, RunSpec};
use std::{
    iter::Sum,
    ops::{Add, Mul},
    time::Duration,
};

/// A time that is not known yet: it lies between these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// At least.
    pub least: Duration,
    /// At most.
    pub most: Duration,
}

impl Between {
    /// It takes just so long.
    pub fn exactly(time: Duration) -> Self {
        Self {
            least: time,
            most: time,
        }
    }

    /// It takes no longer.
    pub fn at_most(most: Duration) -> Self {
        Self {
            least: Duration::ZERO,
            most,
        }
    }
}

impl Add for Between {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }
}

impl Sum for Between {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

impl Mul<u32> for Between {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        Self {
            least: self.least * times,
            most: self.most * times,
        }
    }
}

/// How long a session takes, by its parts. Analysis comes on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Runs.
    pub runs: u32,
    /// Their ramps, warm-ups and measured intervals.
    pub measuring: Duration,
    /// Until the measured requests have ended.
    pub drains: Between,
    /// Until the machine is quiet, before each run; and the drive's preconditioning.
    pub preparing: Between,
    /// How often the server is started.
    pub starts: u32,
    /// Its starts, and its ends.
    pub serving: Between,
    /// How long its last start took, where a session has recorded that.
    pub last_start: Option<Duration>,
}

impl Estimate {
    /// All together.
    pub fn total(&self) -> Between {
        Between::exactly(self.measuring) + self.drains + self.preparing + self.serving
    }
}

impl Plan {
    /// How long these runs take: `lifecycle` is the server's if it is ours to start, and `last_start`
    /// what its last start took, where that is known.
    pub fn estimate(
        &self,
        runs: &[RunSpec],
        lifecycle: Option<&Lifecycle>,
        last_start: Option<Duration>,
    ) -> Estimate {
        let (count, timing) = (runs.len() as u32, &self.timing);
        let settle = self.prepare.settle.map(|settle| Between {
            least: settle.quiet_for.0.min(settle.limit.0),
            most: settle.limit.0,
        });
        let precondition = self.prepare.precondition;
        let precondition = precondition.map(|it| Between::at_most(it.limit.0));
        let restarts = runs.iter().filter(|&&run| self.restarts(run)).count() as u32;
        let starts = lifecycle.map_or(0, |_| 1 + restarts);
        let serving = lifecycle.map(|lifecycle| {
            let start = last_start.map_or(Between::at_most(lifecycle.ready_limit.0), |last| {
                Between::exactly(last)
            });
            start + Between::at_most(lifecycle.stop_limit.0 + lifecycle.memory_limit.0)
        });
        // A phase that ends with its prompts may be over long before its time.
        let (measured, drain) = match self.phases.is_empty() {
            true => (timing.duration.0, timing.drain_limit.0),
            false => (Duration::ZERO, timing.duration.0 + timing.drain_limit.0),
        };
        Estimate {
            runs: count,
            measuring: (timing.ramp.0 + timing.warmup.0 + measured) * count,
            drains: Between::at_most(drain) * count,
            preparing: settle.unwrap_or_default() * count + precondition.unwrap_or_default(),
            starts,
            serving: serving.unwrap_or_default() * starts,
            last_start: last_start.filter(|_| starts > 0),
        }
    }

    /// Whether the server is started anew before this run, if it is ours to start.
    fn restarts(&self, run: RunSpec) -> bool {
        self.starts_anew(run) || self.arm(run).is_some_and(|arm| arm.cache.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builtin, Span};

    fn lifecycle() -> Lifecycle {
        let toml = "url = \"http://127.0.0.1:1\"\n[lifecycle]\nstart = [\"serve\"]\n\
                    ready_limit = \"100s\"\nstop_limit = \"10s\"\nmemory_limit = \"5s\"\n";
        crate::TargetFile::parse(toml).unwrap().lifecycle.unwrap()
    }

    fn seconds(least: u64, most: u64) -> Between {
        Between {
            least: Duration::from_secs(least),
            most: Duration::from_secs(most),
        }
    }

    #[test]
    fn each_part_is_counted_as_often_as_it_comes() {
        let mut plan = Builtin::find("h1").unwrap().plan().unwrap();
        plan.prepare.settle = serde_json::from_str(r#"{"limit": "20s"}"#).unwrap();
        plan.prepare.precondition =
            serde_json::from_str(r#"{"size_mib": 64, "limit": "7s"}"#).unwrap();
        let runs = plan.schedule();
        assert_eq!(runs.len(), 10);
        let last = Some(Duration::from_secs(4));
        let estimate = plan.estimate(&runs, Some(&lifecycle()), last);
        assert_eq!(estimate.measuring, Duration::from_secs(300));
        assert_eq!(estimate.drains, seconds(0, 1200));
        assert_eq!(estimate.preparing, seconds(20, 207));
        assert_eq!(estimate.starts, 11);
        assert_eq!(estimate.serving, seconds(44, 11 * 19));
        assert_eq!(estimate.total(), seconds(364, 1916));
        let unknown = plan.estimate(&runs, Some(&lifecycle()), None);
        assert_eq!(unknown.serving, seconds(0, 11 * 115));
        let attached = plan.estimate(&runs[..1], None, last);
        assert_eq!((attached.starts, attached.last_start), (0, None));
        assert_eq!(attached.total(), seconds(32, 177));
    }

    #[test]
    fn a_server_that_stays_up_is_started_once() {
        let plan = Builtin::find("h2").unwrap().plan().unwrap();
        let estimate = plan.estimate(&plan.schedule(), Some(&lifecycle()), None);
        assert_eq!((estimate.runs, estimate.starts), (21, 1));
    }

    #[test]
    fn a_quick_h2_takes_a_minute_or_two() {
        let plan = Builtin::find("h2").unwrap().plan().unwrap();
        let plan = plan.quick().unwrap();
        let estimate = plan.estimate(&plan.schedule(), None, None);
        assert!(estimate.total().least <= Duration::from_secs(90));
        assert_eq!(plan.timing.drain_limit, Span(Duration::from_secs(60)));
    }
}
