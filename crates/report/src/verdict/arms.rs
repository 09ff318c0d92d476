//! The verdict of a comparison of arms: LoRA storms, a neighbour, tiers, eviction under a server.

use super::{
    Concluded, Findings, limits,
    reads::{Reads, Share},
};
use crate::{
    Analysis, ArmEffect, Metric,
    arms::Blocks,
    figure::{change, percent, plain},
    stats::Percentile,
};
use record::VerdictKind;

pub(super) fn compare(analysis: &Analysis, blocks: &Blocks, findings: &mut Findings) -> Concluded {
    let effects = strongest(analysis, blocks);
    for effect in &effects {
        said(effect, findings);
    }
    let bytes: Vec<Reads> = blocks
        .others
        .iter()
        .map(|arm| Reads::of(analysis, blocks, arm))
        .collect();
    for reads in &bytes {
        reads.said(findings);
    }
    if let Some(concluded) = nothing_read(blocks, &bytes) {
        return concluded;
    }
    let enough = |it: &&&ArmEffect| it.effect.pairs >= limits::PAIRS;
    let usable: Vec<&ArmEffect> = effects.iter().filter(enough).copied().collect();
    if usable.is_empty() {
        return few_pairs(blocks);
    }
    // Bonferroni: of several figures without an effect, one seems clear more often than one alone.
    let sure = |it: &&&ArmEffect| {
        let p_value = it.effect.p_value.unwrap_or(1.0) * usable.len() as f64;
        it.effect.ratio >= limits::LEAST_RATIO && p_value <= 0.05
    };
    let clear = usable.iter().filter(sure);
    let worst = clear.max_by(|a, b| a.effect.ratio.total_cmp(&b.effect.ratio));
    match worst {
        None => no_effect(&usable, blocks),
        Some(worst) => {
            let reads = bytes.iter().find(|reads| reads.arm == worst.arm);
            if reads.is_some_and(|it| matches!(it.share(), Share::Servers) && !it.has_mechanism()) {
                findings.doubt(
                    "MECHANISM_UNSEEN",
                    None,
                    "that the server reads is known, why it does is not: neither refaults, major faults, swap nor a KV tier move with it; files that it reads past the page cache move none of them",
                );
            }
            with_effect(worst, reads, &usable)
        }
    }
}

/// Each arm's effect on the figures that decide: the median and the tail of TTFT, and the median
/// of e2e, over all users where the session has several. Few, since each further one makes all of
/// them less sure.
pub(super) fn strongest<'a>(analysis: &'a Analysis, blocks: &Blocks) -> Vec<&'a ArmEffect> {
    let together = blocks.users().len() > 1;
    let all: Vec<&ArmEffect> = analysis
        .effects
        .iter()
        .filter(|it| it.users.is_none() == together)
        .collect();
    let pairs = |it: &ArmEffect| it.effect.pairs;
    let mut chosen = Vec::new();
    for arm in &blocks.others {
        let of = |metric, percentile| {
            let mut all = all.iter().copied();
            all.find(|it| it.arm == *arm && (it.metric, it.percentile) == (metric, percentile))
        };
        let median = of(Metric::Ttft, Percentile::P50);
        let most = median.map_or(0, pairs);
        // The highest percentile that every block supports.
        let tails = [Percentile::P99, Percentile::P95, Percentile::P90];
        let tail = tails
            .into_iter()
            .filter_map(|percentile| of(Metric::Ttft, percentile))
            .find(|it| pairs(it) == most);
        let whole = of(Metric::E2e, Percentile::P50);
        chosen.extend(median.into_iter().chain(tail).chain(whole));
    }
    chosen
}

pub(crate) fn name(metric: Metric, percentile: Percentile) -> String {
    let metric = match metric {
        Metric::Ttft => "TTFT",
        Metric::E2e => "e2e",
        other => other.name().trim_end_matches("_ms"),
    };
    format!("{metric} {percentile}")
}

