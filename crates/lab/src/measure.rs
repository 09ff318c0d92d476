//! One run: load beside probes, the files, the gates, the seal.

use crate::{
    Event, LabError,
    before::tell_missing_memory,
    gates::{self, KvPool, Seen},
    model_cache::ModelCache,
    model_load,
    neighbour::{Fio, NeighbourFile},
    phase::{self, Prompts},
    prepare::Preparation,
    run_log::RunLog,
    seen,
    sensors::{BlockTimes, Sensors},
    standing::Standing,
    tally::Tally,
    target::ReadyTarget,
    watch::{Cut, Trouble, Watch},
};
use clock::{ClockPair, MonoNs, SessionClock};
use load::{LengthModel, Live, Phase, PhaseReport, Stop};
use plan::{CacheState, PhaseName, Plan, RunSpec, Variant};
use probe::{Latest, Roots, metrics::MetricsUrl};
use record::{
    DeviceUnderTest, FORMAT, RecordError, RunDir, RunManifest, RunState, RunWriter, Telemetry,
};
use std::{
    collections::BTreeMap,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// All that the runs of a session have in common.
pub(crate) struct Bench<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) target: ReadyTarget,
    pub(crate) device: &'a DeviceUnderTest,
    pub(crate) roots: &'a Roots,
    pub(crate) preparation: &'a Preparation,
    pub(crate) clock: SessionClock,
    pub(crate) prompts: Prompts,
    /// The model's files, where they are known.
    pub(crate) cache: Option<ModelCache>,
    /// The file of the plan's neighbours, if it has any.
    pub(crate) neighbour: Option<NeighbourFile>,
    /// The server's other configurations.
    pub(crate) variants: &'a BTreeMap<PhaseName, Variant>,
    /// Where it counts what it does, beside its own URL.
    pub(crate) metrics: &'a [MetricsUrl],
    /// The device's own sequential read rate, where the plan asks how a load compares to it.
    pub(crate) ceiling_mb_s: Option<f64>,
    /// The size of the server's KV pool in the first run that told.
    pub(crate) first_kv_pool: Option<f64>,
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

/// A phase that has ended.
struct Loaded {
    report: PhaseReport,
    tally: Tally,
    cut: Option<Cut>,
}

/// A run whose load has ended.
struct Ended<'a> {
    spec: RunSpec,
    phase: &'a Phase,
    loaded: &'a Loaded,
    /// The declared state of the model's files, and their share in the page cache, in percent.
    cache: Option<(CacheState, Option<f64>)>,
    /// Whether the server still runs, where its process is known.
    alive: Option<bool>,
}

