//! The page's tables of runs, gates and host figures.

use crate::{
    Analysis, Cell, HostFigure, RunAnalysis,
    figure::{percent, plain},
    table::ABSENT,
};
use record::{Effect, Gate, RunState};

/// A run in the table of runs.
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) state: String,
    /// requests, ok, failed, censored, e2e p50, e2e p99, tokens per second
    pub(super) figures: [String; 7],
    pub(super) gates: Vec<GateResult>,
}

/// How a gate came out.
pub(super) struct GateResult {
    /// It is nothing to point out: it held, or nothing could tell.
    pub(super) passed: bool,
    pub(super) text: String,
}

/// What a gate asks, once for all runs.
pub(super) struct GateRow {
    pub(super) name: String,
    pub(super) asks: String,
}

/// Host figures by users.
pub(super) struct HostTable {
    pub(super) users: Vec<String>,
    pub(super) rows: Vec<HostRow>,
}

/// One host figure, a value a cell.
pub(super) struct HostRow {
    pub(super) label: &'static str,
    pub(super) values: Vec<String>,
}

impl RunRow {
    pub(super) fn new(run: &RunAnalysis) -> Self {
        let state = match run.manifest.as_ref().map(|manifest| &manifest.state) {
            None => "not run, or unreadable".to_owned(),
            Some(RunState::Complete) => "complete".to_owned(),
            Some(RunState::Running) => "cut off".to_owned(),
            Some(RunState::Interrupted) => "interrupted".to_owned(),
            Some(RunState::Failed(why)) => format!("failed: {why}"),
        };
        let figures = match &run.summary {
            None => std::array::from_fn(|_| ABSENT.to_owned()),
            Some(summary) => [
                summary.requests.total.to_string(),
                summary.requests.ok.to_string(),
                summary.requests.failed.total().to_string(),
                summary.censored.to_string(),
                maybe(summary.e2e_ms.p50.map(plain)),
                maybe(summary.e2e_ms.p99.map(plain)),
                maybe(summary.output_tokens_per_s.map(plain)),
            ],
        };
        Self {
            id: run.id.to_string(),
            state,
            figures,
            gates: gates_of(run).map(GateResult::new).collect(),
        }
    }
}

impl GateResult {
    fn new(gate: &Gate) -> Self {
        let measured = gate.measured.map_or("not measured".to_owned(), plain);
        let text = match (gate.passed, gate.effect) {
            (true, _) => format!("{} {measured}", gate.name),
            (false, Effect::Invalid) => format!("{} {measured}: failed, invalid", gate.name),
            (false, Effect::NotDecisionGrade) => {
                format!("{} {measured}: failed, carries no decision", gate.name)
            }
            (false, Effect::Noted) => format!("{} {measured}", gate.name),
        };
        Self {
            passed: gate.passed || gate.effect == Effect::Noted,
            text,
        }
    }
}

fn gates_of(run: &RunAnalysis) -> impl Iterator<Item = &Gate> {
    run.manifest.iter().flat_map(|manifest| &manifest.gates)
}

/// Every gate once, as the first run that has it words it.
pub(super) fn gates(analysis: &Analysis) -> Vec<GateRow> {
    let mut rows: Vec<GateRow> = Vec::new();
    for gate in analysis.runs.iter().flat_map(gates_of) {
        if rows.iter().all(|row| row.name != gate.name) {
            let effect = match gate.effect {
                Effect::Invalid => "else the run does not count",
                Effect::NotDecisionGrade => "else the run carries no decision",
                Effect::Noted => "which nothing here could tell",
            };
            rows.push(GateRow {
                name: gate.name.clone(),
                asks: format!("{}: {}, {effect}", gate.measures, gate.limit),
            });
        }
    }
    rows
}

/// The names of the runs in which a gate that decides validity failed.
pub(super) fn invalid_runs(analysis: &Analysis) -> String {
    let invalid = |run: &&RunAnalysis| {
        gates_of(run).any(|gate| !gate.passed && gate.effect == Effect::Invalid)
    };
    let names: Vec<String> = analysis
        .runs
        .iter()
        .filter(invalid)
        .map(|run| run.id.to_string())
        .collect();
    names.join(", ")
}

/// The figures that any cell has.
pub(super) fn host(cells: &[Cell]) -> HostTable {
    let row = |figure: HostFigure| {
        let values: Vec<Option<f64>> = cells.iter().map(|cell| cell.host.get(figure)).collect();
        values.iter().any(Option::is_some).then(|| HostRow {
            label: figure.label(),
            values: values.iter().map(|&value| said(figure, value)).collect(),
        })
    };
    let mut rows: Vec<HostRow> = HostFigure::ALL.into_iter().filter_map(row).collect();
    let per_request: Vec<Option<f64>> = cells.iter().map(read_per_request).collect();
    if per_request.iter().any(Option::is_some) {
        rows.push(HostRow {
            label: "server read per request, MB",
            values: per_request
                .into_iter()
                .map(|value| maybe(value.map(plain)))
                .collect(),
        });
    }
    HostTable {
        users: cells.iter().map(users).collect(),
        rows,
    }
}

/// What the server's processes, or else its control group, read from storage for each request that
/// ended, in 10⁶ bytes.
fn read_per_request(cell: &Cell) -> Option<f64> {
    let process = cell.host.get(HostFigure::ServerReadMbS);
    let rate = process.or(cell.host.get(HostFigure::CgroupReadMbS))?;
    let requests = cell.requests_per_s.filter(|it| *it > 0.0)?;
    Some(rate / requests)
}

fn users(cell: &Cell) -> String {
    let arm = cell
        .arm
        .as_ref()
        .map_or(String::new(), |arm| format!(", {arm}"));
    match cell.users {
        1 => format!("1 user{arm}"),
        users => format!("{users} users{arm}"),
    }
}

fn said(figure: HostFigure, value: Option<f64>) -> String {
    maybe(value.map(|value| {
        if figure.label().ends_with('%') {
            percent(value).replace("\u{a0}%", "")
        } else {
            plain(value)
        }
    }))
}

fn maybe(text: Option<String>) -> String {
    text.unwrap_or_else(|| ABSENT.to_owned())
}