/// How much longer, in words that suit it.
pub(crate) fn longer(ratio: f64) -> String {
    if ratio >= 2.0 {
        format!("{} times as long", plain(ratio))
    } else {
        format!("{} longer", percent((ratio - 1.0) * 100.0))
    }
}

pub(super) fn said(effect: &ArmEffect, findings: &mut Findings) {
    let it = &effect.effect;
    let interval = it.interval.map_or("no interval".to_owned(), |[low, high]| {
        format!("95 % {} to {}", change(low), change(high))
    });
    let detectable = it.detectable.map_or(String::new(), |least| {
        format!("; {} would have been seen", change(least))
    });
    let words = format!(
        "{} against {}, {}: {} ({interval}, {} pairs{detectable})",
        effect.arm,
        effect.against,
        name(effect.metric, effect.percentile),
        change(it.ratio),
        it.pairs
    );
    findings.reason("PAIRED_EFFECT", Some((it.ratio - 1.0) * 100.0), words);
}

/// Evicted under a running server, and nothing was read back: the weights are in memory already. By
/// the server's own reads; by the device's, which others share, only where those are not known.
fn nothing_read(blocks: &Blocks, bytes: &[Reads]) -> Option<Concluded> {
    let cold = bytes.iter().find(|reads| reads.arm == super::h1::COLD)?;
    let (read, whose) = match (cold.server, cold.device) {
        (Some(server), _) => (server, "the server"),
        (None, Some(device)) => (device, "anyone, from the device,"),
        (None, None) => return None,
    };
    // Less than a tenth of a megabyte a second is housekeeping.
    (read.arm_mb_s < limits::READS_MB_S / 10.0).then(|| Concluded {
        kind: VerdictKind::NoEffect,
        decision_grade: true,
        found: format!(
            "Evicting the model’s files under the running server changes nothing: bytes read = {} MB by {whose} in all cold runs together.",
            plain((read.arm_bytes / 1e6).round())
        ),
        sure: format!(
            "{} cold runs; a server that holds its weights in memory has nothing to read again.",
            blocks.runs(super::h1::COLD).count()
        ),
        would_change: "A server that maps its files and keeps no copy of its own.".to_owned(),
        to_try: "H1 with a target that may be restarted: it measures what a cold start costs.".to_owned(),
    })
}

pub(super) fn few_pairs(blocks: &Blocks) -> Concluded {
    Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: format!(
            "Too few blocks hold both {} and another arm to tell an effect from chance.",
            blocks.baseline
        ),
        sure: String::new(),
        would_change: "Three blocks or more in which both arms were measured to their end."
            .to_owned(),
        to_try: "More repeats, or resume the session.".to_owned(),
    }
}

pub(super) fn no_effect(usable: &[&ArmEffect], blocks: &Blocks) -> Concluded {
    let medians = usable.iter().filter(|it| it.percentile == Percentile::P50);
    let bound = |it: &&&ArmEffect| it.effect.interval.map_or(f64::INFINITY, |[_, high]| high);
    let widest = medians.max_by(|a, b| bound(a).total_cmp(&bound(b)));
    let words = widest.map_or(String::new(), |it| {
        let detectable = it.effect.detectable.map_or(String::new(), |least| {
            format!(
                ", and {} would have been seen four times in five",
                change(least)
            )
        });
        format!(
            ": {} changes by {} at most{detectable}",
            name(it.metric, it.percentile),
            change(bound(&it).max(1.0))
        )
    });
    if widest.is_some_and(|it| bound(&it) > limits::NONE_UP_TO) {
        return Concluded {
            kind: VerdictKind::Inconclusive,
            decision_grade: false,
            found: format!(
                "No clear effect of {} against {}, and none excluded{words}.",
                blocks.others.join(" and "),
                blocks.baseline
            ),
            sure: String::new(),
            would_change: "More blocks, or blocks that differ less.".to_owned(),
            to_try: "More repeats, longer phases, and a machine on which nothing else runs."
                .to_owned(),
        };
    }
    let faster = usable
        .iter()
        .any(|it| it.effect.interval.is_some_and(|[_, high]| high < 1.0));
    Concluded {
        kind: VerdictKind::NoEffect,
        decision_grade: !faster,
        found: format!(
            "{} cost no latency that shows against {}{words}.",
            blocks.others.join(" and "),
            blocks.baseline
        ),
        sure: if faster {
            "An arm is even faster than the baseline: look for an effect of order.".to_owned()
        } else {
            "Pairs of blocks, each arm in both orders; the bound is the upper end of the 95 % interval.".to_owned()
        },
        would_change: "More of what the arm does (adapters, neighbours, context), or more repeats for a smaller effect.".to_owned(),
        to_try: "Nothing on account of this: the arm is not what holds the server back.".to_owned(),
    }
}

