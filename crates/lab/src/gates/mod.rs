//! The gates of a run: pure, from what was seen to what it is worth.
//!
//! What can't be measured never passes. Where that is a fault of the run it costs what a failure
//! costs; where nothing on this machine or in this server could tell, it is [`Effect::Noted`].

mod host;

use crate::model_cache::{COLD_PCT_MAX, WARM_PCT_MIN};
pub(crate) use host::{Drive, DriveFacts, HostSeen};
use load::Api;
use plan::{CacheState, Experiment, Plan};
use record::{Effect, Gate};

/// What a run's gates look at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Requests of the measured interval, in all.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that ended well and whose tokens the server counted.
    pub counted: u64,
    /// Ticks that the schedule asked for.
    pub ticks_due: u64,
    /// Ticks that were taken.
    pub ticks_taken: u64,
    /// The 99th percentile of the client's lag over all chunks, in milliseconds.
    pub client_lag_p99_ms: Option<f64>,
    /// Whether the server's process was the same after the run as before; absent where its
    /// process is not known.
    pub same_server: Option<bool>,
    /// The declared state of the model's files, and their share in the page cache as it was
    /// measured, in percent.
    pub cache: Option<(CacheState, Option<f64>)>,
    /// The share of prompt tokens that the server had cached, in percent; absent if it does not say.
    pub reuse_pct: Option<f64>,
    /// The mean length of the prompts of which it says that.
    pub prompt_tokens_mean: Option<f64>,
    /// So many tokens every prompt may begin with.
    pub common_head_tokens: u32,
    /// CPU time of the client's socket thread, in percent of the time that it ran.
    pub client_cpu_pct: Option<f64>,
    /// Whether the device under test is known.
    pub device_known: bool,
    /// The size of the server's KV pool.
    pub kv_pool: KvPool,
    /// What the host did.
    pub host: HostSeen,
    /// How far the wall clock was stepped during the run, in milliseconds; negative if back.
    pub stepped_ms: Option<f64>,
    /// The requests that the phase is over after, where it ends by their number.
    pub asked: Option<u64>,
    /// Prompts come again by design: how much of them is cached is measured, not given.
    pub asks_again: bool,
}

/// The size of the server's KV pool in its own unit, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct KvPool {
    /// In this run.
    pub here: Option<f64>,
    /// In the first of the session's runs that told.
    pub first: Option<f64>,
}

/// The wall clock was stepped if it moved by more than this against the monotonic one: slewing moves
/// both, and reading them takes microseconds.
const STEP_MS_MAX: f64 = 10.0;

/// The gates of a run that saw this.
pub(crate) fn judge(plan: &Plan, seen: &Seen) -> Vec<Gate> {
    let limits = &plan.gates;
    let failed = share_pct(seen.failed, seen.requests);
    let covered = share_pct(seen.ticks_taken, seen.ticks_due);
    let counted = share_pct(seen.counted, seen.requests - seen.failed);
    let mut gates = vec![
        at_most(
            "failed_requests",
            "failed requests of the measured interval, %",
            failed,
            limits.failed_requests_pct_max.get(),
        ),
        at_least(
            "telemetry_coverage",
            "telemetry ticks taken of those due, %",
            covered,
            limits.telemetry_coverage_pct_min.get(),
        ),
        // The kernel's stamps are not moved by a client that is late to read them; but a late
        // client also sends late, and a stamp of its own is as wrong as it is late.
        no_decision(at_most(
            "client_lag",
            "the client's own lag behind the kernel's stamps at the 99th percentile, ms",
            seen.client_lag_p99_ms,
            limits.client_lag_p99_ms_max,
        )),
        no_decision(at_most(
            "client_cpu",
            "CPU time of the client's socket thread, % of its time",
            seen.client_cpu_pct,
            limits.client_cpu_pct_max.get(),
        )),
        at_least(
            "token_counts",
            "requests whose tokens the server counted, %",
            counted,
            100.0,
        ),
    ];
    if let Some(same) = seen.same_server {
        gates.push(at_least(
            "same_server",
            "the server's process was the same before and after (1) or not (0)",
            Some(f64::from(u8::from(same))),
            1.0,
        ));
    }
    if let Some((state, resident_pct)) = seen.cache {
        gates.push(cache_state(state, resident_pct));
    }
    if !seen.asks_again {
        gates.push(reuse(plan, seen));
    }
    gates.extend(kv_pool(plan, seen.kv_pool));
    gates.push(no_decision(at_least(
        "device_known",
        "the device under test is known (1) or not (0)",
        Some(f64::from(u8::from(seen.device_known))),
        1.0,
    )));
    gates.extend(of_host(plan, &seen.host));
    // No time of ours is the wall clock's; but the logs and metrics of others that are laid beside
    // the run's are.
    gates.push(no_decision(at_most(
        "wall_clock",
        "the step of the wall clock during the run, forward or back, ms",
        seen.stepped_ms.map(f64::abs),
        STEP_MS_MAX,
    )));
    if let Some(asked) = seen.asked {
        gates.push(at_least(
            "whole_phase",
            "requests measured of those that make the phase, %",
            share_pct(seen.requests, asked),
            100.0,
        ));
    }
    gates
}

