//! Running the levels.

use crate::{
    CalibrateError, Calibration, Level, ServerCommand, Settings, Spread, Telemetry, TruthBounds,
    compare::{Errors, compare, tokens_within},
    server::Server,
};
use clock::SessionClock;
use engine::truth::TruthReport;
use load::{
    LengthModel, Live, Phase, PhaseReport, Stop, Target, Timing, Wish, Workload, preflight,
};
use probe::{Probes, Roots, SampleInterval, Sampler, host};
use record::{Host, RequestRow, RequestTokens, SamplingFacts, Value};
use std::{num::NonZeroU32, sync::mpsc, time::Duration};

/// What an observer is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A level begins.
    Begins {
        /// Its users.
        users: u32,
        /// Which it is, from 1.
        nth: usize,
        /// Of how many.
        of: usize,
        /// How long it takes at most.
        at_most: Duration,
    },
    /// It is measured.
    Measured(&'a Level),
}

/// Requests that are still running then are cut: a machine that is far from keeping pace shows
/// that soon enough.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Measures the instrument's own error at each number of users. Blocks for the time that the
/// settings add up to; `stop` ends it early, with nothing to show.
pub fn run(
    settings: &Settings,
    server: &ServerCommand,
    stop: &Stop,
    mut observer: impl FnMut(Event<'_>),
) -> Result<Calibration, CalibrateError> {
    let roots = Roots::default();
    let server = Server::start(server)?;
    let url = format!("http://{}", server.address());
    // An address and a port are always a URL.
    let url = url.parse().expect("a socket's address makes a URL");
    let target = preflight(&Wish::new(url))?;
    let (mut levels, mut ticks) = (Vec::new(), Ticks::default());
    for (nth, users) in (1..).zip(&settings.users) {
        let (users, of) = (*users, settings.users.len());
        let timing = timing(settings, users);
        observer(Event::Begins {
            users: users.get(),
            nth,
            of,
            at_most: timing.ramp + timing.warmup + timing.measure + timing.drain_limit,
        });
        // What the preflight or the level before left is none of this level's.
        server.truth()?;
        let seen = measure(settings, users, timing, &target, stop)?;
        if seen.report.stopped {
            return Err(CalibrateError::Stopped);
        }
        let level = seen.level(users.get(), &server.truth()?);
        observer(Event::Measured(&level));
        levels.push(level);
        ticks.add(seen.ticks);
    }
    let made = jiff::Timestamp::now();
    let made = made.round(jiff::Unit::Second).unwrap_or(made);
    let (host, telemetry) = (host::facts(&roots), ticks.telemetry());
    Ok(Calibration::new(made, host, settings, levels, telemetry))
}

fn timing(settings: &Settings, users: NonZeroU32) -> Timing {
    Timing {
        ramp: Settings::ramp(users),
        warmup: settings.warmup,
        measure: settings.measure,
        drain_limit: DRAIN_LIMIT,
        request_deadline: Duration::from_secs(60),
    }
}

/// A level as the client and the sampler saw it.
struct Seen {
    rows: Vec<(RequestRow, RequestTokens)>,
    report: PhaseReport,
    ticks: Ticks,
}

fn measure(
    settings: &Settings,
    users: NonZeroU32,
    timing: Timing,
    target: &Target,
    stop: &Stop,
) -> Result<Seen, CalibrateError> {
    let clock = SessionClock::start();
    let (sender, lateness) = mpsc::channel();
    let probes = Probes::open(&Roots::default(), None);
    let sampler = Sampler::start(probes, SampleInterval::DEFAULT, clock, move |row, _| {
        // The channel is read after the sampler has ended.
        let _ = sender.send(row.values[Host::LateUs as usize]);
    })?;
    // The level is the salt: it makes the requests' ids.
    let workload = Workload::new(1, settings.reply_tokens, 0, salt(users.get()));
    let lengths = LengthModel::guess();
    let phase = Phase::closed(users, Duration::ZERO, timing, workload, lengths);
    let mut rows = Vec::new();
    let sink = |row, tokens| rows.push((row, tokens));
    let report = load::run(target, &phase, clock, &Live::default(), stop, sink)?;
    let facts = sampler.stop().facts;
    Ok(Seen {
        rows,
        report,
        ticks: Ticks::new(&facts, lateness.iter()),
    })
}

fn salt(users: u32) -> u64 {
    u64::from(users)
}

impl Seen {
    fn level(&self, users: u32, truth: &TruthReport) -> Level {
        // As the load generator makes its `x-request-id`.
        let id = |request| format!("{:016x}-{request}", salt(users));
        let Errors {
            ttft_us,
            itl_us,
            e2e_us,
            requests,
            failed,
            unfinished,
            unmatched,
        } = compare(&self.rows, truth, id);
        let measured = self.report.stages.measure;
        let span_s = (measured.end_ns - measured.start_ns) as f64 / 1e9;
        let tokens: usize = self.rows.iter().map(|(_, it)| it.chunks.len()).sum();
        let cpu_us = self.report.cpu.as_secs_f64() * 1e6;
        Level {
            users,
            tokens_per_s: tokens_within(&self.rows, measured) as f64 / span_s,
            requests,
            failed,
            unfinished,
            unmatched,
            ttft_us: Spread::of(ttft_us),
            itl_us: Spread::of(itl_us),
            e2e_us: Spread::of(e2e_us),
            client_cpu_us_per_token: (tokens > 0).then(|| cpu_us / tokens as f64),
            clock: self.report.clock,
            truth: TruthBounds {
                slow_sends: truth.slow_sends,
                max_send_us: truth.max_send_ns.div_ceil(1000),
                blocked_sends: truth.blocked_sends,
                unstamped_requests: truth.unstamped_requests,
            },
            telemetry: self.ticks.telemetry(),
        }
    }
}

/// What the sampler did, one level's or several's.
#[derive(Clone, Debug, Default)]
struct Ticks {
    interval_ms: f64,
    due: u64,
    taken: u64,
    late_us: Vec<f64>,
}

impl Ticks {
    fn new(facts: &SamplingFacts, lateness: impl Iterator<Item = Value>) -> Self {
        let micros = |value| match value {
            Value::Int(us) => Some(us as f64),
            Value::Real(us) => Some(us),
            Value::Absent => None,
        };
        Self {
            interval_ms: facts.interval_ms,
            due: facts.ticks_due,
            taken: facts.ticks_taken,
            late_us: lateness.filter_map(micros).collect(),
        }
    }

    fn add(&mut self, more: Ticks) {
        self.interval_ms = more.interval_ms;
        self.due += more.due;
        self.taken += more.taken;
        self.late_us.extend(more.late_us);
    }

    fn telemetry(&self) -> Telemetry {
        Telemetry {
            interval_ms: self.interval_ms,
            ticks_due: self.due,
            ticks_taken: self.taken,
            late_us: Spread::of(self.late_us.clone()),
        }
    }
}
