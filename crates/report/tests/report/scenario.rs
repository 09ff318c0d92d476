//! Sessions that nobody measured, written through the record crate as a real one is.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot write its files must fail"
)]

use clock::{ClockPair, MonoNs, SessionNs};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use record::{
    ChunkTime, Column, CoreRow, CpuTimes, Device, DeviceUnderTest, Effect, FORMAT, Gate, Gpu, Host,
    HostFacts, Interval, ModelLoad, Outcome, RequestRow, RequestTokens, RunDir, RunId, RunManifest,
    RunState, RunWriter, Server, Session, SessionDir, SessionManifest, SmartLog, SmartSnapshot,
    SmartSource, Stage, Stages, StampSource, TargetFacts, TargetKind, TelemetryRow,
    TelemetryWriter, Value, WorkloadFacts,
};
use std::{path::Path, time::Duration};

/// What a session should look like.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) users: Vec<u32>,
    pub(crate) repeats: u32,
    pub(crate) measure_s: f64,
    pub(crate) cores: u32,
    /// Requests a second that the server completes at most.
    pub(crate) capacity: f64,
    /// The share of CPU time in iowait.
    pub(crate) iowait: fn(u32) -> f64,
    pub(crate) kind: TargetKind,
    pub(crate) model: &'static str,
    pub(crate) error: &'static str,
    pub(crate) experiment: &'static str,
    /// The arms of each block, in the order of the first; the next block turns it round.
    pub(crate) arms: Vec<&'static str>,
    /// The phases of each run of an arm; none: there is one, named as the experiment.
    pub(crate) phases: Vec<&'static str>,
    /// By which factor an arm's first token takes longer in a replay.
    pub(crate) again: fn(&str) -> f64,
    /// By which factor an arm is slower.
    pub(crate) slower: fn(&str) -> f64,
    /// How many MB/s an arm with so many users reads from the device, as the server's own reads
    /// of pages that were evicted; nothing for what `iowait` makes up.
    pub(crate) pressure: Option<fn(&str, u32) -> f64>,
    /// The server's own share of these reads.
    pub(crate) server_share: f64,
    /// Seconds in which nothing comes, every ten seconds, while the device is waited for.
    pub(crate) stall_s: f64,
    /// Whether each run starts the server, whose model is so large.
    pub(crate) loads: Option<u64>,
    /// Whether SMART snapshots are taken.
    pub(crate) smart: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            users: vec![1, 2, 4, 8, 16, 32, 64],
            repeats: 1,
            measure_s: 60.0,
            cores: 8,
            capacity: 8.0,
            iowait: |users| 0.002 * f64::from(users),
            kind: TargetKind::Embedded,
            model: "spillpoint/embedded-120b",
            error: "deadline of 60 s reached",
            experiment: "h2",
            arms: vec![],
            phases: vec![],
            again: |_| 1.0,
            slower: |_| 1.0,
            pressure: None,
            server_share: 0.95,
            stall_s: 0.0,
            loads: None,
            smart: false,
        }
    }
}

const NAME: &str = "20261124T101500Z-h2-spark";

impl Scenario {
    /// Writes the session under `root`.
    pub(crate) fn write(&self, root: &Path) -> Session {
        let runs = self.plan();
        let manifest = self.session(runs.iter().map(|run| run.id.clone()).collect());
        let session = Session::create(SessionDir::new(root.join(NAME)), manifest).unwrap();
        let mut start_s = 1.0;
        let mut cpu = CpuClock::new(self.cores);
        for (seed, planned) in (0..).zip(runs) {
            let run = Run {
                scenario: self,
                users: planned.users,
                rng: Xoshiro256PlusPlus::seed_from_u64(
                    u64::from(planned.users * 31 + planned.repeat)
                        + planned.arm.map_or(0, |_| seed << 32),
                ),
                stages: self.stages(start_s),
                planned,
            };
            start_s = run.stages.drain.end_ns.as_secs_f64() + 2.0;
            run.write(&session, &mut cpu);
        }
        session
    }

