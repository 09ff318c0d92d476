//! `cargo xtask soak`: the engine and 500 users for an hour, and whether anything grows.
//!
//! Both processes are the real binary: `spillpoint engine`, and `spillpoint run` with its sampler
//! beside the load. Memory and descriptors of both are read from /proc once a second.

mod process;
mod series;

use crate::commands::{cargo, root, run, tell};
use anyhow::{Context, Result, bail};
use process::{Daemon, Reading};
use series::{Course, Sizes};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Run engine and load for a long time, and look for what grows.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the measured interval is.
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// Concurrent users.
    #[arg(long, default_value_t = 500)]
    users: u32,
    /// A binary that is there, in place of a release build.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

const RAMP: Duration = Duration::from_secs(10);
const WARMUP: Duration = Duration::from_secs(20);
/// How long the last requests and the analysis may take after the measured interval.
const END: Duration = Duration::from_secs(1800);

pub(crate) fn soak(args: &Args) -> Result<()> {
    let binary = match &args.binary {
        Some(binary) => {
            fs::canonicalize(binary).with_context(|| format!("cannot find {}", binary.display()))?
        }
        None => build()?,
    };
    let folder = root().join(format!("target/soak-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let soaked = soak_in(&folder, &binary, args);
    // What it measured is in what it prints; on a failure the session is kept to be looked at.
    if soaked.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    } else {
        tell(&format!("its session is kept: {}", folder.display()));
    }
    soaked
}

fn build() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--locked", "--package", "spillpoint"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/spillpoint"))
}

fn soak_in(folder: &Path, binary: &Path, args: &Args) -> Result<()> {
    let plan = folder.join("soak.toml");
    fs::write(&plan, plan_of(args)).with_context(|| format!("cannot write {}", plan.display()))?;
    let (engine, url) = start_engine(folder, binary)?;
    let results = folder.join("results");
    let mut load = Daemon::start(
        Command::new(binary)
            .arg("run")
            .arg(&plan)
            .args(["--url", &url, "--results"])
            .arg(&results),
        &folder.join("load.log"),
    )?;
    let requests = results.join("latest/runs");
    load.wait_for("its first run", || {
        fs::read_dir(&requests).is_ok_and(|mut runs| runs.next().is_some())
    })?;
    let measured = Duration::from_secs(60 * u64::from(args.minutes));
    let mut course = Course::default();
    let watched = watch(&engine, &load, RAMP + WARMUP + measured, &mut course);
    tell(&course.table());
    watched?;
    let ended = load.wait(END)?;
    let mut failures = course.failures();
    if !ended.success() {
        failures.push(format!("load: ended with {ended}: see load.log"));
    }
    failures.extend(missed_ticks(&requests)?);
    if failures.is_empty() {
        tell("nothing grows, no descriptor leaks, no tick was missed");
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

fn start_engine(folder: &Path, binary: &Path) -> Result<(Daemon, String)> {
    let log = folder.join("engine.log");
    // What the engine keeps up to a limit is at its limit before anything is measured: the table of its
    // pool's blocks, and the truth about finished requests, which nobody fetches here.
    let mut engine = Daemon::start(
        Command::new(binary)
            .args(["engine", "--port", "0", "--speed", "4"])
            .args(["--kv-bytes", "1GiB", "--truth-requests", "1000"]),
        &log,
    )?;
    let ready = || fs::read_to_string(&log).unwrap_or_default();
    let url = |said: String| {
        let line = said.lines().find_map(|line| line.strip_prefix("ready "))?;
        Some(line.trim().to_owned())
    };
    engine.wait_for("its line of readiness", || url(ready()).is_some())?;
    let url = url(ready()).context("the engine's line of readiness")?;
    Ok((engine, url))
}

/// A reading a second of both, until the measured interval is over.
fn watch(engine: &Daemon, load: &Daemon, length: Duration, course: &mut Course) -> Result<()> {
    let began = Instant::now();
    let mut due = began;
    while began.elapsed() < length {
        let sizes = |reading: Reading| Sizes {
            rss_kib: reading.rss_kib,
            descriptors: reading.descriptors,
        };
        let engine = engine.read().context("the engine is gone")?;
        let load = load.read().context("the load is gone: see load.log")?;
        course.push(began.elapsed(), sizes(engine), sizes(load));
        due += Duration::from_secs(1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// What the run's manifest says of its sampler.
fn missed_ticks(runs: &Path) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for run in fs::read_dir(runs).with_context(|| format!("cannot read {}", runs.display()))? {
        let file = run?.path().join("manifest.json");
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let manifest: serde_json::Value = serde_json::from_slice(&text)?;
        let ticks = |name: &str| manifest["sampling"][name].as_u64();
        match (ticks("ticks_due"), ticks("ticks_taken")) {
            (Some(due), Some(taken)) if due == taken => {
                tell(&format!("sampler: {taken} of {due} ticks"))
            }
            (Some(due), Some(taken)) => {
                failures.push(format!("sampler: {taken} of {due} ticks were taken"))
            }
            _ => failures.push(format!("sampler: {} tells no ticks", file.display())),
        }
    }
    Ok(failures)
}

fn plan_of(args: &Args) -> String {
    let (users, minutes) = (args.users, args.minutes);
    let (ramp, warmup) = (RAMP.as_secs(), WARMUP.as_secs());
    format!(
        r#"name = "soak"
experiment = "h2"
title = "Soak: does anything grow?"
users = [{users}]
repeats = 1
order = "ascending"
seed = 42

[timing]
ramp = "{ramp}s"
warmup = "{warmup}s"
duration = "{minutes}m"
drain_limit = "120s"
request_timeout = "300s"
think = "0s"

[workload]
api = "auto"
prompt_tokens = 64
output_tokens = 16
temperature = 0.0

[telemetry]
interval = "100ms"

[gates]
failed_requests_pct_max = 0.0
telemetry_coverage_pct_min = 100.0
client_lag_p99_ms_max = 1000.0
"#
    )
}
