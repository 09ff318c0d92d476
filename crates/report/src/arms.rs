//! Arms of a comparison, held against each other block by block.

use crate::{
    Metric, RunAnalysis,
    stats::{PairedRatio, Percentile, paired_ratio},
    tiers,
};
use std::collections::BTreeMap;

/// By how much an arm's latency differs from the baseline's, over all blocks that hold both.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmEffect {
    /// The number of users; absent where the blocks of all of them are taken together.
    pub users: Option<u32>,
    /// The arm.
    pub arm: String,
    /// The arm that it is held against.
    pub against: String,
    /// Of what.
    pub metric: Metric,
    /// Which percentile of it.
    pub percentile: Percentile,
    /// The effect.
    pub effect: PairedRatio,
}

/// The metrics that arms are compared by.
const METRICS: [Metric; 3] = [Metric::Ttft, Metric::E2e, Metric::Tpot];

/// The arms that others are held against, by name, the first that is there.
const BASELINES: [&str; 4] = ["base", "warm", "none", "off"];

/// Runs by users and block, each with its arms.
pub(crate) struct Blocks<'a> {
    pub(crate) baseline: String,
    /// The other arms, as the plan orders them.
    pub(crate) others: Vec<String>,
    pub(crate) blocks: BTreeMap<(u32, u32), Vec<(&'a str, &'a RunAnalysis)>>,
}

impl<'a> Blocks<'a> {
    /// The blocks of the runs that count; nothing unless there are two arms. Where arms have several
    /// phases, they are held against each other by the replay.
    pub(crate) fn of(runs: &'a [RunAnalysis]) -> Option<Self> {
        let mut arms: Vec<&str> = Vec::new();
        let mut blocks: BTreeMap<(u32, u32), Vec<_>> = BTreeMap::new();
        let replays = |run: &RunAnalysis| {
            let manifest = run.manifest.as_ref();
            manifest.is_some_and(|it| it.phase == tiers::REPLAY)
        };
        let has_replays = runs.iter().any(replays);
        for run in runs.iter().filter(|run| !has_replays || replays(run)) {
            let Some(manifest) = &run.manifest else {
                continue;
            };
            let Some(arm) = manifest.arm.as_deref() else {
                continue;
            };
            if !arms.contains(&arm) {
                arms.push(arm);
            }
            if run.counts() {
                let block = manifest.block.unwrap_or(manifest.repeat);
                let block = blocks.entry((manifest.users, block)).or_default();
                block.push((arm, run));
            }
        }
        let known = BASELINES.into_iter().find(|name| arms.contains(name));
        let baseline = known.or(arms.first().copied())?.to_owned();
        let others: Vec<String> = arms
            .into_iter()
            .filter(|arm| *arm != baseline)
            .map(str::to_owned)
            .collect();
        (!others.is_empty()).then_some(Self {
            baseline,
            others,
            blocks,
        })
    }

    /// A value of the baseline and of another arm, for each block that has both. Several runs of
    /// one arm in a block (ABBA) enter by their geometric mean, which takes a steady drift out.
    pub(crate) fn pairs(
        &self,
        arm: &str,
        users: Option<u32>,
        value: impl Fn(&RunAnalysis) -> Option<f64>,
    ) -> Vec<(f64, f64)> {
        let of = |block: &Vec<(&str, &RunAnalysis)>, wanted: &str| {
            let logs: Vec<f64> = block
                .iter()
                .filter(|(arm, _)| *arm == wanted)
                .filter_map(|(_, run)| value(run).filter(|value| *value > 0.0))
                .map(f64::ln)
                .collect();
            (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
        };
        self.blocks
            .iter()
            .filter(|((of_block, _), _)| users.is_none_or(|users| users == *of_block))
            .filter_map(|(_, block)| Some((of(block, &self.baseline)?, of(block, arm)?)))
            .collect()
    }

    /// The numbers of users, ascending.
    pub(crate) fn users(&self) -> Vec<u32> {
        let mut users: Vec<u32> = self.blocks.keys().map(|(users, _)| *users).collect();
        users.dedup();
        users
    }

    /// The runs of one arm.
    pub(crate) fn runs(&self, arm: &str) -> impl Iterator<Item = &'a RunAnalysis> {
        let runs = self.blocks.values().flatten();
        runs.filter(move |(of, _)| *of == arm).map(|(_, run)| *run)
    }
}

/// Every arm's effect on every metric and percentile that its runs support.
pub(crate) fn effects(runs: &[RunAnalysis]) -> Vec<ArmEffect> {
    let Some(blocks) = Blocks::of(runs) else {
        return Vec::new();
    };
    let mut groups: Vec<Option<u32>> = blocks.users().into_iter().map(Some).collect();
    if groups.len() > 1 {
        groups.push(None);
    }
    let mut effects = Vec::new();
    for users in groups {
        for arm in &blocks.others {
            for metric in METRICS {
                for percentile in Percentile::REPORTED {
                    let pairs = blocks.pairs(arm, users, |run| run.percentile(metric, percentile));
                    let effect = paired_ratio(&pairs);
                    effects.extend(effect.map(|effect| ArmEffect {
                        users,
                        arm: arm.clone(),
                        against: blocks.baseline.clone(),
                        metric,
                        percentile,
                        effect,
                    }));
                }
            }
        }
    }
    effects
}
