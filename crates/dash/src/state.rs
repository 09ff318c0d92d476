//! What the dashboard knows: pure, from events and ticks.

use crate::{host::HostView, series::Series, view::shown};
use lab::{Event, Moment};
use probe::Seen;
use record::{Effect, Gate, RunId, RunState};
use std::{collections::VecDeque, path::Path, time::Duration};

/// What is looked at.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A session that runs its plan.
    Session,
    /// The host alone.
    Host(HostTitle),
}

/// What is said of a host that is watched.
#[derive(Clone, Debug, Default)]
pub struct HostTitle {
    /// The device that is looked at, as the kernel names it.
    pub device: Option<String>,
    /// When watching ends by itself.
    pub limit: Option<Duration>,
    /// Where else it goes: files, a scraper's address.
    pub also: Vec<String>,
}

/// Everything that the dashboard shows. Times are since it began.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) subject: Subject,
    pub(crate) now: Duration,
    pub(crate) session: Option<Session>,
    pub(crate) run: Option<Run>,
    pub(crate) gates: Vec<Standing>,
    pub(crate) host: HostView,
    /// The host is being sampled.
    pub(crate) sampling: bool,
    /// Ticks due and taken, where a host is watched.
    pub(crate) ticks: Option<(u64, u64)>,
    pub(crate) load: LoadSeries,
    pub(crate) figures: HostSeries,
    pub(crate) notes: Vec<Note>,
    device: Option<String>,
    /// The ticks of the last second.
    window: VecDeque<Seen>,
    /// When a tick was last new.
    ticked: Duration,
    /// Seconds that have their point in the series.
    drawn: u64,
    /// Chunks a second, as told since the last point.
    chunks: Vec<f64>,
    /// The least time that the session takes, as it was estimated.
    shortest: Duration,
}

/// A session and its place in the plan.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) api: String,
    pub(crate) url: String,
    pub(crate) runs: usize,
    /// The run in hand, from 1; 0 before the first.
    pub(crate) number: usize,
    began: Duration,
    /// What its runs take at least.
    shortest: Duration,
    /// Runs that were made here, and the time they took.
    made: (u32, Duration),
}

/// How long the rest of a plan takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Left {
    /// By the plan alone: no run has ended yet.
    AtLeast(Duration),
    /// By the runs that have ended.
    About(Duration),
}

/// The run in hand.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) users: u32,
    began: Duration,
    pub(crate) moment: Option<Moment>,
    pub(crate) ended: bool,
}

/// A gate as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) gate: Gate,
    pub(crate) mark: Mark,
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing to look at yet.
    Open,
    Passed,
    Failed,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) words: String,
    /// A run is lost by it, or carries no decision.
    pub(crate) grave: bool,
}

/// Of the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadSeries {
    pub(crate) ttft_p50: Series,
    pub(crate) ttft_p99: Series,
    pub(crate) tokens: Series,
}

/// Of the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostSeries {
    pub(crate) cpu: Series,
    pub(crate) iowait: Series,
    pub(crate) psi_io: Series,
    pub(crate) available: Series,
    pub(crate) read: Series,
    pub(crate) write: Series,
    /// The first GPU's.
    pub(crate) gpu: Series,
}

/// How long the ticks lie apart that rates are taken over.
const WINDOW_NS: i64 = 900_000_000;
/// Notes that are kept; the files and the end of the command have them all.
const NOTES: usize = 50;

impl State {
    /// Nothing is known yet.
    pub fn new(subject: Subject) -> Self {
        let (device, sampling) = match &subject {
            Subject::Session => (None, false),
            Subject::Host(title) => (title.device.clone(), true),
        };
        Self {
            subject,
            now: Duration::ZERO,
            session: None,
            run: None,
            gates: Vec::new(),
            host: HostView::default(),
            sampling,
            ticks: None,
            load: LoadSeries::default(),
            figures: HostSeries::default(),
            notes: Vec::new(),
            device,
            window: VecDeque::new(),
            ticked: Duration::ZERO,
            drawn: 0,
            chunks: Vec::new(),
            shortest: Duration::ZERO,
        }
    }

    /// Takes what the lab tells.
    pub fn tell(&mut self, event: Event) {
        match event {
            Event::Estimated(estimate) => self.shortest = estimate.total().least,
            Event::Began {
                session,
                target,
                device,
                runs,
            } => {
                self.device = device;
                self.session = Some(Session {
                    name: name(&session),
                    model: target.model,
                    api: target.api,
                    url: target.url,
                    runs,
                    number: 0,
                    began: self.now,
                    shortest: self.shortest,
                    made: (0, Duration::ZERO),
                });
            }
            Event::RunBegan { run, number, users } => self.run_began(run, number, users),
            Event::Sampling(_) => {
                self.sampling = true;
                self.ticked = self.now;
                self.window.clear();
            }
            Event::Progress(moment) => self.progress(moment),
            Event::RunEnded { run, state, gates } => self.run_ended(&run, &state, gates),
            Event::Warning(words) => self.note(words, false),
        }
    }

    fn run_began(&mut self, id: RunId, number: usize, users: u32) {
        if let Some(session) = &mut self.session {
            session.number = number;
        }
        self.chunks.clear();
        self.run = Some(Run {
            id,
            users,
            began: self.now,
            moment: None,
            ended: false,
        });
    }

    fn progress(&mut self, moment: Moment) {
        let open = |gate: &Gate| !gate.passed && gate.measured.is_none();
        self.gates = marked(moment.gates.clone(), open);
        self.chunks.push(moment.chunks_per_s);
        if let Some(run) = &mut self.run {
            run.moment = Some(moment);
        }
    }

