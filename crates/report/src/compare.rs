//! Two sessions held against each other: before and after a setting, a firmware, another SSD.

use crate::{
    Analysis, Cell, Metric, RunAnalysis,
    figure::{change, plain},
    stats::{PairedRatio, Percentile, UnpairedRatio, paired_ratio, unpaired_ratio},
    verdict,
};
use record::SessionManifest;
use serde_json::Value;
use std::{collections::BTreeSet, fmt::Write as _};

/// What changes from one session to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The names of both sessions.
    pub sessions: [String; 2],
    /// By which factor the second session's figures differ, cell by cell.
    pub cells: Vec<CellChange>,
    /// The same over all cells that both sessions have.
    pub overall: Vec<OverallChange>,
    /// In what the sessions themselves differ: target, host, device, plan.
    pub differences: Vec<Difference>,
    /// What must be known to read it.
    pub notes: Vec<String>,
}

/// A figure of a cell in both sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct CellChange {
    /// The cell: phase, users, arm.
    pub cell: (String, u32, Option<String>),
    /// Of what.
    pub metric: Metric,
    /// Which percentile of it.
    pub percentile: Percentile,
    /// The pooled percentile in each session, in milliseconds.
    pub values_ms: [f64; 2],
    /// The second over the first.
    pub change: UnpairedRatio,
    /// A gate failed in all of its runs, in one session or both.
    pub invalid: bool,
}

/// A figure over all cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverallChange {
    /// Of what.
    pub metric: Metric,
    /// Which percentile of it.
    pub percentile: Percentile,
    /// The second over the first, a pair a cell.
    pub change: PairedRatio,
}

/// A field in which two sessions' manifests differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The field: `host.kernel`.
    pub field: String,
    /// What each says; absent where one has no such field.
    pub values: [Option<String>; 2],
}

const FIGURES: [(Metric, Percentile); 4] = [
    (Metric::Ttft, Percentile::P50),
    (Metric::Ttft, Percentile::P99),
    (Metric::E2e, Percentile::P50),
    (Metric::E2e, Percentile::P99),
];

/// Compares two sessions. Their runs were not made back to back, so that what changed on the
/// machine in between looks like an effect; the differences of the manifests say what is known of
/// that.
pub fn compare(a: &Analysis, b: &Analysis) -> Comparison {
    let mut comparison = Comparison {
        sessions: [a, b].map(|it| it.session.session.clone()),
        cells: Vec::new(),
        overall: Vec::new(),
        differences: differences(&a.session, &b.session),
        notes: vec![
            "The two sessions were not interleaved: a drift of the machine between them looks like an effect.".to_owned(),
        ],
    };
    let key = |cell: &Cell| (cell.phase.clone(), cell.users, cell.arm.clone());
    let mut unmatched = Vec::new();
    let mut pairs: Vec<(&Cell, &Cell)> = Vec::new();
    for cell in &a.cells {
        match b.cells.iter().find(|other| key(other) == key(cell)) {
            Some(other) => pairs.push((cell, other)),
            None => unmatched.push(crate::table::name(cell)),
        }
    }
    let is_new = |cell: &&Cell| !a.cells.iter().any(|other| key(other) == key(cell));
    let new = b.cells.iter().filter(is_new).map(crate::table::name);
    for (which, cells) in [("first", unmatched), ("second", new.collect())] {
        if !cells.is_empty() {
            let note = format!("Only the {which} session has: {} users.", cells.join(", "));
            comparison.notes.push(note);
        }
    }
    comparison.notes.extend(unlike(a, b));
    if pairs.iter().any(|(a, b)| a.invalid || b.invalid) {
        let note = "A cell that is marked * has only runs in which a gate failed.";
        comparison.notes.push(note.to_owned());
    }
    for (metric, percentile) in FIGURES {
        let change = |&(first, second): &(&Cell, &Cell)| {
            let value = |cell: &Cell| Some(cell.spread(metric).percentile(percentile)?.value);
            Some(CellChange {
                cell: key(first),
                metric,
                percentile,
                values_ms: [value(first)?, value(second)?],
                invalid: first.invalid || second.invalid,
                change: unpaired_ratio(
                    &of_runs(a, first, metric, percentile),
                    &of_runs(b, second, metric, percentile),
                )?,
            })
        };
        let changes: Vec<CellChange> = pairs.iter().filter_map(change).collect();
        let values: Vec<(f64, f64)> = changes
            .iter()
            .map(|it| (it.values_ms[0], it.values_ms[1]))
            .collect();
        let overall = paired_ratio(&values).filter(|it| it.pairs > 1);
        comparison
            .overall
            .extend(overall.map(|change| OverallChange {
                metric,
                percentile,
                change,
            }));
        comparison.cells.extend(changes);
    }
    comparison
}

