//! A session, from its folder to its last run.

use crate::{
    Event, Job, LabError,
    estimate::estimate,
    lock::TargetLock,
    measure::{Bench, Measured},
    memory_back,
    model_cache::ModelCache,
    model_load, needs,
    neighbour::{self, NeighbourFile},
    phase::{Prompts, run_id},
    place,
    prepare::{self, How, Preparation, Undone},
    seen,
    target::ReadyTarget,
};
use clock::{ClockPair, SessionClock};
use load::{LengthModel, Stop};
use plan::{Experiment, Plan, RunSpec};
use probe::{Roots, host};
use record::{
    DeviceUnderTest, Effect, FORMAT, HostFacts, RunManifest, RunState, Session, SessionDir,
    SessionManifest,
};
use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
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

/// A session whose folder is there, and a server that answers.
struct Begun {
    session: Session,
    target: ReadyTarget,
    clock: SessionClock,
}

/// Runs a plan to its end. What happens is told to `observer`, on this thread.
///
/// Nothing is left behind: a server that was started ends with the session.
pub fn run(job: &Job, stop: &Stop, observer: &mut dyn FnMut(Event)) -> Result<Ended, LabError> {
    let roots = Roots::default();
    let cache = needs::check(job, observer)?;
    observer(Event::Estimated(estimate(job)));
    let _lock = TargetLock::take(&job.target.url)?;
    put_back_what_was_left(job, observer);
    // Dropped on an error: that puts everything back too.
    let mut preparation = Preparation::make(&job.plan, &job.machine)?;
    for left_out in preparation.left_out() {
        observer(Event::Warning(left_out));
    }
    let ended = measure_all(job, &roots, cache, &mut preparation, stop, observer);
    for path in &job.target.scratch {
        // Where it was never made, or is another's by now, there is nothing to do.
        let _ = fs::remove_file(path);
    }
    let ended = ended?;
    let undone = preparation.undo()?;
    tell_failed(&undone, observer);
    Ok(ended)
}

/// Puts back what a session left that was killed.
fn put_back_what_was_left(job: &Job, observer: &mut dyn FnMut(Event)) {
    match prepare::restore(&job.machine) {
        Ok(undone) => {
            for undone in undone {
                observer(Event::Warning(format!(
                    "a session was killed that had changed this machine: {undone}"
                )));
            }
        }
        // Nothing is wrong as long as this plan changes nothing itself; if it does, it is refused.
        Err(LabError::MachineBusy { .. }) => {}
        Err(error) => observer(Event::Warning(error.to_string())),
    }
}

fn tell_failed(undone: &[Undone], observer: &mut dyn FnMut(Event)) {
    for undone in undone {
        if !matches!(undone.how, How::Restored) {
            observer(Event::Warning(undone.to_string()));
        }
    }
}

/// The session, on a machine that is prepared.
fn measure_all(
    job: &Job,
    roots: &Roots,
    cache: Option<ModelCache>,
    preparation: &mut Preparation,
    stop: &Stop,
    observer: &mut dyn FnMut(Event),
) -> Result<Ended, LabError> {
    let Begun {
        mut session,
        mut target,
        clock,
    } = match &job.resume {
        None => begin(job, roots, preparation, stop, observer)?,
        Some(path) => resume(job, path, roots, preparation, stop, observer)?,
    };
    if let Some(server) = &mut target.managed {
        server.move_log(&session.dir.path().join("server.log"));
    }
    if let Err(error) = session.make_latest() {
        observer(Event::Warning(error.to_string()));
    }
    tell_began(job, &session, &target, observer);
    let salt = RandomState::new().build_hasher().finish();
    let lengths = lengths(job, &target, salt)?;
    let mut bench = Bench {
        plan: &job.plan,
        prompts: prompts(job, &target, salt)?,
        target,
        device: &session.manifest.device,
        roots,
        preparation,
        neighbour: NeighbourFile::make(&job.plan, session.dir.path())?,
        variants: &job.target.variants,
        metrics: &job.target.metrics,
        clock,
        ceiling_mb_s: ceiling(job, cache.as_ref()),
        cache,
        first_kv_pool: session.run_dirs().find_map(|run| seen::kv_pool(&run)),
        stop,
    };
    let invalid = run_all(&mut bench, &session, lengths, observer)?;
    if let Some(server) = &mut bench.target.managed
        && let Some(memory) = server.stop_and_wait(stop)
    {
        let told = memory_back::complaint(&memory).map(Event::Warning);
        told.into_iter().for_each(observer);
        session.write_memory_back(memory)?;
    }
    Ok(Ended {
        interrupted: stop.is_stopped(),
        invalid,
        session,
    })
}

