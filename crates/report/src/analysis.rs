//! From a session on disk to everything that is said about it.

use crate::{
    ArmEffect, Cause, Cell, Figure, HostMeans, Knees, Metric, Moved, Note, SmartDelta, Stalls,
    Steady, Tier, arms, cause,
    cell::CellRun,
    evidence::{self, Evidence, RunEvidence},
    figure, knees, page,
    stats::Percentile,
    summary, tiers, verdict,
};
use record::{
    Effect, Gate, RunId, RunManifest, RunState, Session, SessionManifest, Summary, Verdict,
};
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
    /// The knees of the sweep.
    pub knees: Knees,
    /// The arms' effects, block by block; empty where there are no arms.
    pub effects: Vec<ArmEffect>,
    /// The KV tiers' configurations; empty where nothing is replayed.
    pub tiers: Vec<Tier>,
    /// Stalls beside what the host waited for: all cells together, then each.
    pub causes: Vec<Cause>,
    /// What the session concludes.
    pub verdict: Verdict,
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
    /// Its stalls; absent unless its requests can be read.
    pub stalls: Option<Stalls>,
    /// What it moved, from its first sample to its last.
    pub moved: Moved,
    /// What the drive's own counters say; absent without both SMART snapshots.
    pub smart: Option<SmartDelta>,
    /// Where its latencies settle; absent with too few requests.
    pub steady: Option<Steady>,
}

/// Analyses a session. A file that is missing or damaged costs the figures that need it and
/// becomes a note; the rest is analysed, and nothing is invented in its place.
pub fn analyze(session: &Session) -> Analysis {
    let Evidence {
        runs: evidence,
        timeline,
        mut notes,
    } = evidence::gather(session);
    let cells = cells(&evidence, &mut notes);
    let runs: Vec<RunAnalysis> = evidence.iter().map(RunAnalysis::from).collect();
    let causes = cause::of(&runs);
    let mut analysis = Analysis {
        session: session.manifest.clone(),
        knees: knees::of(&runs),
        effects: arms::effects(&runs),
        tiers: tiers::of(&runs, &cells),
        verdict: verdict::none(),
        causes,
        runs,
        cells,
        figures: Vec::new(),
        html: String::new(),
        notes,
    };
    analysis.verdict = verdict::of(&analysis);
    let figures = figure::draw_all(&mut analysis, &evidence, timeline.as_ref());
    analysis.figures = figures;
    analysis.html = page::render(&analysis);
    analysis
}

impl RunAnalysis {
    /// Whether it was measured to its end and no gate that decides validity failed.
    pub fn counts(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| {
            let failed = |gate: &Gate| gate.effect == Effect::Invalid && !gate.passed;
            manifest.state == RunState::Complete && !manifest.gates.iter().any(failed)
        })
    }

    /// A percentile of one of its metrics, in milliseconds.
    pub fn percentile(&self, metric: Metric, percentile: Percentile) -> Option<f64> {
        let distribution = metric.of(self.summary.as_ref()?);
        match percentile {
            Percentile::P50 => distribution.p50,
            Percentile::P90 => distribution.p90,
            Percentile::P95 => distribution.p95,
            Percentile::P99 => distribution.p99,
            _ => None,
        }
    }
}

impl From<&RunEvidence> for RunAnalysis {
    fn from(run: &RunEvidence) -> Self {
        Self {
            summary: run.cohort.as_ref().map(summary::of_cohort),
            id: run.id.clone(),
            manifest: run.manifest.clone(),
            host: run.host.clone(),
            moved: run.moved.clone(),
            stalls: run.stalls.clone(),
            smart: run.smart,
            steady: run.steady,
        }
    }
}

/// Phase, users, arm.
type Key<'a> = (&'a str, u32, Option<&'a str>);

/// Pools the complete runs by phase, users and arm. Invalid runs are pooled only where a cell has no
/// valid one, and the cell then says so.
fn cells(runs: &[RunEvidence], notes: &mut Vec<Note>) -> Vec<Cell> {
    let mut by_cell: BTreeMap<Key, Vec<&RunEvidence>> = BTreeMap::new();
    for run in runs {
        if let (Some(manifest), Some(_)) = (&run.manifest, &run.cohort) {
            let key = (
                manifest.phase.as_str(),
                manifest.users,
                manifest.arm.as_deref(),
            );
            by_cell.entry(key).or_default().push(run);
        }
    }
    let pool = |(key, runs): (Key, Vec<&RunEvidence>)| {
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
        Cell::pool(key, none_valid, &pooled)
    };
    by_cell.into_iter().map(pool).collect()
}
