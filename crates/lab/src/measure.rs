//! One run: load beside probes, the files, the gates, the seal.

use crate::{
    Event, LabError, Moment,
    gates::{self, Seen},
    run_log::RunLog,
    tally::Tally,
    target::ReadyTarget,
};
use clock::{ClockPair, MonoNs, SessionClock};
use load::{LengthModel, Live, Phase, PhaseReport, Stop, TokenPool, Workload};
use plan::{Plan, RunSpec};
use probe::{Probes, Roots, SampleInterval, Sampled, Sampler};
use record::{
    DeviceUnderTest, FORMAT, RecordError, RunDir, RunId, RunManifest, RunState, RunWriter, Stage,
    TelemetryWriter, WorkloadFacts,
};
use std::{
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// All that the runs of a session have in common.
pub(crate) struct Bench<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: &'a ReadyTarget,
    pub(crate) device: &'a DeviceUnderTest,
    pub(crate) roots: &'a Roots,
    pub(crate) clock: SessionClock,
    /// Makes every prompt of the session new to the server.
    pub(crate) salt: u64,
    /// For prompts of exact length, where the server takes token ids.
    pub(crate) token_pool: Option<TokenPool>,
    /// The person's wish to end early.
    pub(crate) stop: &'a Stop,
}

/// A run that has ended.
pub(crate) struct Measured {
    pub(crate) manifest: RunManifest,
    /// The length model as corrected by the run.
    pub(crate) lengths: LengthModel,
    /// The server's process is gone.
    pub(crate) server_died: bool,
}

/// How often the watcher looks.
const LOOK: Duration = Duration::from_millis(100);
/// How often it tells.
const TELL: Duration = Duration::from_millis(250);

impl Bench<'_> {
    /// Makes one run. Whatever happens after its folder is made, its manifest says how it ended.
    pub(crate) fn measure(
        &self,
        spec: RunSpec,
        dir: &RunDir,
        lengths: LengthModel,
        observer: &mut dyn FnMut(Event),
    ) -> Result<Measured, LabError> {
        let mut manifest = self.manifest(spec);
        dir.create(&manifest)?;
        let measured = self.load_beside_probes(spec, dir, lengths, &mut manifest, observer);
        if let Err(error) = &measured {
            manifest.state = RunState::Failed(error.to_string());
        }
        dir.write_manifest(&manifest)?;
        let (lengths, server_died) = measured?;
        Ok(Measured {
            manifest,
            lengths,
            server_died,
        })
    }

    fn manifest(&self, spec: RunSpec) -> RunManifest {
        let Plan { name, workload, .. } = self.plan;
        let run = run_id(self.plan, spec);
        RunManifest {
            format: FORMAT,
            phase: name.to_string(),
            users: spec.users.get(),
            repeat: spec.repeat,
            arm: None,
            block: None,
            model_load: None,
            workload: WorkloadFacts {
                prompt_tokens: workload.prompt_tokens.get(),
                output_tokens: workload.output_tokens.get(),
                seed: self.plan.seed,
                nonce_salt: salted(self.salt, &run),
            },
            run,
            state: RunState::Running,
            clock: ClockPair::read(),
            stages: None,
            sampling: None,
            gates: Vec::new(),
        }
    }

    fn load_beside_probes(
        &self,
        spec: RunSpec,
        dir: &RunDir,
        lengths: LengthModel,
        manifest: &mut RunManifest,
        observer: &mut dyn FnMut(Event),
    ) -> Result<(LengthModel, bool), LabError> {
        let mut log = RunLog::create(dir, self.clock)?;
        let phase = self.phase(spec, manifest.workload.nonce_salt, lengths);
        let trouble = Trouble::default();
        let sampler = self.sample(dir, &trouble)?;
        let (loaded, tally) = self.load(&phase, dir, &sampler, &trouble, observer)?;
        let sampled = sampler.stop();
        let alive = self.target.is_alive(self.roots);
        tell_all(&mut log, &loaded, &sampled)?;
        manifest.stages = Some(loaded.stages);
        manifest.sampling = Some(sampled.facts);
        let seen = Seen {
            ticks_due: sampled.facts.ticks_due,
            ticks_taken: sampled.facts.ticks_taken,
            same_server: alive,
            ..tally.seen()
        };
        manifest.gates = gates::judge(&self.plan.gates, &seen);
        trouble.check()?;
        manifest.state = match (alive, loaded.stopped) {
            (Some(false), _) => RunState::Failed("the server ended during the run".to_owned()),
            (_, true) => RunState::Interrupted,
            (_, false) => RunState::Complete,
        };
        log.tell(format_args!("ended: {:?}", manifest.state))?;
        Ok((loaded.lengths, alive == Some(false)))
    }

    fn phase(&self, spec: RunSpec, salt: u64, lengths: LengthModel) -> Phase {
        let Plan {
            timing, workload, ..
        } = self.plan;
        let mut requests = Workload::new(
            workload.prompt_tokens.get(),
            workload.output_tokens.get(),
            self.plan.seed,
            salt,
        );
        requests.temperature = workload.temperature.get();
        requests.token_pool = self.token_pool.clone();
        let timing = load::Timing {
            ramp: timing.ramp.0,
            warmup: timing.warmup.0,
            measure: timing.duration.0,
            drain_limit: timing.drain_limit.0,
            request_deadline: timing.request_timeout.0,
        };
        let users = NonZeroU32::new(spec.users.get()).unwrap_or(NonZeroU32::MIN);
        Phase::closed(users, self.plan.timing.think.0, timing, requests, lengths)
    }

    fn sample(&self, dir: &RunDir, trouble: &Trouble) -> Result<Sampler, LabError> {
        let mut probes = Probes::open(self.roots, Some(self.device));
        if let Some(process) = self.target.process {
            probes = probes.with_server(self.roots, process);
        }
        let mut writer = TelemetryWriter::create(dir.path(), probes.columns())?;
        let interval = SampleInterval::new(self.plan.telemetry.interval.get())
            .unwrap_or(SampleInterval::DEFAULT);
        let trouble = trouble.clone();
        let sink = move |row: &_, cores: &[_]| trouble.note(writer.tick(row, cores));
        Ok(Sampler::start(probes, interval, self.clock, sink)?)
    }

    /// Runs the phase on a thread of its own; this one watches it.
    fn load(
        &self,
        phase: &Phase,
        dir: &RunDir,
        sampler: &Sampler,
        trouble: &Trouble,
        observer: &mut dyn FnMut(Event),
    ) -> Result<(PhaseReport, Tally), LabError> {
        let mut writer = RunWriter::create(dir)?;
        let (live, stop) = (Live::default(), Stop::default());
        let (over, ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let (live, stop) = (&live, &stop);
            let loading = scope.spawn(move || {
                // Dropped at the end, whatever the end is: the watcher sees it.
                let _over = over;
                let mut tally = Tally::new();
                let sink = |row: record::RequestRow, tokens: record::RequestTokens| {
                    tally.count(&row, &tokens);
                    trouble.note(writer.request(&row, &tokens));
                };
                let report = load::run(&self.target.load, phase, self.clock, live, stop, sink);
                report.map(|report| (report, tally))
            });
            let began = MonoNs::now();
            let mut told = began;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if self.must_end(trouble) {
                    stop.stop();
                }
                let now = MonoNs::now();
                if now.since(told) >= TELL {
                    told = now;
                    let done = share_done(phase, now.since(began));
                    observer(Event::Progress(moment(live, sampler, done)));
                }
            }
            let report = loading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok(report?)
        })
    }

    /// A person's wish, a file that can't be written, a server that is gone.
    fn must_end(&self, trouble: &Trouble) -> bool {
        self.stop.is_stopped()
            || trouble.0.get().is_some()
            || self.target.is_alive(self.roots) == Some(false)
    }
}