    fn run_ended(&mut self, id: &RunId, state: &RunState, gates: Vec<Gate>) {
        self.sampling = false;
        if let Some(run) = &mut self.run {
            run.ended = true;
            if let Some(session) = &mut self.session {
                session.made.0 += 1;
                session.made.1 += self.now.saturating_sub(run.began);
            }
        }
        match state {
            RunState::Complete | RunState::Running => {}
            RunState::Interrupted => self.note(format!("{id}: interrupted"), false),
            RunState::Failed(why) => self.note(format!("{id}: failed: {why}"), true),
        }
        if *state != RunState::Complete {
            // A run that was cut short fails gates for that reason alone.
            return;
        }
        for gate in gates.iter().filter(|gate| !gate.passed) {
            let effect = match gate.effect {
                Effect::Invalid => "INVALID",
                Effect::NotDecisionGrade => "no decision",
                // It could not have been measured here, and costs nothing.
                Effect::Noted => continue,
            };
            let measured = shown(gate.measured);
            let (name, limit) = (&gate.name, &gate.limit);
            self.note(
                format!("{id}: {effect}: {name} {measured}, not {limit}"),
                true,
            );
        }
        self.gates = marked(gates, |_| false);
    }

    /// Notes something.
    fn note(&mut self, words: String, grave: bool) {
        if self.notes.len() == NOTES {
            self.notes.remove(0);
        }
        self.notes.push(Note { words, grave });
    }

    /// Takes the last tick.
    pub fn see(&mut self, seen: Seen) {
        match self.window.back() {
            Some(last) if last.row.tick == seen.row.tick => return,
            Some(last) if last.columns != seen.columns => self.window.clear(),
            _ => {}
        }
        self.ticked = self.now;
        self.ticks = Some((seen.row.tick + 1, seen.ticks_taken));
        // The first that stays is the last that is old enough.
        while let Some(second) = self.window.get(1)
            && seen.row.t - second.row.t >= WINDOW_NS
        {
            self.window.pop_front();
        }
        let first = self.window.front().unwrap_or(&seen);
        self.host = HostView::between(first, &seen, self.device.as_deref());
        self.window.push_back(seen);
    }

    /// Time has passed: each second has a point in every series.
    pub fn pass(&mut self, now: Duration) {
        self.now = now;
        if self.silent().is_some() {
            self.host = HostView::default();
            self.window.clear();
        }
        if now.as_secs() > self.drawn {
            self.drawn = now.as_secs();
            self.draw_host();
            if matches!(self.subject, Subject::Session) {
                self.draw_load();
            }
        }
    }

    fn draw_load(&mut self) {
        let moment = self.moment().filter(|_| !self.chunks.is_empty());
        let (p50, p99) = moment.map_or((None, None), |moment| {
            (moment.lately_ttft_p50_ms, moment.lately_ttft_p99_ms)
        });
        let tokens = mean(&self.chunks);
        self.chunks.clear();
        self.load.ttft_p50.push(p50);
        self.load.ttft_p99.push(p99);
        self.load.tokens.push(tokens);
    }

    fn draw_host(&mut self) {
        let (host, to) = (&self.host, &mut self.figures);
        let cpu = host.cpu;
        to.cpu
            .push(cpu.map(|cpu| 100.0 - cpu.idle_pct - cpu.iowait_pct));
        to.iowait.push(cpu.map(|cpu| cpu.iowait_pct));
        to.psi_io.push(host.psi_io_pct);
        to.available.push(host.mem_available_bytes);
        to.read.push(host.disk.and_then(|disk| disk.read_mb_s));
        to.write.push(host.disk.and_then(|disk| disk.write_mb_s));
        to.gpu.push(host.gpus.first().and_then(|gpu| gpu.util_pct));
    }

    pub(crate) fn moment(&self) -> Option<&Moment> {
        self.run.as_ref()?.moment.as_ref()
    }

    /// The device that is looked at.
    pub(crate) fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// How long no tick has come that should have; absent if they come.
    pub(crate) fn silent(&self) -> Option<Duration> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let silent = self.now.saturating_sub(self.ticked);
        (self.sampling && silent >= PATIENCE).then_some(silent)
    }
}

impl Session {
    /// How much of the plan is done, from 0 to 1.
    pub(crate) fn done(&self, run: Option<&Run>) -> f64 {
        let before = self.number.saturating_sub(1) as f64;
        ((before + done(run)) / self.runs.max(1) as f64).min(1.0)
    }

    pub(crate) fn gone(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }

    /// How long the rest takes, as far as that can be said.
    pub(crate) fn left(&self, run: Option<&Run>) -> Left {
        let (before, done) = (self.number.saturating_sub(1), done(run));
        let runs = self.runs.saturating_sub(before) as f64 - done;
        match self.made {
            // No run was made: the shortest time is that of all runs that are left.
            (0, _) => {
                let all = self.runs.saturating_sub(before).max(1) as f64;
                Left::AtLeast(self.shortest.mul_f64(runs / all))
            }
            (count, took) => Left::About((took / count).mul_f64(runs)),
        }
    }
}

fn done(run: Option<&Run>) -> f64 {
    match run {
        Some(run) if run.ended => 1.0,
        Some(run) => run.moment.as_ref().map_or(0.0, |moment| moment.done),
        None => 0.0,
    }
}

fn marked(gates: Vec<Gate>, open: impl Fn(&Gate) -> bool) -> Vec<Standing> {
    let mark = |gate: &Gate| match gate.passed {
        true => Mark::Passed,
        // Nothing on this machine, or in this server, could tell.
        false if gate.effect == Effect::Noted || open(gate) => Mark::Open,
        false => Mark::Failed,
    };
    let standing = |gate: Gate| Standing {
        mark: mark(&gate),
        gate,
    };
    gates.into_iter().map(standing).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
