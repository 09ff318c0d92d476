//! The verdict of H1: a model loaded cold against one loaded warm.

use super::{Concluded, Findings, limits};
use crate::{
    Analysis, RunAnalysis,
    arms::Blocks,
    figure::{percent, plain},
    stats::{PairedRatio, paired_ratio},
};
use record::{ModelLoad, VerdictKind};

pub(crate) const COLD: &str = "cold";

/// Seconds from the server's start to a step.
pub(crate) fn seconds_to(load: &ModelLoad, step: Option<clock::SessionNs>) -> Option<f64> {
    let seconds = (step? - load.started_ns) as f64 / 1e9;
    (seconds > 0.0).then_some(seconds)
}

pub(crate) fn to_first_token(run: &RunAnalysis) -> Option<f64> {
    let load = run.manifest.as_ref()?.model_load.as_ref()?;
    seconds_to(load, load.first_token_ns.or(load.healthy_ns))
}

/// Whether the files were as cold, or as warm, as the arm says.
fn is_proven(run: &RunAnalysis) -> bool {
    let Some(manifest) = &run.manifest else {
        return false;
    };
    let resident = manifest
        .model_load
        .as_ref()
        .and_then(|it| it.resident_before_pct);
    match manifest.arm.as_deref() {
        Some(COLD) => resident.is_some_and(|pct| pct < limits::COLD_PCT),
        _ => resident.is_some_and(|pct| pct > limits::WARM_PCT),
    }
}

pub(super) fn loads(analysis: &Analysis, blocks: &Blocks, findings: &mut Findings) -> Concluded {
    let unproven = analysis
        .runs
        .iter()
        .filter(|run| run.counts() && to_first_token(run).is_some() && !is_proven(run))
        .count();
    if unproven > 0 {
        let words = format!(
            "{unproven} loads are left out: their files’ cache state is not proven (cold below 1 %, warm above 95 % resident)"
        );
        findings.doubt("CACHE_STATE_UNPROVEN", Some(unproven as f64), words);
    }
    let value = |run: &RunAnalysis| to_first_token(run).filter(|_| is_proven(run));
    let pairs = blocks.pairs(COLD, None, value);
    let Some(effect) = paired_ratio(&pairs) else {
        return nothing_to_pair(unproven);
    };
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
    let (warm_s, cold_s) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let bytes = bytes(blocks, findings);
    effect_said(&effect, warm_s, cold_s, findings);
    if effect.pairs < limits::PAIRS {
        return few_pairs(&effect, warm_s, cold_s);
    }
    concluded(&effect, warm_s, cold_s, &bytes)
}

/// What the loads read, as a share of the model: by the server's own count, or by the device's, which
/// others share, where that is not known. Whose the cold ones' reads are, and how fast.
struct Bytes {
    cold_share: Option<f64>,
    warm_share: Option<f64>,
    owned: Option<bool>,
    rate: String,
}

fn bytes(blocks: &Blocks, findings: &mut Findings) -> Bytes {
    let loads = |arm: &str| -> Vec<&ModelLoad> {
        let manifests = blocks
            .runs(arm)
            .filter(|run| is_proven(run))
            .filter_map(|run| run.manifest.as_ref());
        manifests
            .filter_map(|manifest| manifest.model_load.as_ref())
            .collect()
    };
    let (cold, warm) = (loads(COLD), loads(&blocks.baseline));
    let owns = cold
        .iter()
        .chain(&warm)
        .all(|load| load.server_read_bytes.is_some());
    let share = |loads: &[&ModelLoad]| {
        mean(loads.iter().filter_map(|load| {
            let read = match owns {
                true => load.server_read_bytes?,
                false => load.device_read_bytes?,
            };
            (load.model_bytes > 0).then(|| read as f64 / load.model_bytes as f64)
        }))
    };
    let whose = if owns {
        "the server’s own count"
    } else {
        "the device’s count"
    };
    let (cold_share, warm_share) = (share(&cold), share(&warm));
    for (code, arm, share) in [
        ("COLD_BYTES", "cold", cold_share),
        ("WARM_BYTES", "warm", warm_share),
    ] {
        if let Some(share) = share {
            let words = format!(
                "a {arm} load reads {} of the model’s size, by {whose}",
                percent(100.0 * share)
            );
            findings.reason(code, Some(100.0 * share), words);
        }
    }
    let owned = mean(cold.iter().filter_map(|load| {
        let device = load.device_read_bytes? as f64;
        (device > 0.0).then_some(load.server_read_bytes? as f64 / device)
    }));
    if let Some(share) = owned {
        let words = format!(
            "the server caused {} of the cold loads’ reads",
            percent(100.0 * share.min(1.0))
        );
        findings.reason("SERVER_READS", Some(100.0 * share), words);
    } else {
        findings.doubt(
            "IO_ATTRIBUTION_MISSING",
            None,
            "the server’s own reads were not recorded",
        );
    }
    Bytes {
        cold_share,
        warm_share,
        owned: owned.map(|share| share >= limits::OWNED),
        rate: rate(&cold, findings),
    }
}