pub(super) fn with_effect(
    worst: &ArmEffect,
    reads: Option<&Reads>,
    usable: &[&ArmEffect],
) -> Concluded {
    let [low, high] = worst.effect.interval.unwrap_or([1.0; 2]);
    let what = format!(
        "{} makes {} {} {} in {} (95 % {} to {})",
        worst.arm,
        name(worst.metric, worst.percentile),
        longer(worst.effect.ratio),
        if worst.effect.ratio >= 2.0 {
            "as"
        } else {
            "than"
        },
        worst.against,
        change(low),
        change(high)
    );
    let sure = format!(
        "{} pairs, each within one block; p = {} after allowing for the {} figures that were compared.",
        worst.effect.pairs,
        plain(worst.effect.p_value.unwrap_or(1.0) * usable.len() as f64),
        usable.len()
    );
    let of = |kind, decision_grade, tail: &str, change: &str, to_try: &str| Concluded {
        kind,
        decision_grade,
        found: format!("{what}{tail}"),
        sure: sure.clone(),
        would_change: change.to_owned(),
        to_try: to_try.to_owned(),
    };
    let others = reads.map_or("others", |reads| reads.others);
    match reads.map_or(Share::Unknown, Reads::share) {
        Share::Servers => of(
            VerdictKind::StorageBound,
            true,
            ", and the server reads more from the device in it: the storage costs the time.",
            "The same arm from a device or cache that is faster, without the effect.",
            "Keep what the arm reads in memory, or put it on a faster device, and compare again.",
        ),
        Share::OthersBeside(server) => of(
            VerdictKind::StorageBound,
            // Others that the plan did not plant may be there by chance.
            reads.is_some_and(|reads| reads.planted),
            &format!(
                ": {others} read the device, and the server, which reads {} MB/s from it, waits for its turn.",
                plain(server)
            ),
            "The same arm with the server’s files on another device, without the effect.",
            "Put the server’s files, or what reads beside it, on a device of its own, or limit the other’s rate (io.max).",
        ),
        Share::OthersAlone => of(
            VerdictKind::ComputeBound,
            true,
            &format!(
                "; {others} read the device, but the server itself reads nothing from it: the cost is not storage’s, but of CPU or memory that they share."
            ),
            "Reads of the server’s own in the arm.",
            "Look at what the two share beside the device: CPUs, memory bandwidth, the page cache.",
        ),
        Share::Nobodys => of(
            VerdictKind::ComputeBound,
            true,
            ", but the server reads nothing more from the device: the cost is the server’s work, not storage.",
            "Reads that rise in the arm.",
            "Look at the server’s handling of it: batching, kernels, memory copies.",
        ),
        Share::Unknown => of(
            VerdictKind::Inconclusive,
            false,
            "; whether by storage cannot be told, since the device’s reads, or the server’s own, were not recorded.",
            "Device reads, and the server’s share of them, in each arm.",
            "Name the server’s process to the target so that its reads are watched.",
        ),
    }
}
