//! Results of the harness that came before, as a session.
//!
//! This crate owns the knowledge of another program's files, the DGX Spark harness of version
//! 2.2, and of their faults: which column holds something else than its name, which figure
//! nobody can stand behind. What can be trusted becomes a session of [`record`]'s, so that the
//! report draws it as any other; the rest is refused by name. Nothing is made up to fill a gap:
//! the harness kept no row of any request, so the session has none, and no latency.

mod error;
mod manifest;
mod mpstat;
mod note;
mod run;
mod smartctl;
mod summary;
mod telemetry;

use clock::SessionNs;
use manifest::Manifest;
use note::Notes;
use record::{RunId, RunManifest, Session, SessionDir, SessionManifest};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::SeedError;
pub use note::{Fate, Note};

/// What an import made.
#[derive(Debug)]
pub struct Imported {
    /// The session, ready to be analysed.
    pub session: Session,
    /// What was corrected on the way, and what was refused: corrections first.
    pub notes: Vec<Note>,
}

/// Reads the harness's results folder and writes what can be trusted as a new session into
/// `into`, which must not exist.
pub fn import(folder: &Path, into: &Path) -> Result<Imported, SeedError> {
    let mut notes = Notes::default();
    let manifests = manifests(folder, &mut notes)?;
    let Some(&(first, _)) = manifests.first() else {
        return Err(SeedError::NoRuns {
            path: folder.to_owned(),
            refused: notes.into_sorted(),
        });
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut repeats: BTreeMap<(String, u32, Option<&str>), u32> = BTreeMap::new();
    for (at, manifest) in manifests {
        let phase = manifest.hypothesis.to_lowercase();
        let (users, arm) = (manifest.concurrency_users, manifest.arm());
        let repeat = repeats.entry((phase.clone(), users, arm)).or_default();
        *repeat += 1;
        let id = match arm {
            Some(arm) => RunId::of_arm(&phase, users, arm, *repeat),
            None => RunId::new(&phase, users, *repeat),
        };
        let since = at.duration_since(first).unsigned_abs();
        runs.push(Run {
            id,
            phase,
            repeat: *repeat,
            start: SessionNs(0).plus(since),
            utc_ns: u64::try_from(at.as_nanosecond()).unwrap_or_default(),
            files: run::Files::read(folder, &manifest, &mut notes),
            manifest,
        });
    }
    let session = Session::create(SessionDir::new(into), session(into, &runs)?)?;
    for run in &runs {
        let dir = session.dir.run(&run.id);
        dir.create(&run.record(into)?)?;
        run::write(&run.files, &run.manifest, run.start, &dir)?;
    }
    Ok(Imported {
        session,
        notes: notes.into_sorted(),
    })
}

/// All manifests that can be read, in order of time.
fn manifests(
    folder: &Path,
    notes: &mut Notes,
) -> Result<Vec<(jiff::Timestamp, Manifest)>, SeedError> {
    const END: &str = "_manifest.json";
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SeedError::Io { path, source }
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(io(folder))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(io(folder))?;
    paths.sort();
    let mut manifests = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(id) = name.strip_suffix(END) else {
            continue;
        };
        let text = std::fs::read(&path).map_err(io(&path))?;
        match timed(&String::from_utf8_lossy(&text), id) {
            Ok(timed) => manifests.push(timed),
            Err(why) => notes.refused(id, why),
        }
    }
    manifests.sort_by_key(|(at, _)| *at);
    Ok(manifests)
}

/// From 2020 to 2100, in seconds since the epoch. The machine was first sold in 2025; one stamp far
/// off would stretch the axis that all runs share beyond use.
const POSSIBLE_S: Range<i64> = 1_577_836_800..4_102_444_800;

fn timed(text: &str, id: &str) -> Result<(jiff::Timestamp, Manifest), String> {
    let manifest = Manifest::parse(text)?;
    if manifest.run_id != id {
        return Err(format!(
            "manifest.json is of another run, {:?}",
            manifest.run_id
        ));
    }
    let stamp = &manifest.timestamp_utc;
    let at: jiff::Timestamp = stamp
        .parse()
        .map_err(|_| format!("manifest.json: no time: {stamp:?}"))?;
    if !POSSIBLE_S.contains(&at.as_second()) {
        return Err(format!("manifest.json: no time of this harness: {stamp:?}"));
    }
    Ok((at, manifest))
}

struct Run {
    id: RunId,
    phase: String,
    repeat: u32,
    start: SessionNs,
    utc_ns: u64,
    manifest: Manifest,
    files: run::Files,
}

/// The stamps of the manifests are whole seconds.
const STAMP_NS: u64 = 1_000_000_000;

/// The load generator's default, which no script changes.
const OUTPUT_TOKENS: u32 = 256;

/// The loop of the collector is meant to take this long.
const WANTED_MS: f64 = 1000.0;

