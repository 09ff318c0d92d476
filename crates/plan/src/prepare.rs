//! What is done to the machine before a session, and before each of its runs.

use crate::{Percent, Span, values::Swappiness};
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
