//! What a session concludes.
//!
//! A verdict is a pure function of the analysis: gates first, then the experiment's own question.
//! Storage is called the cause only by the five-part rule: the device is read in the same phase,
//! the reads are the server's, a mechanism counter moves, the server's queue does not explain the
//! effect, and the effect shows in a controlled comparison. What is missing is said, and a limit
//! that decides stands in [`limits`].

mod arms;
mod findings;
mod full;
mod h1;
mod h2;
mod limits;
mod reads;
mod text;
mod tiers;

use crate::{Analysis, RunAnalysis};
use findings::Findings;
use record::{TargetKind, Verdict, VerdictKind};

pub(crate) use arms::{longer, name};
pub(crate) use h1::{COLD, seconds_to, to_first_token};
pub use text::verdict_text;

/// What stands until there is a verdict.
pub(crate) fn none() -> Verdict {
    Verdict {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        reasons: Vec::new(),
        paragraph: String::new(),
    }
}

/// The verdict of a session.
pub(crate) fn of(analysis: &Analysis) -> Verdict {
    let mut findings = Findings::new(analysis);
    let concluded = match counted(analysis) {
        Err(stop) => stop,
        Ok(()) => conclude(analysis, &mut findings),
    };
    findings.into_verdict(concluded)
}

/// What was concluded, and how it is said.
pub(super) struct Concluded {
    pub(super) kind: VerdictKind,
    /// Whether a decision may rest on it as far as this experiment goes.
    pub(super) decision_grade: bool,
    pub(super) found: String,
    pub(super) sure: String,
    pub(super) would_change: String,
    pub(super) to_try: String,
}

fn conclude(analysis: &Analysis, findings: &mut Findings) -> Concluded {
    let has_loads = analysis.runs.iter().any(|run| {
        let manifest = run.manifest.as_ref();
        manifest.is_some_and(|it| it.model_load.is_some() && it.arm.is_some())
    });
    let blocks = crate::arms::Blocks::of(&analysis.runs);
    if !analysis.tiers.is_empty() {
        return tiers::conclude(analysis, blocks.as_ref(), findings);
    }
    match blocks {
        Some(blocks) if has_loads => h1::loads(analysis, &blocks, findings),
        Some(blocks) => arms::compare(analysis, &blocks, findings),
        None => h2::sweep(analysis, findings),
    }
}

/// Whether there is anything to conclude from.
fn counted(analysis: &Analysis) -> Result<(), Concluded> {
    let counting = analysis.runs.iter().filter(|run| run.counts()).count();
    let invalid = analysis.runs.iter().filter(|run| is_invalid(run)).count();
    if counting > 0 && counting >= invalid {
        return Ok(());
    }
    if invalid > 0 {
        return Err(Concluded {
            kind: VerdictKind::Invalid,
            decision_grade: false,
            found: format!(
                "A gate that decides validity failed in {invalid} of {} measured runs: nothing is concluded from this session.",
                invalid + counting
            ),
            sure: "The gates’ values stand in the table of runs.".to_owned(),
            would_change: "Runs whose gates hold.".to_owned(),
            to_try:
                "Remove what the failed gates name, run `spillpoint doctor`, and measure again."
                    .to_owned(),
        });
    }
    Err(Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: "No run was measured to its end: there is nothing to conclude from.".to_owned(),
        sure: "The notes on the records say what became of each run.".to_owned(),
        would_change: "Complete runs.".to_owned(),
        to_try: "Resume the session with `spillpoint run --resume`.".to_owned(),
    })
}

fn is_invalid(run: &RunAnalysis) -> bool {
    !run.counts()
        && run.summary.is_some()
        && run.manifest.as_ref().is_some_and(|manifest| {
            manifest
                .gates
                .iter()
                .any(|gate| gate.effect == record::Effect::Invalid && !gate.passed)
        })
}

fn is_embedded(analysis: &Analysis) -> bool {
    analysis.session.target.kind == TargetKind::Embedded
}
