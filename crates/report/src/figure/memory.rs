//! `h3_eviction`: what the kernel evicts, reads back, and makes requests wait for; and
//! `session_overview`, the whole session at a glance.

use super::{
    Figure, NotDrawn,
    numbers::{grouped, milliseconds, percent, plain},
    strips::{Mark, Panel, Strips, Track},
    theme::Ink,
};
use crate::{
    Analysis, Cell, HostFigure,
    evidence::RunEvidence,
    strip::{Series, Strip},
};
use record::VerdictKind;

pub(super) const EVICTION: &str = "h3_eviction";
pub(super) const OVERVIEW: &str = "session_overview";

/// Refaults above this rate are marked as evictions that came too early.
const MARKED_MB_S: f64 = 1.0;

/// A series of every run, in other units.
fn of(runs: &[RunEvidence], series: fn(&Strip) -> &Series, scale: f64) -> Vec<Series> {
    let scaled = |series: &Series| {
        series
            .iter()
            .map(|(t, value)| (*t, value * scale))
            .collect()
    };
    runs.iter()
        .filter_map(|run| Some(scaled(series(run.strip.as_ref()?))))
        .collect()
}

fn track(name: &'static str, [ink, text]: [Ink; 2], runs: Vec<Series>) -> Track {
    Track {
        name,
        ink,
        text,
        mark: Mark::Line,
        runs,
    }
}

const BLUE: [Ink; 2] = [Ink::Blue, Ink::BlueText];
const SKY: [Ink; 2] = [Ink::Sky, Ink::SkyText];
const VERMILION: [Ink; 2] = [Ink::Vermilion, Ink::VermilionText];
const PURPLE: [Ink; 2] = [Ink::Purple, Ink::PurpleText];

fn memory(runs: &[RunEvidence]) -> Panel {
    const GIB: f64 = 1.0 / (1u64 << 30) as f64;
    Panel {
        label: "Memory that can be had, and the page cache".to_owned(),
        axis: "GiB",
        log: false,
        tracks: vec![
            track("available", BLUE, of(runs, |it| &it.available, GIB)),
            track("cached", SKY, of(runs, |it| &it.cached, GIB)),
        ],
    }
}

fn first_tokens(runs: &[RunEvidence]) -> Panel {
    Panel {
        label: "Time to first token, a dot a request (of many the slowest), by when it was sent"
            .to_owned(),
        axis: "TTFT (ms)",
        log: true,
        tracks: vec![Track {
            name: "",
            ink: Ink::Blue,
            text: Ink::BlueText,
            mark: Mark::Dots,
            runs: of(runs, |it| &it.ttft, 1.0),
        }],
    }
}

fn reads(runs: &[RunEvidence]) -> Track {
    track("device reads", BLUE, of(runs, |it| &it.reads, 1e-6))
}

pub(super) fn eviction(analysis: &Analysis, runs: &[RunEvidence]) -> Result<Figure, NotDrawn> {
    let page = analysis.session.host.page_size_bytes as f64 / 1e6;
    let refaults = of(runs, |it| &it.refaults, page);
    if refaults.iter().all(Vec::is_empty) {
        return Err("no run has telemetry of refaults");
    }
    let marked = marked(&refaults);
    let panels = vec![
        memory(runs),
        Panel {
            label: "Pages read back soon after their eviction, and all reads of the device"
                .to_owned(),
            axis: "MB/s",
            log: false,
            tracks: vec![reads(runs), track("refaults", VERMILION, refaults)],
        },
        Panel {
            label: "Page faults that needed I/O".to_owned(),
            axis: "per second",
            log: false,
            tracks: vec![track(
                "major faults",
                PURPLE,
                of(runs, |it| &it.majfaults, 1.0),
            )],
        },
        first_tokens(runs),
    ];
    Strips {
        name: EVICTION,
        title: eviction_title(analysis),
        subtitle: format!(
            "{} of {} runs recorded; at most two points a pixel, the least and the greatest. Shaded: more than {MARKED_MB_S} MB/s read back soon after eviction (workingset_refault), so evicted too early. Numbers on top: users.",
            runs.iter().filter(|run| run.has_telemetry).count(),
            runs.len()
        ),
        runs,
        panels: panels.into_iter().filter(|panel| !panel.is_empty()).collect(),
        marked,
    }
    .draw()
}