impl Bench<'_> {
    /// Makes one run. Whatever happens after its folder is made, its manifest says how it ended.
    pub(crate) fn measure(
        &mut self,
        spec: RunSpec,
        dir: &RunDir,
        lengths: LengthModel,
        observer: &mut dyn FnMut(Event),
    ) -> Result<Measured, LabError> {
        let mut manifest = self.manifest(spec);
        dir.create(&manifest)?;
        let measured = self.fill(spec, dir, lengths, &mut manifest, observer);
        match &measured {
            Err(LabError::Interrupted) => manifest.state = RunState::Interrupted,
            Err(error) => manifest.state = RunState::Failed(error.to_string()),
            Ok(_) => {}
        }
        let sealed = dir.write_manifest(&manifest);
        // On a full disk both fail: what failed first says more.
        let (lengths, server_died) = measured?;
        sealed?;
        Ok(Measured {
            manifest,
            lengths,
            server_died,
        })
    }

    fn manifest(&self, spec: RunSpec) -> RunManifest {
        let arm = self.plan.arm(spec);
        RunManifest {
            format: FORMAT,
            run: phase::run_id(self.plan, spec),
            phase: phase::name(self.plan, spec).to_string(),
            users: spec.users.get(),
            repeat: spec.repeat,
            arm: arm.map(|arm| arm.name.to_string()),
            block: arm.map(|_| spec.repeat),
            model_load: None,
            workload: phase::workload_facts(self.plan, spec, self.prompts.salt),
            state: RunState::Running,
            clock: ClockPair::read(),
            clock_after: None,
            stages: None,
            sampling: None,
            gates: Vec::new(),
        }
    }

    fn fill(
        &mut self,
        spec: RunSpec,
        dir: &RunDir,
        lengths: LengthModel,
        manifest: &mut RunManifest,
        observer: &mut dyn FnMut(Event),
    ) -> Result<(LengthModel, bool), LabError> {
        let mut log = RunLog::create(dir, self.clock)?;
        let trouble = Trouble::default();
        let sensors = Sensors {
            plan: self.plan,
            device: self.device,
            roots: self.roots,
            clock: self.clock,
            metrics: self.metrics,
        };
        self.start_anew(spec, &mut log)?;
        sensors.smart(&mut log, |smart| dir.write_smart_pre(smart))?;
        let latest = Latest::default();
        let sampler = sensors.start(dir, &self.target, &trouble, &latest)?;
        observer(Event::Sampling(latest.clone()));
        let wanted = self.plan.arm(spec).and_then(|arm| arm.cache);
        let resident_pct = self.prepare(wanted, manifest, &mut log)?;
        tell_missing_memory(manifest, &mut log, observer)?;
        let poller = sensors.poll(dir, &self.target, &trouble)?;
        let phase = phase::of_run(self.plan, spec, &manifest.workload, &self.prompts, lengths);
        let block_times = BlockTimes::begin(self.roots, &mut log)?;
        let mut neighbour = match &self.neighbour {
            Some(file) => file.start_for(self.plan, spec)?,
            None => None,
        };
        let cache = wanted.map(|state| (state, resident_pct));
        let watch = Watch {
            plan: self.plan,
            device_known: self.device.name.is_some(),
            cache,
            results: dir.path(),
            target: &self.target,
            roots: self.roots,
            stop: self.stop,
            trouble: &trouble,
            sampler: &sampler,
            latest: &latest,
        };
        let mut loaded = self.load(&phase, dir, &watch, &mut neighbour, observer)?;
        end_neighbour(neighbour, &mut loaded, &mut log)?;
        if let Some(times) = block_times {
            times.end(dir, &mut log)?;
        }
        if let Some(poller) = poller {
            poller.stop();
        }
        let sampled = sampler.stop();
        sensors.smart(&mut log, |smart| dir.write_smart_post(smart))?;
        let alive = self.target.is_alive(self.roots);
        trouble.check()?;
        log.tell_all(&loaded.report, &sampled)?;
        self.tell_what_came_back(manifest, wanted, &mut log)?;
        manifest.stages = Some(loaded.report.stages);
        manifest.sampling = Some(sampled.facts);
        let ended = Ended {
            spec,
            phase: &phase,
            loaded: &loaded,
            cache,
            alive,
        };
        self.judge(&ended, dir, manifest)?;
        manifest.state = state(alive, loaded.report.stopped, loaded.cut);
        log.tell(format_args!("ended: {:?}", manifest.state))?;
        Ok((loaded.report.lengths, alive == Some(false)))
    }

    /// The gates, from all that was seen and recorded; and what the recorded says of the load.
    fn judge(
        &mut self,
        ended: &Ended<'_>,
        dir: &RunDir,
        manifest: &mut RunManifest,
    ) -> Result<(), LabError> {
        let report = &ended.loaded.report;
        let (telemetry, _) = dir.read_telemetry()?;
        let clock_after = *manifest.clock_after.insert(ClockPair::read());
        let ticks = manifest
            .sampling
            .map(|facts| (facts.ticks_due, facts.ticks_taken));
        let (ticks_due, ticks_taken) = ticks.unwrap_or_default();
        let seen = Seen {
            stepped_ms: Some(clock_after.stepped_since(&manifest.clock) as f64 / 1e6),
            ticks_due,
            ticks_taken,
            same_server: ended.alive,
            common_head_tokens: gates::common_head_tokens(self.target.load.api),
            cache: ended.cache,
            client_cpu_pct: seen::client_cpu_pct(report),
            device_known: self.device.name.is_some(),
            kv_pool: self.kv_pool(dir),
            host: seen::of_host(dir, &telemetry, &report.stages, self.device, self.roots),
            asked: phase::requests_asked(ended.phase),
            asks_again: phase::asks_again(self.plan, ended.spec),
            ..ended.loaded.tally.seen()
        };
        manifest.gates = gates::judge(self.plan, &seen);
        self.read_back_load(&telemetry, manifest);
        Ok(())
    }

    /// What the run's own telemetry says of the load.
    fn read_back_load(&self, telemetry: &Telemetry, manifest: &mut RunManifest) {
        if let (Some(load), Some(device)) = (&mut manifest.model_load, &self.device.name) {
            model_load::add_device_reads(load, telemetry, device);
        }
    }

    /// What the server says of its KV pool, in this run and in the first that told.
    fn kv_pool(&mut self, dir: &RunDir) -> KvPool {
        let here = seen::kv_pool(dir);
        self.first_kv_pool = self.first_kv_pool.or(here);
        KvPool {
            here,
            first: self.first_kv_pool,
        }
    }

    /// Runs the phase on a thread of its own; this one watches it.
    fn load(
        &self,
        phase: &Phase,
        dir: &RunDir,
        watch: &Watch<'_>,
        neighbour: &mut Option<Fio>,
        observer: &mut dyn FnMut(Event),
    ) -> Result<Loaded, LabError> {
        let mut writer = RunWriter::create(dir)?;
        let trouble = watch.trouble;
        let (live, stop, standing) = (&Live::default(), &Stop::default(), &Standing::default());
        let (over, ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let loading = scope.spawn(move || {
                // Dropped at the end, whatever the end is: the watcher sees it.
                let _over = over;
                let (mut tally, mut shown) = (Tally::new(), None);
                let sink = |row: record::RequestRow, tokens: record::RequestTokens| {
                    tally.count(&row, &tokens);
                    standing.show(&tally, &mut shown);
                    trouble.note(writer.request(&row, &tokens));
                };
                let report = load::run(&self.target.load, phase, self.clock, live, stop, sink);
                report.map(|report| (report, tally))
            });
            let began = MonoNs::now();
            let (mut told, mut cut) = (began, None);
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if cut.is_none() {
                    cut = watch.look().or_else(|| ended_early(neighbour));
                }
                if cut.is_some() {
                    stop.stop();
                }
                let now = MonoNs::now();
                if now.since(told) >= TELL {
                    told = now;
                    let moment = watch.moment(live, standing, phase, now.since(began));
                    observer(Event::Progress(moment));
                }
            }
            let (report, tally) = loading
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok(Loaded { report, tally, cut })
        })
    }
}