/// How prompts are made as long as they are meant to be.
fn prompts(job: &Job, target: &ReadyTarget, salt: u64) -> Result<Prompts, LabError> {
    let seed = job.plan.seed;
    Ok(Prompts {
        salt,
        exact: load::exact_lengths(&target.load, None, false, seed, salt)?,
        adapters: job.target.adapters.clone(),
    })
}

fn begin(
    job: &Job,
    roots: &Roots,
    preparation: &mut Preparation,
    stop: &Stop,
    observer: &mut dyn FnMut(Event),
) -> Result<Begun, LabError> {
    let results = place::results_folder(&job.results)?;
    neighbour::check(&job.plan, &results)?;
    let device = place::device_under_test(job, roots, &results)?;
    precondition(job, preparation, &device, &results, roots, stop, observer)?;
    let host = host::facts(roots);
    let clock = SessionClock::start();
    let name = place::session_name(&job.plan, &host.hostname);
    let target = resolve(job, roots, &results, &name, stop)?;
    let mut manifest = manifest(job, name, &target, host, device, clock);
    manifest.prepared = preparation.done.clone();
    let dir = SessionDir::new(results.join(&manifest.session));
    let session = Session::create(dir, manifest)?;
    Ok(Begun {
        session,
        target,
        clock,
    })
}

/// Opens a session that was cut short, if its times can be gone on with.
fn resume(
    job: &Job,
    path: &Path,
    roots: &Roots,
    preparation: &mut Preparation,
    stop: &Stop,
    observer: &mut dyn FnMut(Event),
) -> Result<Begun, LabError> {
    let refuse = |why| LabError::Resume {
        path: path.to_owned(),
        why,
    };
    let mut session = Session::open(path)?;
    if session.manifest.plan != plan_as_run(job) {
        return Err(refuse(
            "the session has another plan; resume it without options of your own",
        ));
    }
    if session.manifest.host.boot_id != host::facts(roots).boot_id {
        return Err(refuse(
            "the machine was started again since, and with it the clock of the session's times; \
             start a new session",
        ));
    }
    neighbour::check(&job.plan, session.dir.path())?;
    let device = &session.manifest.device;
    precondition(
        job,
        preparation,
        device,
        &job.results,
        roots,
        stop,
        observer,
    )?;
    session.manifest.prepared = preparation.done.clone();
    let clock = SessionClock::from_t0(session.manifest.t0_mono_ns);
    let target = resolve(job, roots, session.dir.path(), "resumed", stop)?;
    if target.facts.model != session.manifest.target.model {
        return Err(refuse(
            "the server has another model now; start a new session",
        ));
    }
    Ok(Begun {
        session,
        target,
        clock,
    })
}

/// The step of the preparation that needs to know the device.
fn precondition(
    job: &Job,
    preparation: &mut Preparation,
    device: &DeviceUnderTest,
    results: &Path,
    roots: &Roots,
    stop: &Stop,
    observer: &mut dyn FnMut(Event),
) -> Result<(), LabError> {
    let told = preparation.left_out().count();
    preparation.precondition(&job.plan, device, results, roots, stop)?;
    for left_out in preparation.left_out().skip(told) {
        observer(Event::Warning(left_out));
    }
    Ok(())
}

fn resolve(
    job: &Job,
    roots: &Roots,
    folder: &Path,
    name: &str,
    stop: &Stop,
) -> Result<ReadyTarget, LabError> {
    let log = folder.join(format!(".{name}.server.log"));
    ReadyTarget::resolve(&job.target, job.plan.workload.api, roots, &log, stop)
}

