//! The verdict of `tiers`: does what was said before come back sooner from a tier than computed again,
//! and what does the drive do to it?

use super::{
    Concluded, Findings, arms, limits,
    reads::{Reads, Share},
};
use crate::{
    Analysis, ArmEffect, Metric, Tier,
    arms::Blocks,
    figure::{milliseconds, percent, plain},
    stats::Percentile,
};
use record::VerdictKind;

/// Below this share of the first time's TTFT a replay was not computed again.
const KEPT: f64 = 0.8;

pub(super) fn conclude(
    analysis: &Analysis,
    blocks: Option<&Blocks>,
    findings: &mut Findings,
) -> Concluded {
    for tier in &analysis.tiers {
        said(tier, findings);
    }
    match blocks {
        Some(blocks) => compare(analysis, blocks, findings),
        None => as_it_runs(&analysis.tiers),
    }
}

fn said(tier: &Tier, findings: &mut Findings) {
    let ms = |value: Option<f64>| value.map_or("not known".to_owned(), milliseconds);
    let bytes = tier.replay.server_read_bytes.map_or(String::new(), |it| {
        format!("; the server reads {} MB for it", plain((it / 1e6).round()))
    });
    let counted = match tier.counted() {
        none if none.is_empty() => "its tiers counted nothing".to_owned(),
        counted => format!("its tiers counted {counted}"),
    };
    let words = format!(
        "{}, {} users: TTFT p50 {} the first time, {} again{bytes}; in a replay {counted}",
        tier.name(),
        tier.users,
        ms(tier.populate_ttft_ms),
        ms(tier.replay_ttft_ms),
    );
    findings.reason("TIER", tier.ratio.map(|it| it.ratio), words);
}

/// Configurations held against the one that comes first, replay by replay.
fn compare(analysis: &Analysis, blocks: &Blocks, findings: &mut Findings) -> Concluded {
    let effects = arms::strongest(analysis, blocks);
    for effect in &effects {
        arms::said(effect, findings);
    }
    let enough = |it: &&ArmEffect| it.effect.pairs >= limits::PAIRS;
    let usable: Vec<&ArmEffect> = effects.into_iter().filter(enough).collect();
    if usable.is_empty() {
        return arms::few_pairs(blocks);
    }
    let sure = |it: &ArmEffect| it.effect.p_value.unwrap_or(1.0) * usable.len() as f64 <= 0.05;
    let ttft = || {
        let all = usable.iter().copied();
        all.filter(|it| it.metric == Metric::Ttft && it.percentile == Percentile::P50)
    };
    let by_ratio = |a: &&ArmEffect, b: &&ArmEffect| a.effect.ratio.total_cmp(&b.effect.ratio);
    let slower = ttft().filter(|it| it.effect.ratio >= limits::LEAST_RATIO && sure(it));
    if let Some(worst) = slower.max_by(by_ratio) {
        let reads = Reads::of(analysis, blocks, &worst.arm);
        reads.said(findings);
        return arms::with_effect(worst, Some(&reads), &usable);
    }
    let faster = ttft().filter(|it| it.effect.ratio <= 1.0 / limits::LEAST_RATIO && sure(it));
    if let Some(best) = faster.min_by(by_ratio) {
        let reads = Reads::of(analysis, blocks, &best.arm);
        reads.said(findings);
        return gain(best, &reads);
    }
    if let Some(kept) = kept_without(analysis, blocks) {
        return kept;
    }
    arms::no_effect(&usable, blocks)
}

