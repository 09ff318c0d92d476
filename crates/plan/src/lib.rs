//! What to measure.
//!
//! A plan is an experiment as data: phases of load, the matrix of their users and repeats, the
//! order of the runs, the workload, and the limits of the gates. This crate owns the types, the
//! TOML that they are written in, the built-in plans (`plans/*.toml`, embedded), and the schedule
//! that follows from a plan. It is pure: no clock, no network, no file is opened here, and it knows
//! nothing of how a plan is carried out.
//!
//! The path of the data: TOML text → [`Plan`] (typed and checked in one step, so that an error
//! names its line) → [`Plan::quick`] and [`Plan::with`] → [`Plan::schedule`], the runs in order.

mod arm;
mod builtin;
mod error;
mod estimate;
mod neighbour;
mod phase;
mod prepare;
mod schedule;
mod target;
mod values;

use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use arm::{AdapterUse, Arm, CacheState};
pub use builtin::{BUILTIN, Builtin};
pub use error::PlanError;
pub use estimate::{Between, Estimate};
pub use neighbour::{BlockKib, Depth, FileMib, Neighbour, Pattern, RateMib};
pub use phase::{PlanPhase, PromptCount};
pub use prepare::{
    Governor, HugePages, Precondition, PreconditionMib, Prepare, Settle, TimerPattern,
};
pub use schedule::RunSpec;
pub use target::{Lifecycle, TargetFile, Variant};
pub use values::{
    Api, Experiment, Order, Percent, PhaseName, Repeats, Span, Swappiness, Sweep, Temperature,
    Tick, TokenCount, Users,
};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Names the phase, and with it the runs' folders.
    pub name: PhaseName,
    /// The question that it is a form of.
    pub experiment: Experiment,
    /// What it asks, for people.
    pub title: String,
    /// The concurrency levels.
    pub users: Sweep,
    /// How often each level is measured.
    pub repeats: Repeats,
    /// The order of the runs.
    pub order: Order,
    /// What is compared at each level of users. Empty: nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<Arm>,
    /// The parts of each run, one after the other on one start of the server, each a run of its own in
    /// the files. Empty: there is one, named as the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PlanPhase>,
    /// Fixes the order and the prompts' words.
    pub seed: u64,
    /// How long everything takes.
    pub timing: Timing,
    /// What the requests look like.
    pub workload: Workload,
    /// How the host is sampled.
    pub telemetry: Telemetry,
    /// The limits of the gates.
    pub gates: GateLimits,
    /// What is done to the machine before.
    #[serde(default, skip_serializing_if = "Prepare::is_nothing")]
    pub prepare: Prepare,
    /// When a run is ended to save the machine.
    #[serde(default)]
    pub watchdog: Watchdog,
    /// What `--quick` changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick: Option<Quick>,
}

/// How long the parts of a run take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Users join evenly over this time.
    pub ramp: Span,
    /// All users are there; nothing counts yet.
    pub warmup: Span,
    /// The measured interval.
    pub duration: Span,
    /// How long the measured requests may take to end after it.
    pub drain_limit: Span,
    /// A request's deadline, from sending it to its last token.
    pub request_timeout: Span,
    /// A user's pause between two requests.
    pub think: Span,
}

/// What the requests look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The API to speak.
    pub api: Api,
    /// The length of a prompt, by the server's count.
    pub prompt_tokens: TokenCount,
    /// How many tokens a request asks for.
    pub output_tokens: TokenCount,
    /// The sampling temperature.
    pub temperature: Temperature,
    /// The share of prompt tokens that the server has cached, as the workload means it. None, as long as
    /// every prompt opens with a nonce of its own.
    #[serde(default)]
    pub reuse_pct: Percent,
    /// Each user has so many prompts of its own, and asks for them in turn, again and again. Absent:
    /// every prompt is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_prompts: Option<PromptCount>,
}

/// How the host is sampled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The distance of two ticks.
    pub interval: Tick,
}

/// The limits of the gates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateLimits {
    /// More failed requests than this share make a run invalid.
    pub failed_requests_pct_max: Percent,
    /// Fewer ticks than this share make a run invalid.
    pub telemetry_coverage_pct_min: Percent,
    /// A client that lags more behind the kernel's stamps costs a run its decision. In milliseconds.
    pub client_lag_p99_ms_max: f64,
    /// A client whose socket thread is busier than this costs a run its decision.
    #[serde(default = "client_cpu_pct_max")]
    pub client_cpu_pct_max: Percent,
    /// More pages swapped in and out than this cost a run its decision: a plan whose question is swap
    /// declares them.
    #[serde(default)]
    pub swapped_pages_max: u64,
    /// Less MemAvailable than this at any tick makes a run invalid. In MiB; the watchdog's floor, which
    /// ends a run, is below it.
    #[serde(default = "mem_available_mib_min")]
    pub mem_available_mib_min: u64,
    /// A share of prompt tokens from the server's cache that is further than this from what the
    /// workload declares makes a run invalid. In points of percent.
    #[serde(default = "reuse_off_pct_max")]
    pub reuse_off_pct_max: Percent,
}

fn client_cpu_pct_max() -> Percent {
    Percent::literal(80.0)
}

fn mem_available_mib_min() -> u64 {
    512
}

fn reuse_off_pct_max() -> Percent {
    Percent::literal(5.0)
}