/// What the host did in the run.
fn of_host(plan: &Plan, host: &HostSeen) -> Vec<Gate> {
    let mut gates = vec![
        // Not invalid: a server that swaps is what MEMORY_PRESSURE concludes from.
        no_decision(at_most(
            "swapped_pages",
            "pages swapped in or out while measured requests ran",
            host.swapped_pages,
            plan.gates.swapped_pages_max as f64,
        )),
        at_least(
            "mem_available",
            "the least MemAvailable of the run, MiB",
            host.mem_available_mib,
            plan.gates.mem_available_mib_min as f64,
        ),
    ];
    gates.extend(of_drive(host.drive));
    if let Some(hot_pct) = host.gpu_hot_pct {
        let measures = "readings of the GPU with clocks held back for heat, %";
        gates.push(or_no_decision(at_most(
            "gpu_throttle",
            measures,
            hot_pct,
            0.0,
        )));
    }
    gates
}

fn of_drive(drive: Drive) -> [Gate; 2] {
    let (hot_s, transitions, absent): (_, _, fn(Gate) -> Gate) = match drive {
        Drive::Silent => (None, None, or_noted),
        Drive::Nvme { hot_s, transitions } => (hot_s, transitions.map(f64::from), or_no_decision),
    };
    [
        absent(at_most(
            "drive_hot",
            "time of the drive at or above its warning temperature, s",
            hot_s,
            0.0,
        )),
        absent(at_most(
            "drive_throttle",
            "transitions of the drive to thermal management (TMT1, TMT2)",
            transitions,
            0.0,
        )),
    ]
}

/// So many tokens every prompt of a server may begin with, whatever is asked; cached once, they are in
/// every later prompt's count. Of a plain text, the token that begins it and a few words. Of a chat, the
/// template's own (SmolLM2: 26; gpt-oss, whose template names date and effort: some 70).
pub(crate) fn common_head_tokens(api: Api) -> u32 {
    match api {
        Api::Chat => 128,
        Api::Completions | Api::Triton => 8,
    }
}

/// Whether the server's prefix cache had the share of the prompts that the workload means.
fn reuse(plan: &Plan, seen: &Seen) -> Gate {
    let declared = plan.workload.reuse_pct.get();
    let off = seen.reuse_pct.map(|measured| (measured - declared).abs());
    let most = plan.gates.reuse_off_pct_max.get();
    // In a short prompt a few tokens are many percent.
    let head = seen.prompt_tokens_mean.map_or(0.0, |mean| {
        100.0 * f64::from(seen.common_head_tokens) / mean
    });
    or_noted(Gate {
        measured: seen.reuse_pct,
        ..gate(
            "prompt_reuse",
            "prompt tokens that the server had cached, %",
            format!(
                "within {most}, or {} tokens a prompt, of {declared}",
                seen.common_head_tokens
            ),
            off,
            off.is_some_and(|off| off <= most.max(head)),
        )
    })
}

/// A server that is started anew sizes its pool by the memory that it finds, and what the page cache
/// holds is not free to it: arms with other pools are other servers. A load does not use the pool.
fn kv_pool(plan: &Plan, pool: KvPool) -> Option<Gate> {
    let loads = plan.experiment == Experiment::H1;
    (!loads).then(|| {
        or_noted(gate(
            "kv_pool",
            "the server's KV pool, in its own unit",
            match pool.first {
                Some(first) => format!("= {first}, as in the session's first run"),
                None => "as in the session's first run".to_owned(),
            },
            pool.here,
            pool.here.is_some() && pool.here == pool.first,
        ))
    })
}

/// A failure costs the decision.
fn no_decision(gate: Gate) -> Gate {
    Gate {
        effect: Effect::NotDecisionGrade,
        ..gate
    }
}

/// What could not be measured costs the decision.
fn or_no_decision(gate: Gate) -> Gate {
    match gate.measured {
        Some(_) => gate,
        None => no_decision(gate),
    }
}

/// What could not be measured costs nothing: it could not have been.
fn or_noted(gate: Gate) -> Gate {
    match gate.measured {
        Some(_) => gate,
        None => Gate {
            effect: Effect::Noted,
            ..gate
        },
    }
}

fn cache_state(state: CacheState, resident_pct: Option<f64>) -> Gate {
    let measures = "the model's files in the page cache before the run, %";
    match state {
        CacheState::Cold => at_most("cache_state", measures, resident_pct, COLD_PCT_MAX),
        CacheState::Warm => at_least("cache_state", measures, resident_pct, WARM_PCT_MIN),
    }
}

/// A share; absent of nothing.
pub(crate) fn share_pct(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

fn at_most(name: &str, measures: &str, measured: Option<f64>, limit: f64) -> Gate {
    let passed = measured.is_some_and(|value| value <= limit);
    gate(name, measures, format!("<= {limit}"), measured, passed)
}

fn at_least(name: &str, measures: &str, measured: Option<f64>, limit: f64) -> Gate {
    let passed = measured.is_some_and(|value| value >= limit);
    gate(name, measures, format!(">= {limit}"), measured, passed)
}

fn gate(name: &str, measures: &str, limit: String, measured: Option<f64>, passed: bool) -> Gate {
    Gate {
        name: name.to_owned(),
        measures: measures.to_owned(),
        limit,
        measured,
        passed,
        effect: Effect::Invalid,
    }
}

#[cfg(test)]
mod tests;
