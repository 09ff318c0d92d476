//! `report.html`: one file that loads nothing.
//!
//! All text is escaped by the template; only what this crate made itself, the figures, the style
//! sheet and the script that makes figures answer to the pointer, goes in as it is. The policy in
//! the page lets nothing else in: no request, no script and no style but those whose hashes it
//! names. Without the script the page says everything but the values under the pointer.

mod causes;
mod facts;
mod prepared;
mod rows;

use crate::{
    Analysis, Metric, Note,
    chunks::{MOST_REQUESTS, MOST_VALUES},
    figure::{stylesheet, web_fonts},
    stats::{REPLICATES, SEED},
    table::{self, Table},
};
use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use causes::{CauseRow, Fields};
use facts::Fact;
use prepared::PreparedRow;
use record::{SessionManifest, TargetKind, Verdict};
use rows::{GateRow, HostTable, RunRow};
use sha2::{Digest, Sha256};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    session: &'a SessionManifest,
    verdict: &'a Verdict,
    policy: String,
    style: String,
    script: &'static str,
    embedded: bool,
    quick: bool,
    /// The names of the invalid runs; empty if there are none.
    invalid_runs: String,
    cells: Table,
    table_note: String,
    figures: Vec<Picture<'a>>,
    tiers: Option<Table>,
    tier_counters: Vec<Fact>,
    effects: Vec<Fields<4, 5>>,
    causes: Vec<CauseRow>,
    stalls: Vec<Fields<2, 10>>,
    notes: &'a [Note],
    host: HostTable,
    runs: Vec<RunRow>,
    gates: Vec<GateRow>,
    facts: Vec<Fact>,
    prepared: Vec<PreparedRow>,
    metrics: Vec<Fact>,
    methods: Vec<String>,
}

struct Picture<'a> {
    name: &'a str,
    svg: String,
}

pub(crate) fn render(analysis: &Analysis) -> String {
    let style = format!(
        "{}{}{}",
        web_fonts(),
        stylesheet(),
        include_str!("../../templates/report.css")
    );
    let page = Page {
        session: &analysis.session,
        verdict: &analysis.verdict,
        policy: policy(&style),
        style,
        script: SCRIPT,
        embedded: analysis.session.target.kind == TargetKind::Embedded,
        quick: analysis.session.quick,
        invalid_runs: rows::invalid_runs(analysis),
        cells: table::of_cells(&analysis.cells),
        table_note: table_note(analysis),
        figures: analysis
            .figures
            .iter()
            .map(|figure| Picture {
                name: figure.name(),
                svg: figure.inline_svg(),
            })
            .collect(),
        tiers: table::tier_table(analysis),
        tier_counters: analysis
            .tiers
            .iter()
            .filter(|tier| !tier.counted().is_empty())
            .map(|tier| Fact::new(format!("{} {}", tier.users, tier.name()), tier.counted()))
            .collect(),
        effects: causes::effects(analysis),
        causes: causes::causes(analysis),
        stalls: causes::stalls(analysis),
        notes: &analysis.notes,
        host: rows::host(&analysis.cells),
        runs: analysis.runs.iter().map(RunRow::new).collect(),
        gates: rows::gates(analysis),
        facts: facts::of_session(&analysis.session),
        prepared: prepared::rows(&analysis.session),
        metrics: Metric::ALL
            .map(|metric| Fact::new(metric.name(), metric.definition()))
            .into(),
        methods: methods(),
    };
    let html = page
        .render()
        .expect("the template only writes to a String, which cannot fail");
    without_commands(html)
}

/// A name from a server or a file may hold what commands a terminal or turns the direction of text:
/// it is shown as what cannot be shown.
fn without_commands(html: String) -> String {
    let commands = |c: char| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || c.is_control() && c != '\n' && c != '\t'
    };
    match html.contains(commands) {
        true => html.replace(commands, "\u{fffd}"),
        false => html,
    }
}

/// Nothing is loaded, run or sent; the one style is known by its hash, and fonts lie in it.
const SCRIPT: &str = include_str!("../../templates/report.js");

fn policy(style: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; font-src data:; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(SCRIPT)
    )
}

