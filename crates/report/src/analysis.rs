//! From a session on disk to everything that is said about it.

use crate::{
    Cell, Figure, HostMeans, Note,
    cell::CellRun,
    evidence::{self, Evidence, RunEvidence},
    figure, page, summary,
};
use record::{RunId, RunManifest, Session, SessionManifest, Summary};
use std::collections::BTreeMap;

/// Everything that is said about a session. The caller writes it to its files.
#[derive(Debug)]
pub struct Analysis {
    /// What the session was.
    pub session: SessionManifest,
    /// All planned runs, in the order of the plan.
    pub runs: Vec<RunAnalysis>,
    /// The cells of the matrix: a phase and a number of users, its repeats pooled. Ascending.
    pub cells: Vec<Cell>,
    /// The figures that could be drawn.
    pub figures: Vec<Figure>,
    /// The report page.
    pub html: String,
    /// What was missing, torn, damaged or left out.
    pub notes: Vec<Note>,
}

/// One planned run.
#[derive(Clone, Debug)]
pub struct RunAnalysis {
    /// Its name.
    pub id: RunId,
    /// What it was; absent if it was not run, or its manifest cannot be read.
    pub manifest: Option<RunManifest>,
    /// Its figures; absent unless it was measured to its end and its requests can be read.
    pub summary: Option<Summary>,
    /// What the host did within its measured interval.
    pub host: HostMeans,
}

/// Analyses a session. A file that is missing or damaged costs the figures that need it and
/// becomes a note; the rest is analysed, and nothing is invented in its place.
pub fn analyze(session: &Session) -> Analysis {
    let Evidence {
        runs,
        timeline,
        mut notes,
    } = evidence::gather(session);
    let cells = cells(&runs, &mut notes);
    let figures = figure::draw_all(&cells, &runs, timeline.as_ref(), &mut notes);
    let mut analysis = Analysis {
        session: session.manifest.clone(),
        runs: runs.into_iter().map(RunAnalysis::from).collect(),
        cells,
        figures,
        html: String::new(),
        notes,
    };
    analysis.html = page::render(&analysis);
    analysis
}

impl From<RunEvidence> for RunAnalysis {
    fn from(run: RunEvidence) -> Self {
        Self {
            summary: run.cohort.as_ref().map(summary::of_cohort),
            id: run.id,
            manifest: run.manifest,
            host: run.host,
        }
    }
}

/// Pools the complete runs by phase and users. Invalid runs are pooled only where a cell has no
/// valid one, and the cell then says so.
fn cells(runs: &[RunEvidence], notes: &mut Vec<Note>) -> Vec<Cell> {
    let mut by_cell: BTreeMap<(&str, u32), Vec<&RunEvidence>> = BTreeMap::new();
    for run in runs {
        if let (Some(manifest), Some(_)) = (&run.manifest, &run.cohort) {
            let key = (manifest.phase.as_str(), manifest.users);
            by_cell.entry(key).or_default().push(run);
        }
    }
    let pool = |((phase, users), runs): (_, Vec<&RunEvidence>)| {
        let (invalid, valid): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.is_invalid());
        let none_valid = valid.is_empty();
        if !none_valid {
            let left_out = "a gate failed: left out of its cell, which has valid repeats";
            notes.extend(invalid.iter().map(|run| Note::run(&run.id, left_out)));
        }
        let pooled: Vec<CellRun> = if none_valid { invalid } else { valid }
            .into_iter()
            .filter_map(|run| {
                Some(CellRun {
                    id: &run.id,
                    cohort: run.cohort.as_ref()?,
                    host: &run.host,
                })
            })
            .collect();
        Cell::pool(phase, users, none_valid, &pooled)
    };
    by_cell.into_iter().map(pool).collect()
}
