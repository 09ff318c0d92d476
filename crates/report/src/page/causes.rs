//! The page's tables of effects, causes and the longest stalls.

use crate::{
    Analysis, ArmEffect, Cause, HostFigure, Metric, RunAnalysis, Stall,
    figure::{change, percent, plain},
    stats::Coincidence,
    table::ABSENT,
    verdict,
};

/// A row: words to the left, numbers to the right.
pub(super) struct Fields<const WORDS: usize, const NUMBERS: usize> {
    pub(super) words: [String; WORDS],
    pub(super) numbers: [String; NUMBERS],
}

/// A cell's stalls.
pub(super) struct CauseRow {
    pub(super) cell: String,
    pub(super) fields: [String; 7],
}

/// At most so many stalls are listed.
const LISTED: usize = 16;

fn maybe(text: Option<String>) -> String {
    text.unwrap_or_else(|| ABSENT.to_owned())
}

fn share(value: f64) -> String {
    percent(value).replace("\u{a0}%", "")
}

pub(super) fn effects(analysis: &Analysis) -> Vec<Fields<4, 5>> {
    let row = |it: &ArmEffect| {
        let users = it.users.map_or("all".to_owned(), |users| users.to_string());
        let interval = it.effect.interval;
        Fields {
            words: [
                it.arm.clone(),
                it.against.clone(),
                users,
                verdict::name(it.metric, it.percentile),
            ],
            numbers: [
                change(it.effect.ratio),
                maybe(interval.map(|[low, high]| format!("{} to {}", change(low), change(high)))),
                maybe(it.effect.detectable.map(change)),
                maybe(it.effect.p_value.map(plain)),
                it.effect.pairs.to_string(),
            ],
        }
    };
    analysis.effects.iter().map(row).collect()
}

pub(super) fn causes(analysis: &Analysis) -> Vec<CauseRow> {
    let row = |cause: &Cause| {
        let cell = cause.cell.as_ref().map(|(_, users, arm)| {
            let arm = arm.as_ref().map_or(String::new(), |arm| format!(", {arm}"));
            format!("{users} users{arm}")
        });
        let with = |value: f64, range: Option<[f64; 2]>| {
            let range = range.map_or(String::new(), |[low, high]| {
                format!(" [{}–{}]", share(100.0 * low), share(100.0 * high))
            });
            format!("{}{range}", share(100.0 * value))
        };
        let seen = |it: Coincidence| with(it.share, it.interval);
        let chance = |it: Coincidence| with(it.by_chance, Some(it.chance_range));
        CauseRow {
            cell: cell.unwrap_or_else(|| "all".to_owned()),
            fields: [
                cause.stalls.to_string(),
                plain(cause.total_s),
                maybe(cause.storage.map(seen)),
                maybe(cause.storage.map(chance)),
                maybe(cause.storage.map(|it| plain(it.p_value))),
                maybe(cause.memory.map(|it| share(100.0 * it.share))),
                maybe(cause.memory.map(|it| share(100.0 * it.by_chance))),
            ],
        }
    };
    analysis.causes.iter().map(row).collect()
}

/// The longest of all runs for which the host's figures were worked out.
pub(super) fn stalls(analysis: &Analysis) -> Vec<Fields<2, 10>> {
    let mut all: Vec<(&RunAnalysis, &Stall)> = analysis
        .runs
        .iter()
        .flat_map(|run| {
            let stalls = run.stalls.iter().flat_map(|stalls| &stalls.longest);
            stalls.map(move |stall| (run, stall))
        })
        .filter(|(_, stall)| stall.window.is_some())
        .collect();
    all.sort_by(|a, b| b.1.length_ms.total_cmp(&a.1.length_ms));
    all.truncate(LISTED);
    all.into_iter()
        .map(|(run, stall)| row(run, stall))
        .collect()
}

fn row(run: &RunAnalysis, stall: &Stall) -> Fields<2, 10> {
    let host = |figure| stall.window.as_ref()?.get(figure);
    let metric = match stall.metric {
        Metric::Ttft => "first token",
        _ => "gap",
    };
    Fields {
        words: [run.id.to_string(), metric.to_owned()],
        numbers: [
            stall.request.to_string(),
            plain(stall.start.as_secs_f64()),
            plain(stall.length_ms),
            maybe(stall.storage_wait.map(|it| share(100.0 * it))),
            maybe(host(HostFigure::ReadMbS).map(plain)),
            maybe(host(HostFigure::RAwaitMs).map(plain)),
            maybe(host(HostFigure::RefaultPagesS).map(plain)),
            maybe(host(HostFigure::MajfaultsS).map(plain)),
            maybe(host(HostFigure::PsiMemorySomePct).map(share)),
            maybe(host(HostFigure::GpuUtilPct).map(plain)),
        ],
    }
}
