//! KV tiers: what comes again, beside what was asked for the first time, by configuration.

use crate::{
    Cell, Metric, Moved, RunAnalysis,
    figure::plain,
    stats::{PairedRatio, Percentile, paired_ratio},
    table::{ABSENT, Heading, Table, heading},
};

/// The phase whose prompts are new.
const POPULATE: &str = "populate";
/// The phase that asks for them again: what arms are compared by.
pub(crate) const REPLAY: &str = "replay";

/// One configuration of the server, with so many users.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// The number of users.
    pub users: u32,
    /// The arm; absent where the server was measured as it ran.
    pub arm: Option<String>,
    /// The median TTFT of prompts that were new, all repeats pooled, in milliseconds.
    pub populate_ttft_ms: Option<f64>,
    /// The same of those prompts again.
    pub replay_ttft_ms: Option<f64>,
    /// The median TTFT of the replay over that of the populate, each pair on one start of the server.
    pub ratio: Option<PairedRatio>,
    /// What a replay moved, on the mean of the repeats.
    pub replay: Moved,
}

/// The configurations of a session that replays; none of another.
pub(crate) fn of(runs: &[RunAnalysis], cells: &[Cell]) -> Vec<Tier> {
    let replays = cells.iter().filter(|cell| cell.phase == REPLAY);
    replays.map(|cell| tier(cell, runs, cells)).collect()
}

fn tier(replay: &Cell, runs: &[RunAnalysis], cells: &[Cell]) -> Tier {
    let (users, arm) = (replay.users, &replay.arm);
    let populate = cells
        .iter()
        .find(|cell| cell.phase == POPULATE && cell.users == users && cell.arm == *arm);
    let median = |cell: &Cell| Some(cell.spread(Metric::Ttft).percentile(Percentile::P50)?.value);
    let of_phase = |phase: &'static str| {
        runs.iter().filter(move |run| {
            let is_it =
                |it: &record::RunManifest| it.phase == phase && it.users == users && it.arm == *arm;
            run.counts() && run.manifest.as_ref().is_some_and(is_it)
        })
    };
    let ttft = |run: &RunAnalysis| run.percentile(Metric::Ttft, Percentile::P50);
    let repeat = |run: &RunAnalysis| run.manifest.as_ref().map(|it| it.repeat);
    let pairs: Vec<(f64, f64)> = of_phase(REPLAY)
        .filter_map(|again| {
            let first = of_phase(POPULATE).find(|it| repeat(it) == repeat(again))?;
            Some((ttft(first)?, ttft(again)?))
        })
        .collect();
    Tier {
        users,
        arm: arm.clone(),
        populate_ttft_ms: populate.and_then(median),
        replay_ttft_ms: median(replay),
        ratio: paired_ratio(&pairs),
        replay: Moved::mean(of_phase(REPLAY).map(|run| &run.moved)),
    }
}

impl Tier {
    /// Its name, among others.
    pub(crate) fn name(&self) -> &str {
        self.arm.as_deref().unwrap_or("as it runs")
    }

    /// What its tiers counted in a replay, in words; empty if they counted nothing.
    pub(crate) fn counted(&self) -> String {
        let counters = self.replay.tier_counters.iter();
        let moved: Vec<String> = counters
            .filter(|(_, grown)| **grown > 0.0)
            .map(|(name, grown)| format!("{name} {}", plain(*grown)))
            .collect();
        moved.join(", ")
    }
}

const HEADER: [Heading; 6] = [
    heading("users", ""),
    heading("populate", "TTFT p50, ms"),
    heading("replay", "TTFT p50, ms"),
    heading("replay/populate", "[95 %]"),
    heading("device read", "MB a replay"),
    heading("server read", "MB a replay"),
];

/// The configurations as a table; absent where nothing was replayed.
pub(crate) fn table(tiers: &[Tier]) -> Option<Table> {
    (!tiers.is_empty()).then(|| Table {
        header: HEADER.to_vec(),
        rows: tiers.iter().map(row).collect(),
    })
}

fn row(tier: &Tier) -> Vec<String> {
    let maybe = |text: Option<String>| text.unwrap_or_else(|| ABSENT.to_owned());
    let number = |value: Option<f64>| maybe(value.map(plain));
    let megabytes = |bytes: Option<f64>| number(bytes.map(|it| (it / 1e5).round() / 10.0));
    let ratio = tier.ratio.map(|it| match it.interval {
        Some([low, high]) => format!("{} [{}–{}]", plain(it.ratio), plain(low), plain(high)),
        None => plain(it.ratio),
    });
    vec![
        format!("{} {}", tier.users, tier.name()),
        number(tier.populate_ttft_ms),
        number(tier.replay_ttft_ms),
        maybe(ratio),
        megabytes(tier.replay.device_read_bytes),
        megabytes(tier.replay.server_read_bytes),
    ]
}
