//! The steps to a verdict, gathered as they are taken.

use super::{Concluded, is_embedded, limits};
use crate::Analysis;
use record::{Effect, Reason, RunState, Verdict, VerdictKind};

/// Reasons, and what stands against resting a decision on them.
pub(super) struct Findings {
    reasons: Vec<Reason>,
    doubts: Vec<Reason>,
    embedded: bool,
}

impl Findings {
    /// What holds for every experiment: gates, the quick variant, repeats, modelled compute.
    pub(super) fn new(analysis: &Analysis) -> Self {
        let mut findings = Self {
            reasons: Vec::new(),
            doubts: Vec::new(),
            embedded: is_embedded(analysis),
        };
        findings.gates(analysis);
        if analysis.session.quick {
            findings.doubt("QUICK", None, "this was the plan’s quick variant");
        }
        if findings.embedded {
            let words = "the server is the embedded engine, whose compute is modelled: only what its I/O does is real";
            findings.doubt("COMPUTE_MODELLED", None, words);
        }
        let repeats = analysis.cells.iter().map(|cell| cell.runs.len());
        let (least, most) = (repeats.clone().min(), repeats.max());
        if let (Some(least), Some(most)) = (least, most)
            && least < limits::PAIRS
        {
            let words = format!(
                "the cells have {} each, and three are the least that tell an effect from what repeats differ by",
                crate::figure::repeats(least, most)
            );
            findings.doubt("FEW_REPEATS", Some(least as f64), words);
        }
        findings
    }

    fn gates(&mut self, analysis: &Analysis) {
        let mut failed: Vec<(&str, Effect, usize)> = Vec::new();
        let manifests = analysis.runs.iter().filter_map(|run| run.manifest.as_ref());
        // A run that was cut off enters no figure; that it failed its gates says nothing of those.
        let manifests = manifests.filter(|manifest| manifest.state == RunState::Complete);
        for gate in manifests.flat_map(|manifest| &manifest.gates) {
            if gate.passed || gate.effect == Effect::Noted {
                continue;
            }
            match failed.iter_mut().find(|(name, ..)| *name == gate.name) {
                Some((.., count)) => *count += 1,
                None => failed.push((&gate.name, gate.effect, 1)),
            }
        }
        for (name, effect, count) in failed {
            let code = match effect {
                Effect::Invalid => "GATE_INVALID",
                Effect::NotDecisionGrade | Effect::Noted => "GATE_NOT_DECISION_GRADE",
            };
            let runs = if count == 1 { "run" } else { "runs" };
            let words = format!("gate {name} failed in {count} {runs}");
            self.doubt(code, Some(count as f64), words);
        }
    }

    /// A step that leads to the verdict.
    pub(super) fn reason(&mut self, code: &str, measured: Option<f64>, words: impl Into<String>) {
        self.reasons.push(reason(code, measured, words));
    }

    /// What stands against resting a decision on it.
    pub(super) fn doubt(&mut self, code: &str, measured: Option<f64>, words: impl Into<String>) {
        self.doubts.push(reason(code, measured, words));
    }

    pub(super) fn into_verdict(self, concluded: Concluded) -> Verdict {
        let decision_grade = concluded.decision_grade
            && self.doubts.is_empty()
            && !matches!(
                concluded.kind,
                VerdictKind::Inconclusive | VerdictKind::Invalid
            );
        let doubts: Vec<&str> = self.doubts.iter().map(|it| it.words.as_str()).collect();
        let mut sentences = vec![concluded.found, concluded.sure];
        if self.embedded {
            sentences.push(
                "The compute of this server is modelled: what is said of it holds for the model, not for an accelerator.".to_owned(),
            );
        }
        if !decision_grade && !doubts.is_empty() {
            sentences.push(format!(
                "Decide nothing by it alone: {}.",
                doubts.join("; ")
            ));
        }
        sentences.push(format!(
            "What would change it: {}",
            lower(&concluded.would_change)
        ));
        sentences.push(format!("What to try: {}", lower(&concluded.to_try)));
        let paragraph = sentences
            .iter()
            .filter(|sentence| !sentence.is_empty())
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ");
        Verdict {
            kind: concluded.kind,
            decision_grade,
            reasons: self.reasons.into_iter().chain(self.doubts).collect(),
            paragraph,
        }
    }
}

/// The sentence as it follows a colon; names and code keep their letters.
fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next();
    let is_word = |second: char| second.is_lowercase() || second == ' ';
    let is_word = letters.clone().next().is_some_and(is_word);
    match first {
        Some(first) if is_word => first.to_lowercase().chain(letters).collect(),
        _ => sentence.to_owned(),
    }
}

fn reason(code: &str, measured: Option<f64>, words: impl Into<String>) -> Reason {
    Reason {
        code: code.to_owned(),
        measured: measured.filter(|it| it.is_finite()),
        words: words.into(),
    }
}
