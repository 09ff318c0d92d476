//! The verdict of a sweep over users.

use super::{Concluded, Findings, limits};
use crate::{
    Analysis, Cell, HostFigure,
    figure::{percent, plain},
};
use record::VerdictKind;

/// The five parts of the rule, each true, false or not to be told. The fifth, a controlled
/// comparison, no sweep can have.
struct Rule {
    waits: Option<bool>,
    reads: Option<bool>,
    owned: Option<bool>,
    mechanism: Option<Mechanism>,
    not_queue: Option<bool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mechanism {
    /// Pages that were evicted come back.
    Memory,
    /// A lower tier of the KV cache is read.
    Tier,
    /// No counter moves.
    None,
}

pub(super) fn sweep(analysis: &Analysis, findings: &mut Findings) -> Concluded {
    let cells: Vec<&Cell> = analysis.cells.iter().filter(|cell| !cell.invalid).collect();
    knees(analysis, findings);
    let rule = Rule::of(analysis, &cells, findings);
    if let Some(concluded) = rule.storage(analysis, findings) {
        return concluded;
    }
    super::full::without_storage(analysis, &cells, findings)
}

fn knees(analysis: &Analysis, findings: &mut Findings) {
    let said = |knee: crate::UsersKnee| {
        format!(
            "{} users (95 % {}–{})",
            plain(knee.users),
            plain(knee.interval[0]),
            plain(knee.interval[1])
        )
    };
    if let Some(knee) = analysis.knees.queue {
        let words = format!("throughput stops growing at {}", said(knee));
        findings.reason("QUEUE_KNEE", Some(knee.users), words);
    }
    if let Some(knee) = analysis.knees.storage {
        let words = format!("waits for I/O begin to grow at {}", said(knee));
        findings.reason("STORAGE_KNEE", Some(knee.users), words);
    }
    if let Some(users) = analysis.knees.little_users {
        let words = format!(
            "by Little’s law the greatest throughput serves {} users without one waiting for another",
            plain(users)
        );
        findings.reason("LITTLE_USERS", Some(users), words);
    }
}

/// The cell with the greatest value of a figure.
pub(super) fn greatest<'a>(cells: &[&'a Cell], figure: HostFigure) -> Option<(&'a Cell, f64)> {
    let values = cells
        .iter()
        .filter_map(|cell| Some((*cell, cell.host.get(figure)?)));
    values.max_by(|a, b| a.1.total_cmp(&b.1))
}

impl Rule {
    fn of(analysis: &Analysis, cells: &[&Cell], findings: &mut Findings) -> Self {
        let overall = analysis.causes.first();
        let pressure = greatest(cells, HostFigure::PsiIoSomePct);
        let pressure = pressure.or_else(|| greatest(cells, HostFigure::IowaitPct));
        if let Some((cell, share)) = pressure {
            let words = format!(
                "some task waited for I/O in at most {} of the time, with {} users",
                percent(share),
                cell.users
            );
            findings.reason("STORAGE_WAITS", Some(share), words);
        }
        let stalls = overall.and_then(|cause| cause.storage);
        if let Some(it) = stalls {
            let words = format!(
                "{} of the stalls’ time coincides with waits for storage; chance would give {} (p = {})",
                percent(100.0 * it.share),
                percent(100.0 * it.by_chance),
                plain(it.p_value)
            );
            findings.reason("STALLS_WITH_STORAGE", Some(100.0 * it.share), words);
        }
        let stalls = overall.is_some_and(crate::Cause::storage_is_clear);
        let busy = pressure.map(|(_, share)| share >= limits::WAITS_PCT);
        let reading = greatest(cells, HostFigure::ReadMbS);
        Self {
            waits: busy.map(|busy| busy || stalls).or(stalls.then_some(true)),
            reads: reads(reading, findings),
            owned: reading.and_then(|(cell, rate)| owned(cell, rate, findings)),
            mechanism: reading.and_then(|(cell, rate)| mechanism(analysis, cell, rate, findings)),
            not_queue: not_queue(cells, stalls, findings),
        }
    }

