//! `session.json` and `manifest.json`: what a session and a run were.

use crate::{RunId, Verdict};
use clock::{ClockPair, MonoNs, SessionNs};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of the files' format. Readers refuse any other.
pub const FORMAT: u32 = 1;

/// `session.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The session's name.
    pub session: String,
    /// The version of Spillpoint that measured.
    pub spillpoint: String,
    /// The experiment: `h0`, `h1`, `h2`, `h4`, `h5`, `h6`, `tiers`.
    pub experiment: String,
    /// What it asks, as its plan says.
    pub title: String,
    /// Whether the plan's quick variant was run.
    pub quick: bool,
    /// The plan as run, overrides and all.
    pub plan: serde_json::Value,
    /// The server under test.
    pub target: TargetFacts,
    /// The machine.
    pub host: HostFacts,
    /// The device under test.
    pub device: DeviceUnderTest,
    /// How long the server took to answer when this session started it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_start_ms: Option<f64>,
    /// What became of its memory when this session stopped it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_back: Option<MemoryBack>,
    /// The instrument's own error on this machine, if it was calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationFacts>,
    /// The session's t0: every recorded time counts from it.
    pub t0_mono_ns: MonoNs,
    /// Ties t0 to UTC.
    pub clock: ClockPair,
    /// All runs of the plan, in the order in which they are run.
    pub runs: Vec<RunId>,
    /// What was done to the machine before, and undone after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<Prepared>,
    /// What it concludes; absent until it is analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// What a session cites of a calibration: the instrument's own error, measured against a server
/// that knows the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationFacts {
    /// When it was made, in UTC.
    pub made: String,
    /// The version that made it.
    pub spillpoint: String,
    /// The greatest error that is accepted at the 99th percentile.
    pub limit_us: f64,
    /// Up to so many users no error exceeds that; null if it did at the fewest.
    pub holds_up_to_users: Option<u32>,
    /// The users of the level that stands for this session's greatest load; null if it was never
    /// as great, and with it the errors.
    pub level_users: Option<u32>,
    /// Reported minus true time to the first token at that level, at the 99th percentile.
    pub ttft_error_p99_us: Option<f64>,
    /// The same of the time to the last token.
    pub e2e_error_p99_us: Option<f64>,
}

/// Something that the plan wants done to the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// What: `swappiness`.
    pub what: String,
    /// What it was; absent where that is not known, or there is no value to it.
    pub before: Option<String>,
    /// What it was for the session.
    pub after: Option<String>,
    /// What came of it.
    pub outcome: PrepareOutcome,
}

/// What came of a preparation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrepareOutcome {
    /// Done.
    Done,
    /// It was so before.
    AsWanted,
    /// Left out, for this reason.
    Skipped(String),
}

/// The server under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// Whose it is.
    pub kind: TargetKind,
    /// Its base URL, without credentials.
    pub url: String,
    /// The model, by its own name.
    pub model: String,
    /// The API that is spoken to it: `completions` or `chat`.
    pub api: String,
    /// What the server says it is (`Server` header, `owned_by`).
    pub server: Option<String>,
}

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// The embedded engine: its compute is modelled, and every report says so.
    Embedded,
    /// A server that the session started and stops.
    Managed,
    /// A server that was there before.
    Attached,
}

/// The machine that was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its name.
    pub hostname: String,
    /// The kernel's release.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    /// The distribution, from os-release.
    pub os: Option<String>,
    /// The CPU's name.
    pub cpu: Option<String>,
    /// Cores that are online.
    pub cores: u32,
    /// All usable memory.
    pub mem_total_bytes: Option<u64>,
    /// All swap.
    pub swap_total_bytes: Option<u64>,
    /// The size of a page.
    pub page_size_bytes: u64,
    /// Identifies the boot: CLOCK_MONOTONIC is comparable within one.
    pub boot_id: Option<String>,
}

/// The block device under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUnderTest {
    /// The path that was resolved: the model's files, or the results folder.
    pub path: PathBuf,
    /// The whole device that holds it, as the kernel names it; absent if it is on none (tmpfs,
    /// overlay, a network), with the reason in `why_not`.
    pub name: Option<String>,
    /// The partition that holds it, if it is on one.
    pub partition: Option<String>,
    /// The file system's type.
    pub file_system: Option<String>,
    /// The device's model.
    pub model: Option<String>,
    /// Why there is no device.
    pub why_not: Option<String>,
}

/// A run's `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// The phase of the plan: `h2`.
    pub phase: String,
    /// Concurrent users.
    pub users: u32,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// The arm of a comparison: cold or warm; base, sticky or storm; a tier's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// The pair or block of arms that it belongs to, from 1: its arms are compared in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// What the requests looked like.
    pub workload: WorkloadFacts,
    /// Where the run stands.
    pub state: RunState,
    /// Both clocks at the run's start.
    pub clock: ClockPair,
    /// Both clocks at its end: whether the wall clock was stepped meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_after: Option<ClockPair>,
    /// The run's parts; absent until they are known.
    pub stages: Option<Stages>,
    /// How well the host was sampled.
    pub sampling: Option<SamplingFacts>,
    /// The checks, once made.
    pub gates: Vec<Gate>,
    /// How the server came up, where this run started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_load: Option<ModelLoad>,
}