fn table_note(analysis: &Analysis) -> String {
    let mut note = String::from(
        "Latencies of the requests that were wanted within the measured interval and ended well, all repeats’ rows pooled. – where there is no value, or too few for the figure: a p99 needs 100 requests; its interval 368 in one run, and more where its requests are like their neighbours, or 100 in each of several.",
    );
    if let Some(cell) = analysis.cells.first() {
        note.push_str(&format!(" In brackets: 95 % {}.", cell.method.name()));
    }
    if analysis.cells.iter().any(|cell| cell.invalid) {
        note.push_str(" * A gate that decides validity failed in every repeat.");
    }
    note
}

fn methods() -> Vec<String> {
    vec![
        "All times are CLOCK_MONOTONIC since the session’s start. A chunk’s arrival is the kernel’s receive time where the summary’s clock says kernel.".to_owned(),
        "The cohort of a run is the requests that were wanted within its measured interval, followed to their end. Failed requests are counted by kind; timeouts and requests still running at the end are also counted as censored: their latency is only known to exceed what was seen. Neither enters a distribution.".to_owned(),
        "Rates count what happened within the measured interval, whichever request it belongs to, and divide by the interval alone. A request’s output tokens, by the server’s own count, are spread evenly over its chunks, and those that arrived within the interval count.".to_owned(),
        "A percentile is the value of rank ⌈n·p⌉ (Hyndman and Fan’s definition 1), given where at least one value is expected above it: p90 from 10 values, p95 from 20, p99 from 100. Percentiles of several repeats are those of their pooled rows, never a mean of percentiles.".to_owned(),
        format!("Intervals of a cell with one run are order-statistic intervals (David and Nagaraja, Order Statistics, 7.1), lengthened by what requests that follow each other are alike: the share of values at or below the percentile, in ten stretches of time, gives the standard error (batch means, Seila 1982). With fewer than 200 requests they take the requests for independent. In the figures by number of users, itl and client lag, whose values depend on each other within a request, get an expanded percentile bootstrap of whole requests: {REPLICATES} resamples, xoshiro256++ from seed {SEED:#x}, from 20 requests on; of more than {MOST_REQUESTS} requests, or {MOST_VALUES} values, that is the interval of their linearised variance (Woodruff 1952), which resamples of so many tend to."),
        "Intervals of a cell with several repeats are Student’s t intervals over the logarithms of the repeats’ own percentiles, around the percentile of the pooled rows: what moves a whole repeat shows only between repeats, so few repeats give wide intervals.".to_owned(),
        "Host figures are differences of the kernel’s counters between the first and the last tick inside the measured interval, divided by the time between these ticks. MB are 10⁶ bytes. iowait is idle time of a CPU while a task of that CPU waits for I/O: the kernel calls it unreliable, and it can miss waits entirely. Pressure (PSI) is the time in which some, or all non-idle, tasks were stalled. util says only that at least one I/O was in flight; on NVMe it is no share of capacity.".to_owned(),
        "Users drive both latency and I/O: that they move together shows no cause. Storage is called the cause only where the device is read in the same phase, the reads are the server’s (by process or control group), a mechanism counter moves (refaults, major faults, swap, KV brought back from a lower tier), the server’s queue does not explain the effect, and the effect shows in a comparison in which the storage alone differs.".to_owned(),
        "A stall is a gap between tokens, or a first token, beyond the upper quartile of its run and three times the distance of the quartiles (Tukey’s far-out fence), and beyond twice the upper quartile. The share of stall time with waits is the pressure (PSI) of the ticks that the stalls overlap, weighted by the overlap; its interval is a bootstrap of thirtieths of each run; chance is what is left when each run’s waits are shifted by a random time, 499 times, the end wrapping to the start.".to_owned(),
        "Knees are those of a segmented regression, two lines that meet, by least squares over the runs: the queue’s of throughput against users, both as logarithms; the storage’s of pressure (PSI io) against the logarithm of users. The interval holds what an F test at 95 % does not reject; a bend that straight lines with noise show in more than one of twenty simulations is none.".to_owned(),
        "Arms are compared within each block, runs of one arm in a block by their geometric mean: Student’s t over the logarithms of the blocks’ ratios. “Would have been seen” is the least change that so many blocks, spread like these, show four times in five. A verdict allows for the number of figures that it looks at (Bonferroni).".to_owned(),
        "A run’s start is checked by MSER-5 (White 1997): a note says where latencies settle late or drift. Ramp and warm-up are left out by their time, never by their values.".to_owned(),
    ]
}