/// The first file that could not be written, from whichever thread.
#[derive(Clone, Default)]
struct Trouble(Arc<OnceLock<RecordError>>);

impl Trouble {
    fn note(&self, written: Result<(), RecordError>) {
        if let Err(error) = written {
            // Only the first counts: the others follow from it.
            let _ = self.0.set(error);
        }
    }

    /// The threads that write have ended.
    fn check(self) -> Result<(), RecordError> {
        match Arc::into_inner(self.0).and_then(OnceLock::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The name of a run.
pub(crate) fn run_id(plan: &Plan, spec: RunSpec) -> RunId {
    RunId::new(plan.name.as_str(), spec.users.get(), spec.repeat)
}

/// A salt for this run: FNV-1a of its name over the session's.
fn salted(session: u64, run: &RunId) -> u64 {
    run.as_str()
        .bytes()
        .fold(session ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

fn share_done(phase: &Phase, elapsed: Duration) -> f64 {
    let timing = phase.timing;
    let shortest = timing.ramp + timing.warmup + timing.measure;
    (elapsed.as_secs_f64() / shortest.as_secs_f64()).min(1.0)
}

fn moment(live: &Live, sampler: &Sampler, done: f64) -> Moment {
    let (load, host) = (live.snapshot(), sampler.live());
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    Moment {
        stage: load.stage.unwrap_or(Stage::Ramp),
        done,
        ok: load.ended_ok,
        failed: load.failed,
        in_flight: load.in_flight,
        ttft_p50_ms: load.ttft_p50.map(ms),
        ttft_p99_ms: load.ttft_p99.map(ms),
        chunks_per_s: load.chunks_per_s,
        read_mb_per_s: host.device_read_mb_s,
        write_mb_per_s: host.device_write_mb_s,
    }
}

fn tell_all(log: &mut RunLog, loaded: &PhaseReport, sampled: &Sampled) -> Result<(), RecordError> {
    for note in &loaded.failures {
        let (kind, words, count) = (note.failure, &note.words, note.count);
        log.tell(format_args!(
            "{count} requests failed ({kind:?}); the first: {words}"
        ))?;
    }
    if loaded.resent > 0 {
        let resent = loaded.resent;
        log.tell(format_args!(
            "{resent} requests were sent again: their idle connection had been closed"
        ))?;
    }
    for fault in &sampled.faults {
        log.tell(fault)?;
    }
    log.tell(format_args!(
        "sampler: {:?}, {} of {} ticks",
        sampled.urgency, sampled.facts.ticks_taken, sampled.facts.ticks_due
    ))?;
    let cpu_s = loaded.cpu.as_secs_f64();
    log.tell(format_args!(
        "load generator: {cpu_s:.3} s of CPU in its socket thread"
    ))
}