/// Stretches in which more is read back than housekeeping does.
fn marked(refaults: &[Series]) -> Vec<(f64, f64)> {
    let mut marked: Vec<(f64, f64)> = Vec::new();
    for run in refaults {
        for pair in run.windows(2) {
            let [(from, value), (to, _)] = [pair[0], pair[1]];
            if value < MARKED_MB_S {
                continue;
            }
            match marked.last_mut() {
                Some((_, end)) if from - *end < 1e-6 => *end = to,
                _ => marked.push((from, to)),
            }
        }
    }
    marked
}

/// The greatest mean of any cell, beside what the device read in that cell: a title must not rest
/// on one tick.
fn eviction_title(analysis: &Analysis) -> String {
    let page = analysis.session.host.page_size_bytes as f64 / 1e6;
    let refaults = |cell: &Cell| Some(cell.host.get(HostFigure::RefaultPagesS)? * page);
    let cells = analysis
        .cells
        .iter()
        .filter_map(|cell| Some((cell, refaults(cell)?)));
    let Some((cell, refaults)) = cells.max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return "Memory, evictions and first tokens over the session".to_owned();
    };
    let users = match cell.users {
        1 => "1 user".to_owned(),
        users => format!("{users} users"),
    };
    let users = match &cell.arm {
        Some(arm) => format!("{users} ({arm})"),
        None => users,
    };
    let is_short = analysis.verdict.kind == VerdictKind::MemoryPressure;
    let said = format!("{} MB/s are read back soon after eviction", plain(refaults));
    match cell.host.get(HostFigure::ReadMbS) {
        _ if refaults < 0.005 => {
            "Nothing is evicted too early: no pages are read back while measured".to_owned()
        }
        Some(reads) if refaults >= MARKED_MB_S && refaults >= 0.1 * reads => format!(
            "{} {users} {said}; the device reads {} MB/s",
            if is_short {
                "Memory runs short: with"
            } else {
                "With"
            },
            plain(reads)
        ),
        Some(reads) => format!(
            "Hardly a page is evicted too early: at most {said}, with {users}; the device reads {} MB/s",
            plain(reads)
        ),
        None => format!("At most {said}, with {users}"),
    }
}

pub(super) fn overview(analysis: &Analysis, runs: &[RunEvidence]) -> Result<Figure, NotDrawn> {
    let panels: Vec<Panel> = vec![
        first_tokens(runs),
        Panel {
            label: "Time in which some task waited for I/O (PSI)".to_owned(),
            axis: "% of time",
            log: false,
            tracks: vec![track("PSI io", VERMILION, of(runs, |it| &it.psi_io, 1.0))],
        },
        Panel {
            label: "The device under test".to_owned(),
            axis: "MB/s",
            log: false,
            tracks: vec![reads(runs)],
        },
        memory(runs),
    ]
    .into_iter()
    .filter(|panel| !panel.is_empty())
    .collect();
    if panels.is_empty() {
        return Err("no run has requests or telemetry");
    }
    Strips {
        name: OVERVIEW,
        title: overview_title(analysis),
        subtitle: format!(
            "{} runs in the order in which they were run; at most two points a pixel, the least and the greatest. Dots also of requests that were sent before and after the measured interval. Numbers on top: users.",
            runs.len()
        ),
        runs,
        panels,
        marked: Vec::new(),
    }
    .draw()
}

fn overview_title(analysis: &Analysis) -> String {
    let complete = analysis.runs.iter().filter(|run| run.summary.is_some());
    let requests: u64 = complete
        .clone()
        .filter_map(|run| Some(run.summary.as_ref()?.requests.total))
        .sum();
    let slowest = complete
        .filter_map(|run| run.summary.as_ref()?.ttft_ms.max)
        .reduce(f64::max);
    let waits = analysis
        .cells
        .iter()
        .filter_map(|cell| cell.host.get(HostFigure::PsiIoSomePct))
        .fold(f64::NAN, f64::max);
    let waits = if waits.is_nan() {
        String::new()
    } else {
        format!(
            "; tasks wait for I/O in up to {} of a run’s time",
            percent(waits)
        )
    };
    let requests = match requests {
        0 => "No measured request".to_owned(),
        1 => "One measured request".to_owned(),
        _ => format!("{} measured requests", grouped(requests as f64, 0)),
    };
    let slowest = slowest.map_or(String::new(), |ms| {
        format!(", their slowest first token after {}", milliseconds(ms))
    });
    format!("{requests}{slowest}{waits}")
}
