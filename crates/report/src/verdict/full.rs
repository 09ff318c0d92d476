//! The verdict of a sweep that storage does not explain: is the server full, and of what?

use super::{Concluded, Findings, h2::greatest, limits};
use crate::{
    Analysis, Cell, HostFigure, Metric,
    figure::{milliseconds, percent, plain},
    stats::Percentile,
};
use record::VerdictKind;

/// Storage is not the cause: what is?
pub(super) fn without_storage(
    analysis: &Analysis,
    cells: &[&Cell],
    findings: &mut Findings,
) -> Concluded {
    let bound = bound(cells, findings);
    let ends = ends(cells);
    let Some(Ends { first, last, .. }) = ends else {
        return Concluded {
            kind: VerdictKind::NoEffect,
            decision_grade: false,
            found: format!("Storage does not shape the latency here: {bound}."),
            sure: "With one number of users nothing is said of queue or compute.".to_owned(),
            would_change: "More users, longer contexts or less memory may bring storage in."
                .to_owned(),
            to_try: "A sweep over users.".to_owned(),
        };
    };
    let growth = ends.as_ref().map_or(1.0, Ends::efficiency);
    let words = format!(
        "from {} to {} users throughput grew to {} of what it would be if all were served as the first",
        first.users,
        last.users,
        percent(100.0 * growth)
    );
    findings.reason("EFFICIENCY", Some(100.0 * growth), words);
    let saturated = analysis.knees.queue.is_some() || growth < limits::EFFICIENCY;
    if !saturated {
        return Concluded {
            kind: VerdictKind::NoEffect,
            decision_grade: true,
            found: format!(
                "Storage does not shape the latency here: {bound}; and {} users still find a server that is not full.",
                last.users
            ),
            sure: "The bound is what was measured at the worst number of users.".to_owned(),
            would_change:
                "More users, longer contexts or less memory may bring storage or a queue in."
                    .to_owned(),
            to_try: "Sweep further up, or move on: the device is not what holds this server back."
                .to_owned(),
        };
    }
    saturation(&bound, first, last, analysis, findings)
}

struct Ends<'a> {
    first: &'a Cell,
    last: &'a Cell,
}

fn ends<'a>(cells: &[&'a Cell]) -> Option<Ends<'a>> {
    let with_rate = || {
        cells
            .iter()
            .filter(|cell| cell.requests_per_s.is_some_and(|it| it > 0.0))
    };
    let first = with_rate().min_by_key(|cell| cell.users)?;
    let last = with_rate().max_by_key(|cell| cell.users)?;
    (first.users < last.users).then_some(Ends { first, last })
}

impl Ends<'_> {
    fn efficiency(&self) -> f64 {
        let rate = |cell: &Cell| cell.requests_per_s.unwrap_or_default();
        let users = f64::from(self.last.users) / f64::from(self.first.users);
        rate(self.last) / rate(self.first) / users
    }
}

/// Full without storage: does the added time pass before the first token, or between tokens?
fn saturation(
    bound: &str,
    first: &Cell,
    last: &Cell,
    analysis: &Analysis,
    findings: &mut Findings,
) -> Concluded {
    let median = |cell: &Cell, metric| {
        let estimate = cell.spread(metric).percentile(Percentile::P50);
        estimate.map_or(0.0, |it| it.value)
    };
    let added = |metric| median(last, metric) - median(first, metric);
    let (before, whole) = (added(Metric::Ttft).max(0.0), added(Metric::E2e));
    let share = if whole > 0.0 {
        (before / whole).min(1.0)
    } else {
        0.0
    };
    let words = format!(
        "of the {} that the median request takes longer, {} pass before its first token",
        milliseconds(whole.max(0.0)),
        percent(100.0 * share)
    );
    findings.reason("ADDED_BEFORE_FIRST_TOKEN", Some(100.0 * share), words);
    let knee = analysis.knees.queue.map_or(String::new(), |knee| {
        format!(" from about {} users on", plain(knee.users))
    });
    let queue = share >= 0.5;
    let (kind, what, try_this) = if queue {
        (
            VerdictKind::QueueBound,
            format!(
                "Added users only wait{knee}: the server takes in no more at a time, and the rest stand before their first token"
            ),
            "Raise the server’s limit on concurrent requests if memory allows, or hold the load below the knee.",
        )
    } else {
        (
            VerdictKind::ComputeBound,
            format!(
                "The server is full{knee}: users share its compute, and the time between tokens grows"
            ),
            "A faster model, quantisation or accelerator; a faster device will not help.",
        )
    };
    Concluded {
        kind,
        decision_grade: true,
        found: format!("{what}. Storage does not explain it: {bound}."),
        sure: "Throughput and where the time passes come from the requests alone; the bound on storage from the worst number of users.".to_owned(),
        would_change: "A server with more room whose latency then follows waits for the device.".to_owned(),
        to_try: try_this.to_owned(),
    }
}

/// The most that storage can account for: a wait for the device needs an I/O in flight on it.
/// Pressure may miss waits of servers that read asynchronously; it stands in where it must.
fn bound(cells: &[&Cell], findings: &mut Findings) -> String {
    if let Some(words) = not_the_servers(cells) {
        findings.reason("READS_OF_OTHERS", None, words.clone());
        return words;
    }
    let busy = greatest(cells, HostFigure::UtilPct);
    match busy.or_else(|| greatest(cells, HostFigure::PsiIoSomePct)) {
        Some((cell, share)) => {
            let words = format!(
                "at most {} of the time, with {} users, can have been a wait for the device",
                percent(share),
                cell.users
            );
            findings.reason("BOUND", Some(share), words.clone());
            words
        }
        None => "no wait for the device was seen".to_owned(),
    }
}

/// Where the device is read, but not by the server, its load bounds nothing of the server's.
fn not_the_servers(cells: &[&Cell]) -> Option<String> {
    let (_, reads) = greatest(cells, HostFigure::ReadMbS)?;
    let process = greatest(cells, HostFigure::ServerReadMbS);
    let cgroup = greatest(cells, HostFigure::CgroupReadMbS);
    let server = process.into_iter().chain(cgroup).map(|(_, rate)| rate);
    let server = server.reduce(f64::max)?;
    (reads >= limits::READS_MB_S && server < limits::READS_MB_S).then(|| {
        format!(
            "others read the device, at {} MB/s, and the server itself {} MB/s at most",
            plain(reads),
            plain(server)
        )
    })
}
