//! What is done to the machine before a session, and before each of its runs.

use crate::{
    Percent, Span,
    values::{OutOfRange, Swappiness, whole_number},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is done to the machine. All of it is undone when the session ends. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prepare {
    /// The frequency governor of all CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<Governor>,
    /// Which memory gets transparent huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparent_hugepage: Option<HugePages>,
    /// How readily the kernel swaps anonymous memory, rather than dropping files' pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<Swappiness>,
    /// Timers of systemd's that are stopped if they are active, so that nothing begins during a run:
    /// names, or patterns as systemctl(1) takes them. A timer that fell due meanwhile may fire when it
    /// is started again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_timers: Vec<TimerPattern>,
    /// Switch off all swap. Left on where memory could not hold what is swapped out.
    pub swap_off: bool,
    /// Write to the drive first, so that all sessions find it in a like state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
    /// Drop the whole page cache before each run. What processes map stays.
    pub drop_caches: bool,
    /// Wait before each run until CPU and device are quiet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    /// What can't be done, for want of privileges or because this machine has no such setting,
    /// ends the session before it begins. Otherwise it is left out, and the manifest says so.
    pub required: bool,
}

impl Prepare {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A frequency governor (Documentation/admin-guide/pm/cpufreq.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Governor {
    /// The highest frequency.
    Performance,
    /// The lowest, or the driver's own saving.
    Powersave,
    /// By the scheduler's load.
    Schedutil,
    /// By load, at once.
    Ondemand,
    /// By load, gradually.
    Conservative,
}

impl Governor {
    /// Its name to the kernel.
    pub fn name(self) -> &'static str {
        match self {
            Governor::Performance => "performance",
            Governor::Powersave => "powersave",
            Governor::Schedutil => "schedutil",
            Governor::Ondemand => "ondemand",
            Governor::Conservative => "conservative",
        }
    }
}

/// Which memory gets transparent huge pages (Documentation/admin-guide/mm/transhuge.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HugePages {
    /// All.
    Always,
    /// What asks for it.
    Madvise,
    /// None.
    Never,
}

impl HugePages {
    /// Its name to the kernel.
    pub fn name(self) -> &'static str {
        match self {
            HugePages::Always => "always",
            HugePages::Madvise => "madvise",
            HugePages::Never => "never",
        }
    }
}

/// The name of a timer, or a pattern: `fstrim.timer`, `apt-daily*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimerPattern(String);

impl TimerPattern {
    /// As systemctl takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TimerPattern {
    type Error = OutOfRange;

    fn try_from(pattern: String) -> Result<Self, OutOfRange> {
        // systemd.unit(5), and the characters of glob(7).
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@*?[]!".contains(c);
        let is_option = pattern.starts_with('-');
        if !pattern.is_empty() && !is_option && pattern.chars().all(allowed) {
            return Ok(Self(pattern));
        }
        Err(OutOfRange(format!(
            "{pattern:?} names no timers: write a unit's name or a pattern, \"fstrim.timer\" or \"apt-daily*\""
        )))
    }
}

impl From<TimerPattern> for String {
    fn from(pattern: TimerPattern) -> Self {
        pattern.0
    }
}

whole_number! {
    /// How much is written to precondition a drive: at most 1 TiB.
    PreconditionMib, "a size to write in MiB", 16..=1_048_576
}

/// Writes one file, from its first byte to its last, past the page cache: what fills the cache of a
/// drive of flash. The file is kept until the session ends, for removing it may discard its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// The most that is written.
    pub size_mib: PreconditionMib,
    /// The longest that it may take; what is written until then is enough.
    pub limit: Span,
    /// A drive that has used more of its rated endurance is not written to.
    #[serde(default = "used_pct_max")]
    pub used_pct_max: Percent,
    /// Nor is one that has fewer spare blocks left.
    #[serde(default = "spare_pct_min")]
    pub spare_pct_min: Percent,
}

fn used_pct_max() -> Percent {
    Percent::literal(80.0)
}

fn spare_pct_min() -> Percent {
    Percent::literal(20.0)
}

/// What quiet is, and how long it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The longest wait. A machine that is not quiet then is measured as it is, and the run's log
    /// says so; where preparation is required, the session ends.
    pub limit: Span,
    /// The most that all CPUs together may be busy.
    #[serde(default = "cpu_busy_pct_max")]
    pub cpu_busy_pct_max: Percent,
    /// The most of the time in which the device under test may have a request in flight.
    #[serde(default = "device_busy_pct_max")]
    pub device_busy_pct_max: Percent,
    /// For how long both must hold.
    #[serde(default = "quiet_for")]
    pub quiet_for: Span,
}

fn cpu_busy_pct_max() -> Percent {
    Percent::literal(10.0)
}

fn device_busy_pct_max() -> Percent {
    Percent::literal(5.0)
}

fn quiet_for() -> Span {
    Span(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_names_or_patterns_and_never_options() {
        for good in ["fstrim.timer", "apt-daily*", "*", "x@[ab]?.timer"] {
            assert!(TimerPattern::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "--all", "a b", "a;b"] {
            assert!(TimerPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn preconditioning_has_a_size_and_a_time() {
        let read = |json: &str| serde_json::from_str::<Precondition>(json);
        let found = read(r#"{"size_mib": 4096, "limit": "60s"}"#).unwrap();
        assert_eq!(found.used_pct_max, Percent::literal(80.0));
        assert!(read(r#"{"size_mib": 4096}"#).is_err());
        assert!(read(r#"{"size_mib": 2000000, "limit": "60s"}"#).is_err());
    }
}
