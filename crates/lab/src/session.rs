//! A session, from its folder to its last run.

use crate::{
    Event, Job, LabError,
    measure::{Bench, Measured, run_id},
    target::ReadyTarget,
};
use clock::{ClockPair, SessionClock};
use load::{LengthModel, Stop};
use plan::RunSpec;
use probe::{Roots, device, host};
use record::{
    DeviceUnderTest, Effect, FORMAT, RunId, RunManifest, RunState, Session, SessionDir,
    SessionManifest,
};
use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
};

/// A session that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The session.
    pub session: Session,
    /// It was ended early, by a person.
    pub interrupted: bool,
    /// A gate failed that makes its run invalid.
    pub invalid: bool,
}

/// Runs a plan to its end. What happens is told to `observer`, on this thread.
///
/// Nothing is left behind: the engine, if it was started, ends with the session.
pub fn run(job: &Job, stop: &Stop, observer: &mut dyn FnMut(Event)) -> Result<Ended, LabError> {
    let roots = Roots::default();
    let results = results_folder(&job.results)?;
    let device = device_under_test(job, &roots, &results)?;
    let host = host::facts(&roots);
    let clock = SessionClock::start();
    let name = session_name(job, &host.hostname);
    let dir = SessionDir::new(results.join(&name));
    let log = results.join(format!(".{name}.engine.log"));
    let mut target = ReadyTarget::resolve(&job.target, job.plan.workload.api, &roots, &log)?;
    let salt = RandomState::new().build_hasher().finish();
    let lengths = load::calibrate(
        &target.load,
        job.plan.seed,
        salt,
        job.plan.workload.prompt_tokens.get(),
    )?;
    let token_pool = load::token_pool(&target.load)?;
    let manifest = SessionManifest {
        format: FORMAT,
        session: name,
        spillpoint: job.version.clone(),
        experiment: job.plan.experiment.name().to_owned(),
        title: job.plan.title.clone(),
        quick: job.quick,
        plan: plan_as_run(job),
        target: target.facts.clone(),
        host,
        device,
        t0_mono_ns: clock.t0(),
        clock: ClockPair::read(),
        runs: job
            .plan
            .schedule()
            .into_iter()
            .map(|spec| run_id(&job.plan, spec))
            .collect(),
        verdict: None,
    };
    let session = Session::create(dir, manifest)?;
    target.keep_log(&session.dir.path().join("engine.log"));
    if let Err(error) = session.make_latest() {
        observer(Event::Warning(error.to_string()));
    }
    began(job, &session, observer);
    let bench = Bench {
        plan: &job.plan,
        target: &target,
        device: &session.manifest.device,
        roots: &roots,
        clock,
        salt,
        token_pool,
        stop,
    };
    let invalid = run_all(&bench, &session, lengths, observer)?;
    Ok(Ended {
        interrupted: stop.is_stopped(),
        invalid,
        session,
    })
}

fn began(job: &Job, session: &Session, observer: &mut dyn FnMut(Event)) {
    if let Some(why) = &session.manifest.device.why_not {
        let path = session.manifest.device.path.display();
        observer(Event::Warning(format!(
            "{path} is on no block device ({why}): device columns stay empty; name a path on the \
             device under test with --storage"
        )));
    }
    observer(Event::Began {
        session: session.dir.path().to_owned(),
        target: session.manifest.target.clone(),
        runs: session.manifest.runs.len(),
        shortest: job.plan.shortest_time(),
    });
}

/// Makes every run in turn; true if one of them is invalid.
fn run_all(
    bench: &Bench<'_>,
    session: &Session,
    mut lengths: LengthModel,
    observer: &mut dyn FnMut(Event),
) -> Result<bool, LabError> {
    let mut invalid = false;
    for (index, spec) in bench.plan.schedule().into_iter().enumerate() {
        if bench.stop.is_stopped() {
            break;
        }
        let measured = run_one(bench, session, index, spec, lengths, observer)?;
        lengths = measured.lengths;
        invalid |= is_invalid(&measured.manifest);
        if measured.server_died {
            return Err(LabError::ServerDied {
                run: measured.manifest.run,
                last_words: bench.target.last_words(),
            });
        }
    }
    Ok(invalid)
}

fn run_one(
    bench: &Bench<'_>,
    session: &Session,
    index: usize,
    spec: RunSpec,
    lengths: LengthModel,
    observer: &mut dyn FnMut(Event),
) -> Result<Measured, LabError> {
    let run: RunId = run_id(bench.plan, spec);
    observer(Event::RunBegan {
        run: run.clone(),
        number: index + 1,
        users: spec.users.get(),
    });
    let measured = bench.measure(spec, &session.dir.run(&run), lengths, observer)?;
    observer(Event::RunEnded {
        run,
        state: measured.manifest.state.clone(),
        gates: measured.manifest.gates.clone(),
    });
    Ok(measured)
}

/// A run that was cut short is not invalid: it is not there.
fn is_invalid(manifest: &RunManifest) -> bool {
    let failed = |gate: &record::Gate| !gate.passed && gate.effect == Effect::Invalid;
    manifest.state == RunState::Complete && manifest.gates.iter().any(failed)
}

/// The folder, made and proven to take files, as an absolute path.
fn results_folder(path: &Path) -> Result<PathBuf, LabError> {
    let failed = |source| LabError::Results {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(failed)?;
    let path = fs::canonicalize(path).map_err(failed)?;
    let proof = path.join(format!(".spillpoint-{}", std::process::id()));
    fs::write(&proof, b"proof").map_err(failed)?;
    fs::remove_file(&proof).map_err(failed)?;
    Ok(path)
}

fn device_under_test(
    job: &Job,
    roots: &Roots,
    results: &Path,
) -> Result<DeviceUnderTest, LabError> {
    let Some(path) = &job.storage else {
        return Ok(device::resolve(roots, results));
    };
    match fs::metadata(path) {
        Ok(_) => Ok(device::resolve(roots, path)),
        Err(source) => Err(LabError::Storage {
            path: path.clone(),
            source,
        }),
    }
}

/// `20261124T101500Z-h2-spark`.
fn session_name(job: &Job, hostname: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let host: String = hostname
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    format!("{now}-{}-{host}", job.plan.name)
}

/// The plan as JSON, overrides and all.
fn plan_as_run(job: &Job) -> serde_json::Value {
    serde_json::to_value(&job.plan).expect("a plan is strings, numbers and lists")
}
