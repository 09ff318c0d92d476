//! One run: load beside probes, the files, the gates, the seal.

use crate::{
    Event, LabError,
    gates::{self, KvPool, Seen},
    memory_back,
    model_cache::ModelCache,
    model_load,
    neighbour::{Fio, NeighbourFile},
    phase::{self, Prompts},
    prepare::{
        Preparation,
        settle::{self, Settled},
    },
    restart::restart_as,
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
        let (telemetry, _) = dir.read_telemetry()?;
        let clock_after = *manifest.clock_after.insert(ClockPair::read());
        let seen = Seen {
            stepped_ms: Some(clock_after.stepped_since(&manifest.clock) as f64 / 1e6),
            ticks_due: sampled.facts.ticks_due,
            ticks_taken: sampled.facts.ticks_taken,
            same_server: alive,
            cache,
            client_cpu_pct: seen::client_cpu_pct(&loaded.report),
            device_known: self.device.name.is_some(),
            kv_pool: self.kv_pool(dir),
            host: seen::of_host(
                dir,
                &telemetry,
                &loaded.report.stages,
                self.device,
                self.roots,
            ),
            asked: phase::requests_asked(&phase),
            asks_again: phase::asks_again(self.plan, spec),
            ..loaded.tally.seen()
        };
        manifest.gates = gates::judge(self.plan, &seen);
        self.read_back_load(&telemetry, manifest);
        manifest.state = state(alive, loaded.report.stopped, loaded.cut);
        log.tell(format_args!("ended: {:?}", manifest.state))?;
        Ok((loaded.report.lengths, alive == Some(false)))
    }

    /// Starts the server anew, as the run's arm has it, where arms differ in that.
    fn start_anew(&mut self, spec: RunSpec, log: &mut RunLog) -> Result<(), LabError> {
        if !self.plan.starts_anew(spec) {
            return Ok(());
        }
        let name = self.plan.arm(spec).and_then(|arm| arm.variant.as_ref());
        let (roots, stop) = (self.roots, self.stop);
        restart_as(&mut self.target, self.variants, name, roots, stop, log)
    }

    /// All that comes before the load, in this order. Gives the share of the model's files in the page
    /// cache, where the arm wants a state of it.
    fn prepare(
        &mut self,
        wanted: Option<CacheState>,
        manifest: &mut RunManifest,
        log: &mut RunLog,
    ) -> Result<Option<f64>, LabError> {
        if let Err(error) = self.preparation.before_run() {
            log.tell(format_args!("the page cache was not dropped: {error}"))?;
        }
        let resident_pct = match wanted {
            Some(state) => self.bring_cache_to(state, manifest)?,
            None => None,
        };
        self.settle(log)?;
        Ok(resident_pct)
    }

    /// Waits until the machine is quiet, if the plan wants that.
    fn settle(&self, log: &mut RunLog) -> Result<(), LabError> {
        let Some(settle) = self.plan.prepare.settle else {
            return Ok(());
        };
        let device = self.device.name.as_deref();
        match settle::wait(settle, self.roots, device, self.stop) {
            Settled::After(waited) => {
                let seconds = waited.as_secs_f64();
                log.tell(format_args!("the machine was quiet after {seconds:.1} s"))?;
            }
            Settled::Not(_) if self.stop.is_stopped() => return Err(LabError::Interrupted),
            Settled::Not(busy) => {
                let error = LabError::NotQuiet {
                    limit: settle.limit.0,
                    cpu_pct: busy.map_or(f64::NAN, |busy| busy.cpu_pct),
                    device_pct: busy.and_then(|busy| busy.device_pct).unwrap_or(f64::NAN),
                };
                if self.plan.prepare.required {
                    return Err(error);
                }
                log.tell(format_args!("measured all the same: {error}"))?;
            }
        }
        Ok(())
    }

    /// Brings the model's files to the wanted state, with a restart where the server is ours.
    /// Gives their share in the page cache before the server was started.
    fn bring_cache_to(
        &mut self,
        state: CacheState,
        manifest: &mut RunManifest,
    ) -> Result<Option<f64>, LabError> {
        let Some(cache) = &self.cache else {
            return Err(LabError::NoModelFiles);
        };
        if self.target.managed.is_none() {
            cache.bring_to(state)?;
            return cache.resident_pct();
        }
        let (clock, roots) = (self.clock, self.roots);
        let mut load = model_load::reload(&mut self.target, cache, state, clock, roots, self.stop)?;
        load.ceiling_mb_s = self.ceiling_mb_s;
        let resident = load.resident_before_pct;
        manifest.model_load = Some(load);
        Ok(resident)
    }

    /// What the page cache holds after a run whose server was not restarted: what was evicted
    /// under it and is there again was read by someone.
    fn tell_what_came_back(
        &self,
        manifest: &RunManifest,
        wanted: Option<CacheState>,
        log: &mut RunLog,
    ) -> Result<(), LabError> {
        let (None, Some(_), Some(cache)) = (&manifest.model_load, wanted, &self.cache) else {
            return Ok(());
        };
        if let Some(pct) = cache.resident_pct()? {
            log.tell(format_args!(
                "after the run, {pct:.1} % of the model's files are in the page cache"
            ))?;
        }
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

/// Says it where a stopped server's memory did not come back.
fn tell_missing_memory(
    manifest: &RunManifest,
    log: &mut RunLog,
    observer: &mut dyn FnMut(Event),
) -> Result<(), RecordError> {
    let load = manifest.model_load.as_ref();
    let memory = load.and_then(|load| load.memory_back.as_ref());
    if let Some(words) = memory.and_then(memory_back::complaint) {
        log.tell(&words)?;
        observer(Event::Warning(format!("{}: {words}", manifest.run)));
    }
    Ok(())
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
