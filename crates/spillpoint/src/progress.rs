//! What a person sees while a session runs: a dashboard on a terminal, lines anywhere else. All of
//! it goes to standard error; the result alone goes to standard output.

use crate::{
    cli::ProgressView,
    exit::{OrExit, Result},
};
use ::plan::Between;
use anyhow::anyhow;
use dash::{Dashboard, Screen};
use lab::{Estimate, Event, Moment};
use record::{Effect, Gate, RunId, RunState};
use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

/// Shows events as they come.
pub(crate) enum Progress {
    /// A dashboard, once there is a session to show; until then there is an error to be read.
    Awaited(Option<Estimate>),
    Dashboard {
        dashboard: Dashboard,
        /// What is worth reading when the dashboard is gone.
        kept: Vec<String>,
    },
    Lines(Lines),
    /// Warnings alone.
    None,
}

impl Progress {
    pub(crate) fn new(view: ProgressView) -> Result<Self> {
        Ok(match wants_dashboard(view, Screen::Stderr)? {
            true => Self::Awaited(None),
            false if view == ProgressView::None => Self::None,
            false => Self::Lines(Lines::default()),
        })
    }

    pub(crate) fn tell(&mut self, event: Event) {
        match self {
            Self::Awaited(estimate) if matches!(event, Event::Began { .. }) => {
                let estimate = estimate.take().map(Event::Estimated);
                *self = Self::begin(&event);
                estimate
                    .into_iter()
                    .chain([event])
                    .for_each(|event| self.tell(event));
            }
            Self::Dashboard { dashboard, kept } => {
                kept.extend(worth_keeping(&event));
                dashboard.tell(event);
            }
            Self::Lines(lines) => lines.tell(&event),
            Self::Awaited(estimate) => match event {
                Event::Estimated(found) => *estimate = Some(found),
                _ => worth_keeping(&event).iter().for_each(|line| print(line)),
            },
            Self::None => worth_keeping(&event).iter().for_each(|line| print(line)),
        }
    }

    fn begin(event: &Event) -> Self {
        match Dashboard::of_session(Screen::Stderr) {
            Ok(dashboard) => Self::Dashboard {
                dashboard,
                kept: vec![began(event)],
            },
            Err(error) => {
                print(&format!("no dashboard: {error}"));
                Self::Lines(Lines::default())
            }
        }
    }

    pub(crate) fn end(self) {
        if let Self::Dashboard { dashboard, kept } = self {
            drop(dashboard);
            kept.iter().for_each(|line| print(line));
        }
    }
}

/// Whether a dashboard is wanted there, and can be had.
pub(crate) fn wants_dashboard(view: ProgressView, screen: Screen) -> Result<bool> {
    match view {
        ProgressView::Plain | ProgressView::None => Ok(false),
        ProgressView::Auto => Ok(dash::suits(screen)),
        ProgressView::Dashboard if dash::suits(screen) => Ok(true),
        ProgressView::Dashboard => Err(anyhow!(
            "--progress dashboard needs a terminal that can move its cursor (TERM), with this \
             program in its foreground; use --progress plain"
        ))
        .or_usage(),
    }
}

/// What is to be read also where the rest is not shown.
fn worth_keeping(event: &Event) -> Vec<String> {
    match event {
        Event::Warning(words) => vec![format!("warning: {words}")],
        Event::RunEnded { run, state, gates } => bad_end(run, state, gates),
        Event::Estimated(estimate) => vec![estimated(estimate)],
        Event::Began { .. } | Event::RunBegan { .. } | Event::Sampling(_) | Event::Progress(_) => {
            Vec::new()
        }
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
            Event::Sampling(_) => {}
            Event::RunEnded { .. } | Event::Warning(_) => {
                worth_keeping(event).iter().for_each(|line| print(line));
            }
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
        ..
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