    /// The verdict where storage or memory shows; nothing where it does not.
    fn storage(&self, analysis: &Analysis, findings: &mut Findings) -> Option<Concluded> {
        if self.waits == Some(false) || self.reads == Some(false) || self.owned == Some(false) {
            return None;
        }
        if self.waits.is_none() || self.reads.is_none() {
            return Some(unknown(analysis, findings));
        }
        match (self.owned, self.mechanism, self.not_queue) {
            (Some(true), Some(Mechanism::Memory), Some(true)) => Some(memory(analysis, findings)),
            (Some(true), Some(Mechanism::Tier), Some(true)) => Some(tier(findings)),
            _ => Some(self.unexplained(findings)),
        }
    }

    fn unexplained(&self, findings: &mut Findings) -> Concluded {
        let mut missing = Vec::new();
        if self.owned.is_none() {
            missing.push(
                "whose reads these are (the server’s processes or control group were not watched)",
            );
            findings.doubt(
                "IO_ATTRIBUTION_MISSING",
                None,
                "the server’s own reads were not recorded",
            );
        }
        match self.mechanism {
            None => missing.push("why the server reads (no counter of memory or tiers was recorded)"),
            Some(Mechanism::None) => missing.push(
                "why the server reads: neither refaults, major faults, swap nor a KV tier account for it",
            ),
            _ => {}
        }
        if self.not_queue != Some(true) {
            missing.push("whether the server’s queue explains the latency instead");
        }
        Concluded {
            kind: VerdictKind::Inconclusive,
            decision_grade: false,
            found: format!(
                "The device is read and waited for while the server works, but it is not shown that this shapes the latency: the records do not tell {}.",
                missing.join(", nor ")
            ),
            sure: String::new(),
            would_change: "Those counters, or a comparison in which only the storage differs.".to_owned(),
            to_try: "Name the server’s process to the target so that its reads are watched, and run H1 or the tiers plan, which change the storage alone.".to_owned(),
        }
    }
}

fn reads(reading: Option<(&Cell, f64)>, findings: &mut Findings) -> Option<bool> {
    let (cell, rate) = reading?;
    let words = format!(
        "the device under test is read at {} MB/s at most, with {} users",
        plain(rate),
        cell.users
    );
    findings.reason("DEVICE_READS", Some(rate), words);
    Some(rate >= limits::READS_MB_S)
}

/// The greater of what the processes and the control group read: either may miss a part.
fn owned(cell: &Cell, rate: f64, findings: &mut Findings) -> Option<bool> {
    let [process, cgroup] =
        [HostFigure::ServerReadMbS, HostFigure::CgroupReadMbS].map(|it| cell.host.get(it));
    let server = process.into_iter().chain(cgroup).reduce(f64::max)?;
    let share = if rate > 0.0 { server / rate } else { 0.0 };
    let words = format!(
        "the server caused {} of these reads",
        percent(100.0 * share.min(1.0))
    );
    findings.reason("SERVER_READS", Some(100.0 * share), words);
    // With hardly a read, whose they are decides nothing.
    (rate >= limits::READS_MB_S).then_some(share >= limits::OWNED)
}

fn mechanism(
    analysis: &Analysis,
    cell: &Cell,
    rate: f64,
    findings: &mut Findings,
) -> Option<Mechanism> {
    let get = |figure| cell.host.get(figure);
    let page = analysis.session.host.page_size_bytes as f64;
    let refaults = get(HostFigure::RefaultPagesS).map(|pages| pages * page / 1e6);
    let majfaults = get(HostFigure::ServerMajfaultsS).or(get(HostFigure::MajfaultsS));
    let swapin = get(HostFigure::SwapinPagesS);
    let onboard = get(HostFigure::KvOnboardMbS);
    let mut say = |code: &str, value: Option<f64>, what: &str| {
        if let Some(value) = value.filter(|value| *value > 0.0) {
            findings.reason(code, Some(value), format!("{} {what}", plain(value)));
        }
    };
    say(
        "REFAULTS",
        refaults,
        "MB/s of pages were read back soon after their eviction",
    );
    say("MAJOR_FAULTS", majfaults, "page faults a second needed I/O");
    say("SWAP_IN", swapin, "pages a second were swapped in");
    say(
        "KV_ONBOARD",
        onboard,
        "MB/s of KV cache came back from a lower tier",
    );
    let at_least = |value: Option<f64>, limit: f64| value.is_some_and(|value| value >= limit);
    let share = limits::MECHANISM * rate.max(limits::READS_MB_S);
    if at_least(refaults, share)
        || at_least(majfaults, limits::MAJFAULTS_S)
        || at_least(swapin, limits::SWAPIN_PAGES_S)
    {
        return Some(Mechanism::Memory);
    }
    if at_least(onboard, share) {
        return Some(Mechanism::Tier);
    }
    let any = [refaults, majfaults, swapin, onboard];
    any.iter().any(Option::is_some).then_some(Mechanism::None)
}