/// A configuration whose replays come sooner: what the baseline does instead is compute.
fn gain(best: &ArmEffect, reads: &Reads) -> Concluded {
    let [low, high] = best.effect.interval.unwrap_or([0.0, 1.0]);
    let from = match reads.share() {
        Share::Servers => "the server reads from the drive instead",
        Share::Unknown => "it has them from a tier, of which it is not known where it lies",
        Share::Nobodys | Share::OthersAlone | Share::OthersBeside(_) => "it has them in memory",
    };
    let pct = |ratio: f64| percent(100.0 * ratio);
    Concluded {
        kind: VerdictKind::ComputeBound,
        decision_grade: true,
        found: format!(
            "Without a tier replays wait for what is computed again: {} has the first token after {} of the time that {} takes (TTFT p50, 95 % {} to {}), since {from}.",
            best.arm,
            pct(best.effect.ratio),
            best.against,
            pct(low),
            pct(high)
        ),
        sure: format!(
            "{} pairs of replays, each on a start of the server of its own, of the same prompts.",
            best.effect.pairs
        ),
        would_change: "A model that computes its prompts faster than the tier reads them back: the tier saves while the device’s rate is above prefill tokens/s × bytes of KV a token.".to_owned(),
        to_try: "Keep the tier, where conversations come back; a faster drive shortens what is left of the wait only as far as that is reading.".to_owned(),
    }
}

/// The baseline itself did not compute again what it was asked again: no tier had anything to do.
fn kept_without(analysis: &Analysis, blocks: &Blocks) -> Option<Concluded> {
    let mut base = analysis
        .tiers
        .iter()
        .filter(|tier| tier.arm.as_deref() == Some(blocks.baseline.as_str()));
    let kept = |tier: &Tier| {
        let interval = tier.ratio.and_then(|it| it.interval);
        interval.is_some_and(|[_, high]| high < KEPT)
    };
    base.any(kept).then(|| Concluded {
        kind: VerdictKind::NoEffect,
        decision_grade: false,
        found: format!(
            "Nothing was pushed out: {} itself answers again sooner than the first time, from its pool on the device, and no tier has anything to do.",
            blocks.baseline
        ),
        sure: String::new(),
        would_change: "More pressure, or a smaller pool on the device.".to_owned(),
        to_try: "Raise the pressure phase’s prompts, or the length of prompts, until populate and pressure together exceed the pool.".to_owned(),
    })
}

/// One configuration: is what comes again computed again?
fn as_it_runs(tiers: &[Tier]) -> Concluded {
    let ratio = |tier: &Tier| Some((tier.ratio?, tier.ratio?.interval?));
    let Some((tier, (effect, [low, high]))) = tiers
        .iter()
        .filter_map(|tier| Some((tier, ratio(tier)?)))
        .find(|(_, (effect, _))| effect.pairs >= limits::PAIRS)
    else {
        return Concluded {
            kind: VerdictKind::Inconclusive,
            decision_grade: false,
            found: "Fewer than three replays can be held against their populate.".to_owned(),
            sure: String::new(),
            would_change: "Three repeats or more, measured to their end.".to_owned(),
            to_try: "More repeats, or resume the session.".to_owned(),
        };
    };
    let reads = tier.replay.server_read_bytes.is_some_and(|it| it >= 1e6);
    let pct = |ratio: f64| percent(100.0 * ratio);
    let what = format!(
        "Again the first token takes {} of the first time’s TTFT (95 % {} to {}, {} pairs)",
        pct(effect.ratio),
        pct(low),
        pct(high),
        effect.pairs
    );
    let (kind, found) = match (high < 1.0, reads) {
        (true, true) => (
            VerdictKind::Inconclusive,
            format!(
                "{what}, and the server reads from the drive for it; what it would take without is not known."
            ),
        ),
        (true, false) => (
            VerdictKind::NoEffect,
            format!(
                "{what}, and the server reads nothing from the drive for it: storage has no part in it."
            ),
        ),
        (false, true) => (
            VerdictKind::Inconclusive,
            format!(
                "{what}, though the server reads from the drive for it: reading is not clearly sooner than computing."
            ),
        ),
        (false, false) => (
            VerdictKind::ComputeBound,
            format!(
                "{what}, and the server reads nothing from the drive for it: it computes again."
            ),
        ),
    };
    Concluded {
        kind,
        decision_grade: false,
        found,
        sure:
            "One configuration, as it runs: nothing is compared but the first time and the second."
                .to_owned(),
        would_change: "A configuration to compare with.".to_owned(),
        to_try: "A target with a lifecycle and variants: [variants.NAME] in its file.".to_owned(),
    }
}