impl Run {
    /// The run's manifest. Fields of later versions take their defaults.
    fn record(&self, into: &Path) -> Result<RunManifest, SeedError> {
        let at = |ms: u64| self.start.plus(Duration::from_millis(ms));
        let load_ms = u64::from(self.manifest.run_duration_sec) * 1000;
        let (start, loaded) = (self.start, at(load_ms));
        let end = at(self.files.watched_ms().max(load_ms));
        let rows = self.files.telemetry.as_ref().map(|it| &it.rows);
        let sampling = rows.and_then(|rows| {
            let last = rows.last()?;
            Some(json!({
                "interval_ms": WANTED_MS,
                "ticks_due": last.ms / WANTED_MS as u64 + 1,
                "ticks_taken": rows.len(),
                "late_p99_us": null,
            }))
        });
        from_json(
            into,
            json!({
                "format": record::FORMAT,
                "run": self.id,
                "phase": self.phase,
                "users": self.manifest.concurrency_users,
                "repeat": self.repeat,
                "arm": self.manifest.arm(),
                "workload": {
                    "prompt_tokens": self.manifest.prompt_tokens(),
                    "output_tokens": OUTPUT_TOKENS,
                    // One prompt for all requests: neither seed nor salt made any difference.
                    "seed": 0,
                    "nonce_salt": 0,
                },
                "state": "complete",
                "clock": {"mono_ns": start.0, "utc_ns": self.utc_ns, "uncertainty_ns": STAMP_NS},
                "stages": {
                    "ramp": {"start_ns": start, "end_ns": start},
                    "warmup": {"start_ns": start, "end_ns": start},
                    "measure": {"start_ns": start, "end_ns": loaded},
                    "drain": {"start_ns": loaded, "end_ns": end},
                },
                "sampling": sampling,
                "gates": [{
                    "name": "request_rows",
                    "measures": "rows of requests that the harness kept",
                    "limit": ">= 1",
                    "measured": 0.0,
                    "passed": false,
                    "effect": "not_decision_grade",
                }],
            }),
        )
    }
}

/// The session's manifest.
fn session(into: &Path, runs: &[Run]) -> Result<SessionManifest, SeedError> {
    let model = runs.iter().find_map(|run| run.manifest.model_name.clone());
    let names: BTreeMap<&str, &str> = runs
        .iter()
        .map(|run| (run.id.as_str(), run.manifest.run_id.as_str()))
        .collect();
    from_json(
        into,
        json!({
            "format": record::FORMAT,
            "session": SessionDir::new(into).name(),
            "spillpoint": env!("CARGO_PKG_VERSION"),
            "experiment": experiment(runs),
            "title": "Imported from the DGX Spark harness 2.2: the host and the drive, without requests",
            "quick": false,
            "plan": {"imported": names},
            "target": {
                "kind": "attached",
                "url": NOT_RECORDED,
                "model": model.as_deref().unwrap_or(NOT_RECORDED),
                "api": "completions",
                "server": null,
            },
            "host": host(runs),
            "device": device(runs),
            "t0_mono_ns": 0,
            "clock": {
                "mono_ns": 0,
                "utc_ns": runs.first().map_or(0, |run| run.utc_ns),
                "uncertainty_ns": STAMP_NS,
            },
            "runs": runs.iter().map(|run| &run.id).collect::<Vec<_>>(),
        }),
    )
}

/// What no file of the harness says, where a manifest must say something.
const NOT_RECORDED: &str = "not recorded";

/// The hypothesis, where all runs are of one.
fn experiment(runs: &[Run]) -> &str {
    match runs {
        [first, rest @ ..] if rest.iter().all(|run| run.phase == first.phase) => &first.phase,
        _ => "imported",
    }
}

/// The host, each fact from the first run that has it.
fn host(runs: &[Run]) -> serde_json::Value {
    let mpstat = || runs.iter().filter_map(|run| run.files.mpstat.as_ref());
    let cores = mpstat()
        .filter_map(|log| Some(log.seconds.last()?.cores.len()))
        .max();
    let kernel = runs
        .iter()
        .find_map(|run| run.manifest.os.as_ref()?.kernel.as_deref());
    json!({
        "hostname": mpstat().find_map(|it| it.hostname.as_deref()).unwrap_or(NOT_RECORDED),
        "kernel": kernel.unwrap_or(NOT_RECORDED),
        "arch": mpstat().find_map(|it| it.arch.as_deref()).unwrap_or(NOT_RECORDED),
        "os": null,
        "cpu": null,
        "cores": cores.unwrap_or_default(),
        "mem_total_bytes": null,
        "swap_total_bytes": null,
        "page_size_bytes": 4096,
        "boot_id": null,
    })
}

/// The drive, as the first manifest that names one does.
fn device(runs: &[Run]) -> serde_json::Value {
    let manifests = || runs.iter().map(|run| &run.manifest);
    let name = manifests().find_map(Manifest::device);
    json!({
        "path": name.map(|it| format!("/dev/{it}")).unwrap_or_default(),
        "name": name,
        "partition": null,
        "file_system": null,
        "model": manifests().find_map(Manifest::device_model),
        "why_not": name.is_none().then_some("no manifest names one"),
    })
}

fn from_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    value: serde_json::Value,
) -> Result<T, SeedError> {
    let path = path.to_owned();
    let json = |source| record::RecordError::Json { path, source };
    Ok(serde_json::from_value(value).map_err(json)?)
}