/// Why an effect cannot be that of one change, or is none at all.
fn unlike(a: &Analysis, b: &Analysis) -> Option<String> {
    let facts = |it: &Analysis| serde_json::to_value(&it.session).unwrap_or_default();
    if a.session.session == b.session.session && facts(a) == facts(b) {
        return Some("Both are the same session: there is nothing between them.".to_owned());
    }
    let lengths = |analysis: &Analysis| {
        let manifests = analysis.runs.iter().filter_map(|run| run.manifest.as_ref());
        let lengths = manifests.map(|it| (it.workload.prompt_tokens, it.workload.output_tokens));
        lengths.collect::<BTreeSet<_>>()
    };
    let differs = [
        ("experiment", a.session.experiment != b.session.experiment),
        ("model", a.session.target.model != b.session.target.model),
        (
            "kind of target",
            a.session.target.kind != b.session.target.kind,
        ),
        ("prompt and output lengths", lengths(a) != lengths(b)),
    ];
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    let differs: Vec<&str> = differs.map(|(what, _)| what).collect();
    (!differs.is_empty()).then(|| {
        format!(
            "They differ in {}: these are two different questions, and no figure above is the effect of a change.",
            differs.join(", ")
        )
    })
}

/// Each run's own percentile.
fn of_runs(analysis: &Analysis, cell: &Cell, metric: Metric, percentile: Percentile) -> Vec<f64> {
    let runs = analysis
        .runs
        .iter()
        .filter(|run| cell.runs.contains(&run.id));
    let own = |run: &RunAnalysis| run.percentile(metric, percentile);
    runs.filter_map(own).collect()
}

/// Every field that differs, but those that differ in all sessions.
fn differences(a: &SessionManifest, b: &SessionManifest) -> Vec<Difference> {
    const OWN: [&str; 6] = [
        "session",
        "t0_mono_ns",
        "clock",
        "runs",
        "verdict",
        "host.boot_id",
    ];
    let mut found = Vec::new();
    let [a, b] = [a, b].map(|it| serde_json::to_value(it).unwrap_or_default());
    differ("", Some(&a), Some(&b), &mut found);
    found.retain(|difference| {
        let field = &difference.field;
        let is_own = |own: &&str| field == *own || field.starts_with(&format!("{own}."));
        !OWN.iter().any(is_own)
    });
    found
}

fn differ(field: &str, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    if let (Some(Value::Object(first)), Some(Value::Object(second))) = (a, b) {
        let mut names: Vec<&String> = first.keys().chain(second.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let inner = match field {
                "" => name.clone(),
                field => format!("{field}.{name}"),
            };
            differ(&inner, first.get(name), second.get(name), found);
        }
    } else if a != b {
        let said = |value: Option<&Value>| match value? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        found.push(Difference {
            field: field.to_owned(),
            values: [said(a), said(b)],
        });
    }
}

impl Comparison {
    /// For the terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!("{} → {}\n", self.sessions[0], self.sessions[1]);
        // Writing to a String can't fail.
        for it in &self.overall {
            let _ = writeln!(
                text,
                "  all cells, {:<9} {}",
                verdict::name(it.metric, it.percentile),
                estimate(
                    it.change.ratio,
                    it.change.interval,
                    it.change.pairs,
                    "cells"
                )
            );
        }
        for it in &self.cells {
            let (_, users, arm) = &it.cell;
            let arm = arm.as_ref().map_or(String::new(), |arm| format!(" {arm}"));
            let [runs_a, runs_b] = it.change.runs;
            let _ = writeln!(
                text,
                "  {:<15} {:<9} {:>8} → {:>8} ms  {}",
                format!("{users} users{arm}{}", if it.invalid { " *" } else { "" }),
                verdict::name(it.metric, it.percentile),
                plain(it.values_ms[0]),
                plain(it.values_ms[1]),
                estimate(
                    it.change.ratio,
                    it.change.interval,
                    runs_a.min(runs_b),
                    "runs each"
                )
            );
        }
        if self.cells.is_empty() {
            text.push_str("  the two sessions have no cell in common\n");
        }
        text.push_str("The sessions differ in:\n");
        for it in &self.differences {
            let [a, b] = it.values.each_ref().map(|it| it.as_deref().unwrap_or("–"));
            let _ = writeln!(text, "  {}: {a} → {b}", it.field);
        }
        if self.differences.is_empty() {
            text.push_str("  nothing that was recorded\n");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

fn estimate(ratio: f64, interval: Option<[f64; 2]>, n: usize, of: &str) -> String {
    match interval {
        Some([low, high]) => {
            let clear = if low > 1.0 || high < 1.0 {
                ""
            } else {
                ", not clear"
            };
            format!(
                "{} (95 % {} to {}, {n} {of}{clear})",
                change(ratio),
                change(low),
                change(high)
            )
        }
        None => format!("{} ({n} {of}: no interval)", change(ratio)),
    }
}