    fn plan(&self) -> Vec<Planned> {
        let mut runs = Vec::new();
        for repeat in 1..=self.repeats {
            for &users in &self.users {
                if self.arms.is_empty() {
                    runs.push(Planned {
                        id: RunId::new(self.experiment, users, repeat),
                        users,
                        repeat,
                        phase: self.experiment,
                        arm: None,
                    });
                }
                let mut arms = self.arms.clone();
                if repeat % 2 == 0 {
                    arms.reverse();
                }
                let mut phases = self.phases.clone();
                if phases.is_empty() {
                    phases.push(self.experiment);
                }
                for arm in arms {
                    runs.extend(phases.iter().map(|&phase| Planned {
                        id: RunId::of_arm(phase, users, arm, repeat),
                        users,
                        repeat,
                        phase,
                        arm: Some(arm),
                    }));
                }
            }
        }
        runs
    }

    fn stages(&self, start_s: f64) -> Stages {
        let interval = |from: f64, to: f64| Interval {
            start_ns: ns(start_s + from),
            end_ns: ns(start_s + to),
        };
        let end = 4.0 + self.measure_s;
        Stages {
            ramp: interval(0.0, 1.0),
            warmup: interval(1.0, 4.0),
            measure: interval(4.0, end),
            drain: interval(end, end + 3.0),
        }
    }

    fn session(&self, runs: Vec<RunId>) -> SessionManifest {
        SessionManifest {
            format: FORMAT,
            session: NAME.into(),
            spillpoint: "0.1.0".into(),
            experiment: self.experiment.into(),
            title: "H2: does tail latency follow the CPU’s wait for I/O?".into(),
            quick: false,
            plan: serde_json::json!({"users": self.users}),
            target: TargetFacts {
                kind: self.kind,
                url: "http://127.0.0.1:8355".into(),
                model: self.model.into(),
                api: "completions".into(),
                server: None,
            },
            host: HostFacts {
                hostname: "spark".into(),
                kernel: "6.17.0-nvidia".into(),
                arch: "aarch64".into(),
                os: Some("Ubuntu 24.04.3 LTS".into()),
                cpu: Some("Cortex-X925 and Cortex-A725".into()),
                cores: self.cores,
                mem_total_bytes: Some(130_663_165_952),
                swap_total_bytes: Some(0),
                page_size_bytes: 4096,
                boot_id: None,
            },
            device: DeviceUnderTest {
                path: "/models/gpt-oss-120b".into(),
                name: Some("nvme0n1".into()),
                partition: Some("nvme0n1p2".into()),
                file_system: Some("ext4".into()),
                model: Some("SAMSUNG MZALC4T0HBL1-00B07".into()),
                why_not: None,
            },
            t0_mono_ns: MonoNs(5_000_000_000),
            clock: clock_pair(),
            runs,
            prepared: Vec::new(),
            server_start_ms: None,
            memory_back: None,
            calibration: None,
            verdict: None,
        }
    }
}

fn clock_pair() -> ClockPair {
    ClockPair {
        mono_ns: MonoNs(5_000_000_000),
        utc_ns: 1_795_515_300_000_000_000,
        uncertainty_ns: 120,
    }
}

fn ns(seconds: f64) -> SessionNs {
    SessionNs((seconds * 1e9).round() as i64)
}

/// Counters that go on from run to run, as a kernel's do.
struct CpuClock {
    cores: Vec<CpuTimes>,
    read_bytes: u64,
    reads: u64,
    psi_io_us: u64,
    psi_ms_before: u64,
    io_time_ms: u64,
    refaults: u64,
    majfaults: u64,
    server_read: u64,
}

impl CpuClock {
    fn new(cores: u32) -> Self {
        Self {
            cores: vec![CpuTimes::default(); cores as usize],
            read_bytes: 1 << 30,
            reads: 1000,
            psi_io_us: 500,
            psi_ms_before: 0,
            io_time_ms: 0,
            refaults: 40,
            majfaults: 90,
            server_read: 0,
        }
    }

    fn smart(&self, taken: SessionNs) -> SmartSnapshot {
        let log = SmartLog {
            source: SmartSource::AdminCommand,
            critical_warning: 0,
            temp_kelvin: 323,
            available_spare_pct: 100,
            used_pct: 7,
            data_units_read: u128::from(self.read_bytes / 512_000),
            data_units_written: u128::from(self.reads / 40),
            host_reads: u128::from(self.reads),
            host_writes: u128::from(self.reads / 3),
            busy_minutes: 7,
            power_cycles: 6,
            power_on_hours: 5,
            unsafe_shutdowns: 4,
            media_errors: 0,
            warning_temp_minutes: 0,
            critical_temp_minutes: 0,
            thermal_transitions: Some([0, 0]),
            thermal_seconds: None,
        };
        SmartSnapshot::new(taken, "nvme0n1", log)
    }
}