/// How fast the cold loads read, beside what the device can do.
fn rate(cold: &[&ModelLoad], findings: &mut Findings) -> String {
    let rate = mean(cold.iter().filter_map(|load| {
        let seconds = seconds_to(load, load.weights_read_ns.or(load.healthy_ns))?;
        Some(load.device_read_bytes? as f64 / 1e6 / seconds)
    }));
    let ceiling = mean(cold.iter().filter_map(|load| load.ceiling_mb_s));
    let Some(rate) = rate else {
        return String::new();
    };
    let beside = ceiling.map_or(String::new(), |ceiling| {
        format!(
            ", {} of the {} MB/s that the device reads in sequence",
            percent(100.0 * rate / ceiling),
            plain(ceiling)
        )
    });
    let words = format!("a cold load reads {} MB/s{beside}", plain(rate));
    findings.reason("LOAD_RATE", Some(rate), words.clone());
    words
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn effect_said(effect: &PairedRatio, warm_s: f64, cold_s: f64, findings: &mut Findings) {
    let interval = effect
        .interval
        .map_or("no interval".to_owned(), |[low, high]| {
            format!("95 % {}–{}", plain(low), plain(high))
        });
    let words = format!(
        "to the first token a cold load takes {} s, a warm one {} s: {}× ({interval}, {} pairs)",
        plain(cold_s),
        plain(warm_s),
        plain(effect.ratio),
        effect.pairs
    );
    findings.reason("COLD_OVER_WARM", Some(effect.ratio), words);
}

fn concluded(effect: &PairedRatio, warm_s: f64, cold_s: f64, bytes: &Bytes) -> Concluded {
    let [low, high] = effect.interval.unwrap_or([0.0, f64::INFINITY]);
    let read_again = bytes.cold_share.is_some_and(|share| share >= 0.5);
    let more_than_warm = bytes
        .cold_share
        .zip(bytes.warm_share)
        .is_some_and(|(cold, warm)| cold > 2.0 * warm);
    let rate = if bytes.rate.is_empty() {
        String::new()
    } else {
        format!(" On average {}.", bytes.rate)
    };
    if low > 1.0 && read_again && more_than_warm {
        return Concluded {
            kind: VerdictKind::StorageBound,
            decision_grade: bytes.owned == Some(true),
            found: format!(
                "A cold start waits for the SSD: to its first token it takes {} s against {} s from the page cache, {} times as long (95 % {}–{}).{rate}",
                plain(cold_s),
                plain(warm_s),
                plain(effect.ratio),
                plain(low),
                plain(high)
            ),
            sure: format!(
                "{} pairs of starts that differ in the page cache alone; the cold ones read the model from the device, the warm ones do not.",
                effect.pairs
            ),
            would_change: "A loader that reads as fast as the device, or a device as fast as the loader: whichever of the two rates is lower sets the time.".to_owned(),
            to_try: "If the load’s rate is near the device’s ceiling, a faster SSD; if far below it, a loader that reads in larger pieces or in parallel. Keep the files cached between restarts.".to_owned(),
        };
    }
    let bound = (high.max(1.0) - 1.0) * 100.0;
    if low <= 1.0 && high > limits::NONE_UP_TO {
        return too_unlike(effect, warm_s, cold_s);
    }
    if low <= 1.0 {
        return Concluded {
            kind: VerdictKind::NoEffect,
            decision_grade: true,
            found: format!(
                "A cold start does not clearly take longer than a warm one: {} s against {} s; the difference is below {}.",
                plain(cold_s),
                plain(warm_s),
                percent(bound)
            ),
            sure: format!(
                "{} pairs; the bound is the upper end of their 95 % interval.",
                effect.pairs
            ),
            would_change: "A larger model, or a slower device.".to_owned(),
            to_try: "Look at what else a start spends its time on.".to_owned(),
        };
    }
    Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: format!(
            "A cold start takes {} times as long (95 % {}–{}), but it is not shown that it reads the model from the device.",
            plain(effect.ratio),
            plain(low),
            plain(high)
        ),
        sure: String::new(),
        would_change: "Bytes read from the device during each load.".to_owned(),
        to_try: "Resolve the device from the model’s path, and make sure that the eviction works (mincore).".to_owned(),
    }
}

/// No clear effect, and none excluded.
fn too_unlike(effect: &PairedRatio, warm_s: f64, cold_s: f64) -> Concluded {
    let [low, high] = effect.interval.unwrap_or([0.0, f64::INFINITY]);
    Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: format!(
            "A cold start took {} s, a warm one {} s, but the {} pairs are too unlike to tell: 95 % of {}–{} times as long.",
            plain(cold_s),
            plain(warm_s),
            effect.pairs,
            plain(low),
            plain(high)
        ),
        sure: String::new(),
        would_change: "More pairs, or a machine on which they differ less.".to_owned(),
        to_try: "More repeats, and look at what else ran during the starts.".to_owned(),
    }
}

fn few_pairs(effect: &PairedRatio, warm_s: f64, cold_s: f64) -> Concluded {
    Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: format!(
            "A cold start took {} s, a warm one {} s, in {} of the three pairs that it takes to tell an effect from chance.",
            plain(cold_s),
            plain(warm_s),
            effect.pairs
        ),
        sure: String::new(),
        would_change: "Three pairs or more.".to_owned(),
        to_try: "More repeats.".to_owned(),
    }
}

fn nothing_to_pair(unproven: usize) -> Concluded {
    let kind = if unproven > 0 {
        VerdictKind::Invalid
    } else {
        VerdictKind::Inconclusive
    };
    Concluded {
        kind,
        decision_grade: false,
        found: "No cold and warm start of one pair can be held against each other.".to_owned(),
        sure: String::new(),
        would_change: "Pairs whose cache state is proven and whose first token was seen.".to_owned(),
        to_try: "See the runs’ gates: eviction needs rights on the model’s files, and files that are mapped by another process stay.".to_owned(),
    }
}