/// A queue can't explain waits that are there with one or two users, that come with an idle queue,
/// or that fall between the tokens of requests that were admitted long before.
fn not_queue(cells: &[&Cell], stalls: bool, findings: &mut Findings) -> Option<bool> {
    let fewest = cells.iter().min_by_key(|cell| cell.users)?;
    let waits = fewest.host.get(HostFigure::PsiIoSomePct);
    let alone = fewest.users <= 2 && waits.is_some_and(|waits| waits >= limits::WAITS_PCT);
    let queue = greatest(cells, HostFigure::ServerWaiting).map(|(_, waiting)| waiting);
    if let Some(waiting) = queue {
        let words = format!(
            "at most {} requests waited in the server, mean of a cell",
            plain(waiting)
        );
        findings.reason("SERVER_QUEUE", Some(waiting), words);
    }
    if alone || stalls {
        return Some(true);
    }
    queue.map(|waiting| waiting < limits::WAITING)
}

fn memory(analysis: &Analysis, findings: &mut Findings) -> Concluded {
    no_comparison(findings);
    let swap = analysis.session.host.swap_total_bytes.unwrap_or_default() > 0;
    Concluded {
        kind: VerdictKind::MemoryPressure,
        decision_grade: false,
        found: "Memory runs short: the kernel evicts pages that the server needs again, and users wait while they are read back from the device.".to_owned(),
        sure: "The device is read, the reads are the server’s, the kernel counts pages that came back, and the waits are there without a queue.".to_owned(),
        would_change: "Waits that stay when the server has the memory it needs.".to_owned(),
        to_try: format!(
            "Give the server more memory, or it a smaller model, context or KV cache{}; then repeat the sweep and compare the two sessions.",
            if swap { ", and look at swap" } else { "" }
        ),
    }
}

fn tier(findings: &mut Findings) -> Concluded {
    no_comparison(findings);
    Concluded {
        kind: VerdictKind::StorageBound,
        decision_grade: false,
        found: "Users wait for storage: the server brings KV cache back from a lower tier, and latency follows the waits for the device.".to_owned(),
        sure: "The device is read, the reads are the server’s, its tier counters move, and its queue does not explain the waits.".to_owned(),
        would_change: "A comparison with and without the tier that shows no difference.".to_owned(),
        to_try: "Run the tiers plan, which holds the same workload against both; then a faster device, or a larger tier in memory.".to_owned(),
    }
}

fn no_comparison(findings: &mut Findings) {
    findings.doubt(
        "NO_CONTROLLED_COMPARISON",
        None,
        "a sweep changes users and storage together; only a comparison in which the storage alone differs proves the cause",
    );
}

fn unknown(analysis: &Analysis, findings: &mut Findings) -> Concluded {
    let missing = match &analysis.session.device.why_not {
        Some(why) => format!("there is no device under test: {why}"),
        None => "the host’s waits for I/O or the device’s reads were not recorded".to_owned(),
    };
    findings.doubt("TELEMETRY_MISSING", None, missing.clone());
    Concluded {
        kind: VerdictKind::Inconclusive,
        decision_grade: false,
        found: format!("Whether storage matters cannot be told: {missing}."),
        sure: String::new(),
        would_change: "Telemetry of the device that holds the model’s files.".to_owned(),
        to_try: "Name a path on the device under test in the plan’s target; `spillpoint doctor` says what else is missing.".to_owned(),
    }
}
