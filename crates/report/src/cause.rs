//! Whether stalls come with waits for storage, more than chance would have it.

use crate::{
    RunAnalysis,
    stats::{Coincidence, Stretch, coincidence},
};
use std::collections::BTreeMap;

/// The stalls of a cell, or of the session, beside what the host waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The phase, the users and the arm; absent for all cells together.
    pub cell: Option<(String, u32, Option<String>)>,
    /// How many stalls.
    pub stalls: usize,
    /// Their time, summed over requests.
    pub total_s: f64,
    /// The share of stall time in which some task waited for storage; absent without stalls, or
    /// where waits were not recorded.
    pub storage: Option<Coincidence>,
    /// The share of stall time in which some task waited for memory.
    pub memory: Option<Coincidence>,
}

impl Cause {
    /// Whether stalls coincide with waits for storage so much more than chance has it that the
    /// waits can matter: by ten points of a hundred, and once in a hundred sessions by chance.
    pub fn storage_is_clear(&self) -> bool {
        self.storage
            .is_some_and(|it| it.share - it.by_chance >= 0.1 && it.p_value <= 0.01)
    }
}

/// All cells together first, then each.
pub(crate) fn of(runs: &[RunAnalysis]) -> Vec<Cause> {
    let mut cells: BTreeMap<(String, u32, Option<String>), Vec<&RunAnalysis>> = BTreeMap::new();
    let mut all = Vec::new();
    for run in runs
        .iter()
        .filter(|run| run.counts() && run.stalls.is_some())
    {
        if let Some(manifest) = &run.manifest {
            let key = (manifest.phase.clone(), manifest.users, manifest.arm.clone());
            cells.entry(key).or_default().push(run);
            all.push(run);
        }
    }
    if all.is_empty() {
        return Vec::new();
    }
    let mut causes = vec![one(None, &all)];
    causes.extend(cells.into_iter().map(|(cell, runs)| one(Some(cell), &runs)));
    causes
}

fn one(cell: Option<(String, u32, Option<String>)>, runs: &[&RunAnalysis]) -> Cause {
    let stalls = || runs.iter().filter_map(|run| run.stalls.as_ref());
    let stretches = |of: fn(&crate::Stalls) -> &Stretch| -> Vec<Stretch> {
        stalls().map(|stalls| of(stalls).clone()).collect()
    };
    Cause {
        cell,
        stalls: stalls().map(|stalls| stalls.count).sum(),
        total_s: stalls().map(|stalls| stalls.total_s).sum(),
        storage: coincidence(&stretches(|stalls| &stalls.storage)),
        memory: coincidence(&stretches(|stalls| &stalls.memory)),
    }
}