struct Planned {
    id: RunId,
    users: u32,
    repeat: u32,
    phase: &'static str,
    arm: Option<&'static str>,
}

struct Run<'a> {
    scenario: &'a Scenario,
    planned: Planned,
    users: u32,
    rng: Xoshiro256PlusPlus,
    stages: Stages,
}

impl Run<'_> {
    fn write(mut self, session: &Session, cpu: &mut CpuClock) {
        let dir = session.dir.run(&self.planned.id);
        dir.create(&self.manifest()).unwrap();
        if self.scenario.smart {
            dir.write_smart_pre(&cpu.smart(self.stages.ramp.start_ns))
                .unwrap();
        }
        let mut writer = RunWriter::create(&dir).unwrap();
        self.requests(|row, tokens| writer.request(&row, &tokens).unwrap());
        self.telemetry(&dir, cpu);
        if self.scenario.smart {
            dir.write_smart_post(&cpu.smart(self.stages.drain.end_ns))
                .unwrap();
        }
    }

    fn arm(&self) -> &'static str {
        self.planned.arm.unwrap_or_default()
    }

    fn model_load(&self) -> Option<ModelLoad> {
        let bytes = self.scenario.loads?;
        let cold = self.arm() == "cold";
        let started = self.stages.ramp.start_ns;
        let wobble = 1.0 + 0.02 * f64::from(self.planned.repeat % 3);
        let after = |seconds: f64| Some(ns(started.as_secs_f64() + seconds * wobble));
        let weights = if cold {
            bytes as f64 / 3.1e9
        } else {
            bytes as f64 / 9.0e9
        };
        Some(ModelLoad {
            model_bytes: bytes,
            resident_before_pct: Some(if cold { 0.0 } else { 100.0 }),
            started_ns: started,
            process_up_ns: after(0.02),
            first_log_ns: after(0.4),
            weights_read_ns: after(0.5 + weights),
            healthy_ns: after(1.5 + weights),
            first_token_ns: after(1.9 + weights),
            device_read_bytes: Some(if cold { bytes + (4 << 20) } else { 3 << 20 }),
            server_read_bytes: Some(if cold { bytes } else { 0 }),
            ceiling_mb_s: Some(6400.0),
            memory_back: None,
        })
    }

    fn manifest(&self) -> RunManifest {
        let gate = |name: &str, measures: &str, limit: &str, measured, passed, effect| Gate {
            name: name.into(),
            measures: measures.into(),
            limit: limit.into(),
            measured,
            passed,
            effect,
        };
        RunManifest {
            format: FORMAT,
            run: self.planned.id.clone(),
            phase: self.planned.phase.into(),
            users: self.users,
            repeat: self.planned.repeat,
            arm: self.planned.arm.map(str::to_owned),
            block: self.planned.arm.map(|_| self.planned.repeat),
            workload: WorkloadFacts {
                prompt_tokens: 1024,
                output_tokens: 128,
                seed: 1,
                nonce_salt: 2,
            },
            state: RunState::Complete,
            clock: clock_pair(),
            clock_after: None,
            stages: Some(self.stages),
            sampling: None,
            gates: vec![
                gate(
                    "failed_requests",
                    "failed requests of the measured interval, %",
                    "<= 1",
                    Some(0.3),
                    true,
                    Effect::Invalid,
                ),
                gate(
                    "telemetry_coverage",
                    "telemetry ticks taken of those due, %",
                    ">= 95",
                    Some(99.8),
                    true,
                    Effect::Invalid,
                ),
                gate(
                    "client_lag",
                    "the client's own lag at the 99th percentile, ms",
                    "<= 1",
                    Some(1.4),
                    self.users < 64,
                    Effect::NotDecisionGrade,
                ),
            ],
            model_load: self.model_load(),
        }
    }

    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A factor around 1 with a heavy right tail.
    fn noise(&mut self) -> f64 {
        let normal: f64 = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        (0.25 * normal).exp()
    }

    fn requests(&mut self, mut done: impl FnMut(RequestRow, RequestTokens)) {
        let mut number = 0;
        let end = self.stages.drain.end_ns.as_secs_f64();
        for user in 0..self.users {
            let mut now = self.stages.ramp.start_ns.as_secs_f64() + self.uniform();
            while now < end {
                let (row, tokens) = self.request(number, user, now);
                now = row.ended.as_secs_f64() + 0.001;
                number += 1;
                done(row, tokens);
            }
        }
    }

    fn request(&mut self, request: u64, user: u32, sent_s: f64) -> (RequestRow, RequestTokens) {
        let least_s = 0.8 * (self.scenario.slower)(self.arm());
        let queued_s = (f64::from(self.users) / self.scenario.capacity - least_s).max(0.0);
        let again = match self.planned.phase {
            "replay" => (self.scenario.again)(self.arm()),
            _ => 1.0,
        };
        let ttft_s = 0.05 * again * self.noise() + queued_s * self.noise();
        let gap_s = least_s / 20.0;
        let mut arrival_s = ttft_s;
        let stall_s = self.scenario.stall_s;
        // The stall begins at every tenth second: what would come within it comes at its end.
        let held = |at_s: f64| {
            let into = (sent_s + at_s).rem_euclid(10.0);
            if into < stall_s {
                at_s + stall_s - into
            } else {
                at_s
            }
        };
        let chunks: Vec<ChunkTime> = (0..20)
            .map(|_| {
                arrival_s = held(arrival_s);
                let chunk = ChunkTime {
                    arrival: Duration::from_secs_f64(arrival_s),
                    lag: Some(Duration::from_nanos(4000 + self.rng.next_u64() % 3000)),
                };
                arrival_s += gap_s * self.noise();
                chunk
            })
            .collect();
        let e2e = chunks[chunks.len() - 1].arrival;
        let sent = ns(sent_s);
        let outcome = if request % 97 == 96 {
            Outcome::Timeout
        } else {
            Outcome::Ok
        };
        let ok = outcome == Outcome::Ok;
        let row = RequestRow {
            request,
            user,
            stage: self.stage(sent),
            adapter: None,
            prompt_tokens_wanted: 1024,
            prompt_tokens: Some(1024),
            cached_tokens: None,
            output_tokens: ok.then_some(40),
            chunks: chunks.len() as u32,
            intended: sent,
            sent,
            ended: sent.plus(e2e),
            queue: Duration::from_micros(20),
            ttfb: Some(Duration::from_millis(2)),
            ttft: Some(chunks[0].arrival),
            ttfa: Some(chunks[0].arrival),
            e2e: ok.then_some(e2e),
            tpot: ok.then(|| (e2e - chunks[0].arrival) / 38),
            client_lag: Some(Duration::from_micros(7)),
            clock: StampSource::Kernel,
            outcome,
            status: Some(200),
            error: (!ok).then(|| self.scenario.error.to_owned()),
        };
        (row, RequestTokens { request, chunks })
    }

    fn stage(&self, sent: SessionNs) -> Stage {
        if self.stages.measure.contains(sent) {
            Stage::Measure
        } else if self.stages.warmup.contains(sent) {
            Stage::Warmup
        } else if sent < self.stages.warmup.start_ns {
            Stage::Ramp
        } else {
            Stage::Drain
        }
    }

    fn telemetry(&mut self, dir: &RunDir, cpu: &mut CpuClock) {
        let device = |field| Column::Device("nvme0n1".to_owned(), field);
        let columns: Vec<Column> = CpuTimes::OF_HOST
            .map(Column::Host)
            .into_iter()
            .chain([
                Column::Host(Host::PsiIoSomeUs),
                device(Device::ReadBytes),
                device(Device::ReadsCount),
                device(Device::ReadTimeMs),
                device(Device::IoTimeMs),
                Column::Host(Host::MemAvailableBytes),
                Column::Host(Host::MemCachedBytes),
                Column::Host(Host::WorkingsetRefaultFilePages),
                Column::Host(Host::PgmajfaultCount),
                Column::Server(Server::ReadBytes),
                Column::Gpu(0, Gpu::UtilPct),
            ])
            .collect();
        let mut writer = TelemetryWriter::create(dir.path(), &columns).unwrap();
        let iowait = (self.scenario.iowait)(self.users);
        let mut t = self.stages.ramp.start_ns;
        let mut tick = 0;
        while t < self.stages.drain.end_ns {
            let cores = self.tick_cores(t, cpu, iowait);
            let busy = self.reads(t, iowait);
            cpu.read_bytes += busy;
            cpu.reads += busy / 131_072;
            let stalls = self.in_stall(t);
            cpu.psi_io_us += match stalls {
                Some(share) => (share * 100_000.0) as u64,
                None => (iowait * 150_000.0) as u64,
            };
            cpu.io_time_ms += cpu.psi_io_us / 1000 - cpu.psi_ms_before;
            cpu.psi_ms_before = cpu.psi_io_us / 1000;
            if self.scenario.pressure.is_some() {
                cpu.refaults += busy * 9 / 10 / 4096;
                cpu.majfaults += busy / 262_144;
                cpu.server_read += (busy as f64 * self.scenario.server_share) as u64;
            }
            let short = busy as f64 * 300.0;
            let available = (60e9 - short).max(2e9) * (0.98 + 0.04 * self.uniform());
            let tail = [
                Value::Int(cpu.io_time_ms),
                Value::Int(available as u64),
                Value::Int((available * 0.7) as u64),
                Value::Int(cpu.refaults),
                Value::Int(cpu.majfaults),
                if tick % 10 == 0 {
                    Value::Int(cpu.server_read)
                } else {
                    Value::Absent
                },
                if tick % 10 == 0 {
                    Value::Real(62.0)
                } else {
                    Value::Absent
                },
            ];
            let sum = |index: usize| {
                cores
                    .iter()
                    .map(|core| core.times.fields()[index])
                    .sum::<u64>()
            };
            let values = (0..8)
                .map(sum)
                .chain([cpu.psi_io_us, cpu.read_bytes, cpu.reads, cpu.reads / 8])
                .map(Value::Int)
                .chain(tail)
                .collect();
            writer
                .tick(&TelemetryRow { tick, t, values }, &cores)
                .unwrap();
            t = t.plus(Duration::from_millis(100));
            tick += 1;
        }
    }

    /// The share of the tick that ends at `t` in which a stall holds everything up.
    fn in_stall(&self, t: SessionNs) -> Option<f64> {
        let (end, stall_s) = (t.as_secs_f64().rem_euclid(10.0), self.scenario.stall_s);
        let start = end - 0.1;
        let inside = (end.min(stall_s) - start.max(0.0)).max(0.0);
        (stall_s > 0.0).then_some(inside / 0.1)
    }

    /// Bytes read within a tick.
    fn reads(&mut self, t: SessionNs, iowait: f64) -> u64 {
        let bytes = match self.scenario.pressure {
            Some(mb_s) => mb_s(self.arm(), self.users) * 100_000.0,
            None => iowait * 40_000_000.0,
        };
        let noise = 0.5 + self.uniform();
        (bytes * self.in_stall(t).map_or(noise, |share| 10.0 * share)) as u64
    }

    fn tick_cores(&mut self, t: SessionNs, cpu: &mut CpuClock, iowait: f64) -> Vec<CoreRow> {
        let load = (f64::from(self.users) / 80.0).min(0.8);
        let mut rows = Vec::new();
        for core in 0..cpu.cores.len() {
            // The lower cores do more, and waits come in bursts on a few.
            let tilt = 1.6 - 1.2 * core as f64 / cpu.cores.len() as f64;
            let burst = if core % 3 == 1 { 2.4 } else { 0.3 };
            let spent = |share: f64| ((share * 10.0).round() as u64 * 10).min(100);
            let dither = |this: &mut Self, share: f64| spent(share * (0.4 + 1.2 * this.uniform()));
            let usr = dither(self, load * tilt);
            let sys = dither(self, 0.15 * load * tilt).min(100 - usr);
            let waits = u64::from(self.uniform() < iowait * burst) * 100;
            let iowait = waits.min(100 - usr - sys);
            let soft = u64::from(self.uniform() < 0.05) * 10;
            let soft = soft.min(100 - usr - sys - iowait);
            let times = &mut cpu.cores[core];
            times.usr_ms += usr;
            times.sys_ms += sys;
            times.iowait_ms += iowait;
            times.soft_ms += soft;
            times.idle_ms += 100 - usr - sys - iowait - soft;
            rows.push(CoreRow {
                t,
                core: core as u32,
                times: *times,
            });
        }
        rows
    }
}