fn manifest(
    job: &Job,
    name: String,
    target: &ReadyTarget,
    host: HostFacts,
    device: DeviceUnderTest,
    clock: SessionClock,
) -> SessionManifest {
    let schedule = job.plan.schedule();
    SessionManifest {
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
        server_start_ms: target.start.map(|took| took.as_secs_f64() * 1e3),
        memory_back: None,
        calibration: job.calibration.clone(),
        t0_mono_ns: clock.t0(),
        clock: ClockPair::read(),
        runs: schedule
            .into_iter()
            .map(|spec| run_id(&job.plan, spec))
            .collect(),
        prepared: Vec::new(),
        verdict: None,
    }
}

/// The plan as JSON, overrides and all.
fn plan_as_run(job: &Job) -> serde_json::Value {
    serde_json::to_value(&job.plan).expect("a plan is strings, numbers and lists")
}

fn lengths(job: &Job, target: &ReadyTarget, salt: u64) -> Result<LengthModel, LabError> {
    let (seed, tokens) = (job.plan.seed, job.plan.workload.prompt_tokens.get());
    Ok(load::calibrate(&target.load, seed, salt, tokens)?)
}

/// Only a load is laid beside it.
fn ceiling(job: &Job, cache: Option<&ModelCache>) -> Option<f64> {
    let loads = job.plan.experiment == Experiment::H1 && job.target.whose.lifecycle().is_some();
    cache.filter(|_| loads).and_then(model_load::ceiling_of)
}

fn tell_began(job: &Job, session: &Session, target: &ReadyTarget, observer: &mut dyn FnMut(Event)) {
    let device = &session.manifest.device;
    if let Some(why) = &device.why_not {
        let path = device.path.display();
        observer(Event::Warning(format!(
            "{path} is on no block device ({why}): device columns stay empty; name a path on the \
             device under test with --storage"
        )));
    }
    let planned = job.plan.schedule();
    observer(Event::Began {
        session: session.dir.path().to_owned(),
        target: target.facts.clone(),
        device: device.name.clone(),
        runs: planned.len(),
    });
}

/// Makes every run in turn that isn't there; true if one of them is invalid.
fn run_all(
    bench: &mut Bench<'_>,
    session: &Session,
    mut lengths: LengthModel,
    observer: &mut dyn FnMut(Event),
) -> Result<bool, LabError> {
    let mut invalid = false;
    for (index, spec) in bench.plan.schedule().into_iter().enumerate() {
        if bench.stop.is_stopped() {
            break;
        }
        let dir = session.dir.run(&run_id(bench.plan, spec));
        if is_whole(bench.plan, session, spec) {
            invalid |= dir
                .read_manifest()
                .is_ok_and(|manifest| is_invalid(&manifest));
            continue;
        }
        dir.set_aside()?;
        let measured = match run_one(bench, session, index, spec, lengths, observer) {
            Err(LabError::Interrupted) => break,
            measured => measured?,
        };
        lengths = measured.lengths;
        invalid |= is_invalid(&measured.manifest);
        if measured.server_died {
            return Err(LabError::ServerDied {
                run: measured.manifest.run,
                last_words: bench.target.last_words(),
            });
        }
        if let RunState::Failed(why) = measured.manifest.state {
            return Err(LabError::Cut {
                run: measured.manifest.run,
                why,
            });
        }
    }
    Ok(invalid)
}

/// Whether the run is there, and all that were made with it on one start of the server: what one of
/// them measures rests on those before.
pub(crate) fn is_whole(plan: &Plan, session: &Session, spec: RunSpec) -> bool {
    let is_there = |spec| session.dir.run(&run_id(plan, spec)).is_complete();
    let schedule = plan.schedule().into_iter();
    schedule.filter(|it| it.is_beside(spec)).all(is_there)
}

fn run_one(
    bench: &mut Bench<'_>,
    session: &Session,
    index: usize,
    spec: RunSpec,
    lengths: LengthModel,
    observer: &mut dyn FnMut(Event),
) -> Result<Measured, LabError> {
    let run = run_id(bench.plan, spec);
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