/// How a server came up, step by step. A step that could not be seen is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelLoad {
    /// The size of the model's files.
    pub model_bytes: u64,
    /// Their share in the page cache just before the start.
    pub resident_before_pct: Option<f64>,
    /// When the server was started: the steps count from here.
    pub started_ns: SessionNs,
    /// The process runs.
    pub process_up_ns: Option<SessionNs>,
    /// Its first line of log.
    pub first_log_ns: Option<SessionNs>,
    /// The weights are read.
    pub weights_read_ns: Option<SessionNs>,
    /// It says that it is ready.
    pub healthy_ns: Option<SessionNs>,
    /// The first token of the first request.
    pub first_token_ns: Option<SessionNs>,
    /// Bytes read from the device under test, from the start to the first token.
    pub device_read_bytes: Option<u64>,
    /// Bytes that the server's processes caused to be read from storage in that time.
    pub server_read_bytes: Option<u64>,
    /// The device's own sequential read rate, measured in this session, in MB/s (10⁶ bytes).
    pub ceiling_mb_s: Option<f64>,
    /// What became of the memory of the server that was stopped before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_back: Option<MemoryBack>,
}

/// What became of a server's memory after it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryBack {
    /// MemAvailable just before the server was started.
    pub before_start_bytes: u64,
    /// MemAvailable when the wait ended.
    pub after_stop_bytes: u64,
    /// How long it was waited after the server's end.
    pub waited_ms: f64,
    /// Whether as much is available as before, but for a fiftieth of all memory.
    pub is_back: bool,
}

/// What a run's requests looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// The prompt's length that was meant.
    pub prompt_tokens: u32,
    /// The most tokens that were asked for.
    pub output_tokens: u32,
    /// The seed of the prompts' words.
    pub seed: u64,
    /// The salt of the prompts' nonces: new in every session, so that no server remembers a prompt.
    pub nonce_salt: u64,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Begun; if its session is over, it was cut off.
    Running,
    /// Measured to its end.
    Complete,
    /// Ended early, by a person.
    Interrupted,
    /// Ended early, for this reason.
    Failed(String),
}

/// An interval of session time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Its first moment.
    pub start_ns: SessionNs,
    /// The moment after it.
    pub end_ns: SessionNs,
}

impl Interval {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }

    /// Whether `t` lies in it.
    pub fn contains(&self, t: SessionNs) -> bool {
        self.start_ns <= t && t < self.end_ns
    }
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Users join.
    pub ramp: Interval,
    /// The server settles.
    pub warmup: Interval,
    /// The measured interval.
    pub measure: Interval,
    /// The measured requests end.
    pub drain: Interval,
}

/// How well the host was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingFacts {
    /// The wanted distance of two ticks.
    pub interval_ms: f64,
    /// Ticks that the schedule asked for.
    pub ticks_due: u64,
    /// Ticks that were taken.
    pub ticks_taken: u64,
    /// How late a tick began, at the 99th percentile.
    pub late_p99_us: Option<f64>,
}

/// A check that decides whether a run may count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Its name: `failed_requests`.
    pub name: String,
    /// What is measured, with its unit, in words.
    pub measures: String,
    /// The limit, in words: `<= 1 %`.
    pub limit: String,
    /// The value that was measured; absent if it could not be.
    pub measured: Option<f64>,
    /// Whether it held. A value that could not be measured did not; what that costs, its effect says.
    pub passed: bool,
    /// What a failure does.
    pub effect: Effect,
}

/// What a failed gate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The run does not count.
    Invalid,
    /// The run counts, but carries no decision.
    NotDecisionGrade,
    /// Nothing: it could not be measured, for nothing here tells it. It is told, and is no pass.
    Noted,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest as it was written before there were arms.
    const WITHOUT_ARMS: &str = r#"{
        "format": 1, "run": "h2-u001-r1", "phase": "h2", "users": 1, "repeat": 1,
        "workload": {"prompt_tokens": 8, "output_tokens": 8, "seed": 1, "nonce_salt": 2},
        "state": "complete", "clock": {"mono_ns": 1, "utc_ns": 2, "uncertainty_ns": 3},
        "stages": null, "sampling": null, "gates": []
    }"#;

    #[test]
    fn a_manifest_without_arms_reads_and_writes_as_before() {
        let manifest: RunManifest = serde_json::from_str(WITHOUT_ARMS).unwrap();
        assert_eq!((&manifest.arm, manifest.block), (&None, None));
        let before: serde_json::Value = serde_json::from_str(WITHOUT_ARMS).unwrap();
        assert_eq!(serde_json::to_value(&manifest).unwrap(), before);
    }
}