/// A neighbour that has ended of itself, in its own words.
fn ended_early(neighbour: &mut Option<Fio>) -> Option<Cut> {
    let gone = neighbour.as_mut().is_some_and(Fio::is_gone);
    let words = neighbour.take_if(|_| gone)?.end().err()?;
    Some(Cut::Neighbour(format!(
        "the neighbour ended early: {words}"
    )))
}

/// Ends the neighbour. One that did not work until then makes the run another than its arm says.
fn end_neighbour(
    neighbour: Option<Fio>,
    loaded: &mut Loaded,
    log: &mut RunLog,
) -> Result<(), RecordError> {
    match neighbour.map(Fio::end) {
        None => Ok(()),
        Some(Ok(done)) => log.tell(format_args!(
            "neighbour: {:.1} MiB/s read, {:.1} MiB/s written",
            done.read_mib_s, done.write_mib_s
        )),
        Some(Err(words)) => {
            let words = format!("the neighbour ended early: {words}");
            loaded.cut.get_or_insert(Cut::Neighbour(words));
            Ok(())
        }
    }
}

fn state(alive: Option<bool>, stopped: bool, cut: Option<Cut>) -> RunState {
    match (alive, stopped, cut) {
        (Some(false), ..) => RunState::Failed("the server ended during the run".to_owned()),
        (_, _, Some(Cut::Machine(words) | Cut::Neighbour(words))) => RunState::Failed(words),
        (_, true, _) => RunState::Interrupted,
        (_, false, _) => RunState::Complete,
    }
}
