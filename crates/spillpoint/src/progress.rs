//! What a person sees while a session runs: two bars on a terminal, lines anywhere else. All of
//! it goes to standard error; the result alone goes to standard output.

use ::plan::Between;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab::{Estimate, Event, Moment};
use record::{Effect, Gate, RunId, RunState};
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::{Duration, Instant},
};

/// Shows events as they come.
pub(crate) enum Progress {
    Bars(Bars),
    Lines(Lines),
}

impl Progress {
    pub(crate) fn new() -> Self {
        match io::stderr().is_terminal() {
            true => Self::Bars(Bars::new()),
            false => Self::Lines(Lines::default()),
        }
    }

    pub(crate) fn tell(&mut self, event: Event) {
        match self {
            Self::Bars(bars) => bars.tell(&event),
            Self::Lines(lines) => lines.tell(&event),
        }
    }

    pub(crate) fn end(self) {
        if let Self::Bars(bars) = self {
            bars.plan.finish_and_clear();
            bars.phase.finish_and_clear();
        }
    }
}

/// A bar for the plan, and one for the phase.
pub(crate) struct Bars {
    all: MultiProgress,
    plan: ProgressBar,
    phase: ProgressBar,
    /// The place in the plan, from 0.
    run: u64,
}

/// The bars' full length: both show shares, not counts.
const FULL: u64 = 1000;

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template)
                .expect("the templates below are well-formed")
                .progress_chars("━╸ ");
            ProgressBar::new(FULL).with_style(style)
        };
        let plan = all.add(bar("{prefix:8} {bar:30} {elapsed_precise}  {wide_msg}"));
        let phase = all.add(bar("{prefix:8} {bar:30} {wide_msg}"));
        Self {
            all,
            plan,
            phase,
            run: 0,
        }
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Estimated(estimate) => {
                let _ = self.all.println(estimated(estimate));
            }
            Event::Began { session, runs, .. } => {
                // Without a terminal's room the text is lost, not the session.
                let _ = self.all.println(began(event));
                self.plan.set_length(FULL * *runs as u64);
                self.plan.set_prefix("plan");
                self.plan.set_message(session_name(session));
            }
            Event::RunBegan { run, number, users } => {
                self.run = *number as u64 - 1;
                self.phase.set_prefix(format!("u{users}"));
                self.phase.set_message(run.to_string());
                self.place(0.0);
            }
            Event::Progress(moment) => {
                self.place(moment.done);
                self.phase.set_message(line(moment));
            }
            Event::RunEnded { run, state, gates } => {
                self.place(1.0);
                for line in bad_end(run, state, gates) {
                    let _ = self.all.println(line);
                }
            }
            Event::Warning(words) => {
                let _ = self.all.println(format!("warning: {words}"));
            }
        }
    }

    fn place(&self, done: f64) {
        let done = (done * FULL as f64) as u64;
        self.phase.set_position(done);
        self.plan.set_position(self.run * FULL + done);
    }
}

/// A line at each turn, and one every few seconds between.
#[derive(Default)]
pub(crate) struct Lines {
    runs: usize,
    run: String,
    told: Option<Instant>,
}

/// How often a running phase is told of, in a log.
const PAUSE: Duration = Duration::from_secs(5);

impl Lines {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::Estimated(estimate) => print(&estimated(estimate)),
            Event::Began { runs, .. } => {
                self.runs = *runs;
                print(&began(event));
            }
            Event::RunBegan { run, number, .. } => {
                self.run = format!("[{number}/{}] {run}", self.runs);
                self.told = Some(Instant::now());
                print(&format!("{} began", self.run));
            }
            Event::Progress(moment) => {
                if self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
                    self.told = Some(Instant::now());
                    print(&format!("{} {}", self.run, line(moment)));
                }
            }
            Event::RunEnded { run, state, gates } => {
                for line in bad_end(run, state, gates) {
                    print(&line);
                }
            }
            Event::Warning(words) => print(&format!("warning: {words}")),
        }
    }
}

fn print(line: &str) {
    // A closed standard error is no reason to end a measurement.
    let _ = writeln!(io::stderr(), "{line}");
}

fn session_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn began(event: &Event) -> String {
    let Event::Began {
        session,
        target,
        runs,
    } = event
    else {
        return String::new();
    };
    format!(
        "{}: {runs} runs against {} at {} ({} API)",
        session_name(session),
        target.model,
        target.url,
        target.api,
    )
}

/// How long it takes, and of what that consists.
fn estimated(estimate: &Estimate) -> String {
    let measuring = span(estimate.measuring);
    let mut parts = vec![match estimate.runs {
        1 => format!("a run that measures for {measuring}"),
        runs => format!("{runs} runs that measure for {measuring}"),
    }];
    let mut add = |what: &str, time: Between| {
        if time.most > Duration::ZERO {
            parts.push(format!("{what} {}", between(time)));
        }
    };
    add("drains", estimate.drains);
    add("preparation", estimate.preparing);
    let starts = match (estimate.starts, estimate.last_start) {
        (1, Some(last)) => format!(
            "a server start of {}, as its last took, and its end",
            span(last)
        ),
        (1, None) => "a server start and end".to_owned(),
        (starts, Some(last)) => {
            let last = span(last);
            format!("{starts} server starts of {last}, as its last took, and its ends")
        }
        (starts, None) => format!("{starts} server starts and ends"),
    };
    add(&starts, estimate.serving);
    format!("takes {}: {}", between(estimate.total()), parts.join("; "))
}

/// A time that is not known yet, as people say it.
pub(crate) fn between(time: Between) -> String {
    let (least, most) = (span(time.least), span(time.most));
    match time.least {
        _ if least == most => least,
        Duration::ZERO => format!("up to {most}"),
        _ => format!("{least} to {most}"),
    }
}

/// A time as people say it.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn line(moment: &Moment) -> String {
    let ms = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0}"));
    let mb = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |mb| format!("{mb:.1}"));
    format!(
        "{:<7} TTFT p50 {} p99 {} ms · {:.0} tokens/s · {} ok, {} failed, {} running · read {} write {} MB/s",
        moment.stage.name(),
        ms(moment.ttft_p50_ms),
        ms(moment.ttft_p99_ms),
        moment.chunks_per_s,
        moment.ok,
        moment.failed,
        moment.in_flight,
        mb(moment.read_mb_per_s),
        mb(moment.write_mb_per_s),
    )
}

/// What is to be told of a run that did not end as it should.
fn bad_end(run: &RunId, state: &RunState, gates: &[Gate]) -> Vec<String> {
    let mut lines = Vec::new();
    match state {
        RunState::Complete | RunState::Running => {}
        RunState::Interrupted => lines.push(format!("{run}: interrupted")),
        RunState::Failed(why) => lines.push(format!("{run}: failed: {why}")),
    }
    if *state != RunState::Complete {
        // A run that was cut short fails gates for that reason alone.
        return lines;
    }
    let failed = gates
        .iter()
        .filter(|gate| !gate.passed && gate.effect != Effect::Noted);
    lines.extend(failed.map(|gate| {
        let measured = gate.measured.map_or_else(
            || "could not be measured".to_owned(),
            |value| format!("is {value:.3}"),
        );
        let effect = match gate.effect {
            Effect::Invalid => "the run is INVALID",
            Effect::NotDecisionGrade | Effect::Noted => "the run carries no decision",
        };
        format!(
            "{run}: gate {} failed: {} {measured}, wanted {}; {effect}",
            gate.name, gate.measures, gate.limit
        )
    }));
    lines
}