/// When a run is ended to save the machine: below these the kernel kills, and files are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watchdog {
    /// The least MemAvailable, in MiB.
    pub mem_available_mib_min: u64,
    /// The least free space for the results, in MiB.
    pub results_free_mib_min: u64,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            mem_available_mib_min: 256,
            results_free_mib_min: 256,
        }
    }
}

/// What `--quick` changes; what it leaves out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quick {
    /// See [`Plan::users`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Sweep>,
    /// See [`Plan::repeats`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// See [`Plan::timing`].
    pub timing: QuickTiming,
    /// See [`Plan::workload`].
    pub workload: QuickWorkload,
}

/// What `--quick` changes of [`Timing`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuickTiming {
    /// See [`Timing::ramp`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Span>,
    /// See [`Timing::warmup`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Span>,
    /// See [`Timing::duration`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// See [`Timing::drain_limit`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_limit: Option<Span>,
    /// See [`Timing::request_timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Span>,
}

/// What `--quick` changes of [`Workload`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuickWorkload {
    /// See [`Workload::prompt_tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<TokenCount>,
    /// See [`Workload::output_tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<TokenCount>,
}

/// What the command line changes of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// See [`Plan::users`].
    pub users: Option<Sweep>,
    /// See [`Timing::duration`].
    pub duration: Option<Span>,
    /// See [`Plan::repeats`].
    pub repeats: Option<Repeats>,
    /// See [`Plan::seed`].
    pub seed: Option<u64>,
    /// See [`Workload::api`].
    pub api: Option<Api>,
    /// See [`Workload::prompt_tokens`].
    pub prompt_tokens: Option<TokenCount>,
    /// See [`Workload::output_tokens`].
    pub output_tokens: Option<TokenCount>,
}

impl Plan {
    /// Reads a plan. The error names line, column and what is allowed there.
    pub fn parse(toml: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(toml).map_err(PlanError::Toml)?;
        phase::check(&plan)?;
        arm::check(&plan)?;
        plan.has_length()?;
        Ok(plan)
    }

    /// A run that measures for no time, or gives its requests none, measures nothing.
    pub fn has_length(&self) -> Result<(), PlanError> {
        const LEAST: Duration = Duration::from_millis(100);
        let quick = self.quick.as_ref().map(|quick| &quick.timing);
        let durations = [Some(self.timing.duration), quick.and_then(|it| it.duration)];
        let timeouts = [
            Some(self.timing.request_timeout),
            quick.and_then(|it| it.request_timeout),
        ];
        let wrong = |what| PlanError::Inconsistent {
            plan: self.name.clone(),
            what,
        };
        if durations.into_iter().flatten().any(|it| it.0 < LEAST) {
            return Err(wrong(
                "`duration` is too short to measure in: use 100ms or more",
            ));
        }
        if timeouts.into_iter().flatten().any(|it| it.0 < LEAST) {
            return Err(wrong(
                "`request_timeout` is too short for an answer: use 100ms or more",
            ));
        }
        Ok(())
    }

    /// The arm of a run of this plan.
    pub fn arm(&self, spec: RunSpec) -> Option<&Arm> {
        self.arms.get(spec.arm?)
    }

    /// The phase of a run, in a plan that has phases.
    pub fn phase(&self, spec: RunSpec) -> Option<&PlanPhase> {
        self.phases.get(spec.phase?)
    }

    /// Whether the server is started anew before this run: before the first phase of each arm, where
    /// arms differ in the server's configuration.
    pub fn starts_anew(&self, spec: RunSpec) -> bool {
        let first = spec.phase.is_none_or(|phase| phase == 0);
        first && self.arms.iter().any(|arm| arm.variant.is_some())
    }

    /// The plan's quick variant.
    pub fn quick(self) -> Result<Self, PlanError> {
        let Some(quick) = self.quick else {
            return Err(PlanError::NoQuick { plan: self.name });
        };
        let (timing, workload) = (quick.timing, quick.workload);
        Ok(Self {
            users: quick.users.unwrap_or(self.users),
            repeats: quick.repeats.unwrap_or(self.repeats),
            timing: Timing {
                ramp: timing.ramp.unwrap_or(self.timing.ramp),
                warmup: timing.warmup.unwrap_or(self.timing.warmup),
                duration: timing.duration.unwrap_or(self.timing.duration),
                drain_limit: timing.drain_limit.unwrap_or(self.timing.drain_limit),
                request_timeout: timing
                    .request_timeout
                    .unwrap_or(self.timing.request_timeout),
                think: self.timing.think,
            },
            workload: Workload {
                prompt_tokens: workload
                    .prompt_tokens
                    .unwrap_or(self.workload.prompt_tokens),
                output_tokens: workload
                    .output_tokens
                    .unwrap_or(self.workload.output_tokens),
                ..self.workload
            },
            quick: None,
            ..self
        })
    }

    /// The plan with the command line's changes.
    pub fn with(self, changes: Overrides) -> Self {
        Self {
            users: changes.users.unwrap_or(self.users),
            repeats: changes.repeats.unwrap_or(self.repeats),
            seed: changes.seed.unwrap_or(self.seed),
            timing: Timing {
                duration: changes.duration.unwrap_or(self.timing.duration),
                ..self.timing
            },
            workload: Workload {
                api: changes.api.unwrap_or(self.workload.api),
                prompt_tokens: changes.prompt_tokens.unwrap_or(self.workload.prompt_tokens),
                output_tokens: changes.output_tokens.unwrap_or(self.workload.output_tokens),
                ..self.workload
            },
            ..self
        }
    }
}
