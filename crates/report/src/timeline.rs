//! CPU time over session time, in bins that all runs share.

use clock::SessionNs;
use record::{Column, CoreRow, CpuTimes, Telemetry};
use std::{collections::BTreeMap, ops::Range};

/// At most so many bins: about three pixels each in a figure.
const MOST_BINS: i64 = 260;

/// No bin is shorter: the kernel counts CPU time in steps of 10 ms, so a core's share of a
/// second is exact to one percent.
const LEAST_WIDTH_NS: i64 = 1_000_000_000;

/// Bins of equal width over a span of session time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bins {
    start: SessionNs,
    width_ns: i64,
    count: usize,
}

impl Bins {
    /// Bins of a round width that cover the span.
    pub(crate) fn covering(start: SessionNs, end: SessionNs) -> Self {
        let span = (end - start).max(1);
        let width_ns = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600]
            .map(|factor| factor * LEAST_WIDTH_NS)
            .into_iter()
            .find(|width| span / width < MOST_BINS)
            .unwrap_or(span / MOST_BINS + 1);
        Self {
            start,
            width_ns,
            count: (span as u64).div_ceil(width_ns as u64) as usize,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn width_s(&self) -> f64 {
        self.width_ns as f64 / 1e9
    }

    /// Where a bin begins, in seconds of session time.
    pub(crate) fn start_s(&self, bin: usize) -> f64 {
        self.start.as_secs_f64() + bin as f64 * self.width_s()
    }

    fn span(&self, bin: usize) -> Range<SessionNs> {
        let at = |bin: usize| SessionNs(self.start.0 + bin as i64 * self.width_ns);
        at(bin)..at(bin + 1)
    }

    /// Visits the bins that a span of time touches, with the share of it that lies in each.
    fn spread(&self, span: Range<SessionNs>, mut visit: impl FnMut(usize, f64)) {
        let whole = span.end - span.start;
        if whole <= 0 {
            return;
        }
        let mut at = (span.start - self.start).max(0);
        let end = span.end - self.start;
        while at < end {
            let bin = (at / self.width_ns) as usize;
            if bin >= self.count {
                return;
            }
            let next = ((bin as i64 + 1) * self.width_ns).min(end);
            visit(bin, (next - at) as f64 / whole as f64);
            at = next;
        }
    }
}

/// Shares of CPU time, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CpuShares {
    pub(crate) usr: f64,
    pub(crate) sys: f64,
    pub(crate) iowait: f64,
    /// irq, soft irq, steal and nice.
    pub(crate) other: f64,
}

impl CpuShares {
    /// All but idle time, with or without a task that waits for I/O.
    pub(crate) fn busy(&self) -> f64 {
        self.usr + self.sys + self.other
    }
}

/// A core's number, and a share in percent a bin.
pub(crate) type CoreBins = (u32, Vec<Option<f64>>);

/// CPU time by kind in one bin, in milliseconds, in the order of [`CpuTimes::fields`].
type Spent = [f64; 8];

/// What the CPU did over a session. A bin without ticks is absent, not idle.
#[derive(Clone, Debug)]
pub(crate) struct CpuTimeline {
    pub(crate) bins: Bins,
    total: Vec<Spent>,
    cores: BTreeMap<u32, Vec<Spent>>,
}

impl CpuTimeline {
    pub(crate) fn new(bins: Bins) -> Self {
        Self {
            total: vec![Spent::default(); bins.count],
            cores: BTreeMap::new(),
            bins,
        }
    }

    /// Adds what was spent in a run.
    pub(crate) fn add(&mut self, run: RunTimeline) {
        add_bins(&mut self.total, &run.total);
        for core in run.cores {
            let bins = self.cores.entry(core.number);
            let bins = bins.or_insert_with(|| vec![Spent::default(); self.bins.count]);
            add_bins(bins, &core.spent);
        }
    }

    /// The shares of all cores' time, a value a bin.
    pub(crate) fn shares(&self) -> Vec<Option<CpuShares>> {
        self.total.iter().map(shares).collect()
    }

    /// Each core's number and one of its shares in percent, a value a bin.
    pub(crate) fn by_core(&self, share: fn(&CpuShares) -> f64) -> Vec<CoreBins> {
        let bins = |bins: &Vec<Spent>| {
            let shares = bins.iter().map(|spent| Some(share(&shares(spent)?)));
            shares.collect()
        };
        self.cores
            .iter()
            .map(|(&core, spent)| (core, bins(spent)))
            .collect()
    }
}

fn add_bins(all: &mut [Spent], part: &[Spent]) {
    for (all, part) in all.iter_mut().zip(part) {
        for (all, part) in all.iter_mut().zip(part) {
            *all += part;
        }
    }
}

/// What the CPU did in one run.
#[derive(Debug)]
pub(crate) struct RunTimeline {
    bins: Bins,
    total: Vec<Spent>,
    cores: Vec<CoreTimeline>,
    /// Which core's row probably comes next: they come in the same order at every tick.
    next: usize,
}

#[derive(Debug)]
struct CoreTimeline {
    number: u32,
    since: SessionNs,
    then: CpuTimes,
    /// The bin of the last step, which the next one will probably lie in too.
    within: Range<SessionNs>,
    bin: usize,
    spent: Vec<Spent>,
}

impl RunTimeline {
    pub(crate) fn new(bins: Bins) -> Self {
        Self {
            bins,
            total: vec![Spent::default(); bins.count],
            cores: Vec::new(),
            next: 0,
        }
    }

    /// Adds the ticks of all cores together.
    pub(crate) fn add_total(&mut self, telemetry: &Telemetry) {
        let series = CpuTimes::OF_HOST.map(|field| telemetry.series(&Column::Host(field)));
        if series.iter().any(Option::is_none) {
            return;
        }
        let at = |index: usize| -> Option<Spent> {
            let mut spent = Spent::default();
            for (value, series) in spent.iter_mut().zip(&series) {
                *value = series.as_ref()?.get(index)?;
            }
            Some(spent)
        };
        let mut before: Option<(SessionNs, Spent)> = None;
        for (index, &t) in telemetry.times().iter().enumerate() {
            let Some(now) = at(index) else { continue };
            if let Some((since, then)) = before {
                self.bins.spread(since..t, |bin, share| {
                    add(&mut self.total[bin], &now, &then, share);
                });
            }
            before = Some((t, now));
        }
    }

    /// Leaves out the cores, whose file was not sound to its end.
    pub(crate) fn forget_cores(&mut self) {
        self.cores.clear();
    }

    /// Adds the next row of a core.
    pub(crate) fn push(&mut self, row: &CoreRow) {
        let expected = self.cores.get(self.next);
        if expected.is_none_or(|core| core.number != row.core) {
            self.next = match self.cores.iter().position(|core| core.number == row.core) {
                Some(place) => place,
                None => return self.begin(row),
            };
        }
        self.cores[self.next].step(&self.bins, row);
        self.turn();
    }

    fn begin(&mut self, row: &CoreRow) {
        self.cores.push(CoreTimeline {
            number: row.core,
            since: row.t,
            then: row.times,
            within: row.t..row.t,
            bin: 0,
            spent: vec![Spent::default(); self.bins.count],
        });
        self.next = self.cores.len() - 1;
        self.turn();
    }

    fn turn(&mut self) {
        self.next += 1;
        if self.next == self.cores.len() {
            self.next = 0;
        }
    }
}

impl CoreTimeline {
    fn step(&mut self, bins: &Bins, row: &CoreRow) {
        let since = std::mem::replace(&mut self.since, row.t);
        let then = std::mem::replace(&mut self.then, row.times);
        let (now, then) = (spent(&row.times), spent(&then));
        let is_within = |t: SessionNs| self.within.start <= t && t <= self.within.end;
        if since < row.t && is_within(since) && is_within(row.t) {
            add(&mut self.spent[self.bin], &now, &then, 1.0);
            return;
        }
        bins.spread(since..row.t, |bin, share| {
            add(&mut self.spent[bin], &now, &then, share);
            (self.bin, self.within) = (bin, bins.span(bin));
        });
    }
}

fn spent(times: &CpuTimes) -> Spent {
    times.fields().map(|ms| ms as f64)
}

/// Adds what was spent between two readings. The kernel's iowait can decrease; such a step adds
/// nothing.
fn add(bin: &mut Spent, now: &Spent, then: &Spent, share: f64) {
    for ((sum, now), then) in bin.iter_mut().zip(now).zip(then) {
        *sum += (now - then).max(0.0) * share;
    }
}

fn shares(spent: &Spent) -> Option<CpuShares> {
    let all: f64 = spent.iter().sum();
    let [usr, nice, sys, iowait, irq, soft, steal, _idle] = spent.map(|ms| 100.0 * ms / all);
    (all > 0.0).then_some(CpuShares {
        usr,
        sys,
        iowait,
        other: nice + irq + soft + steal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_round_and_cover_the_span() {
        let of = |seconds: i64| {
            let bins = Bins::covering(SessionNs(0), SessionNs(seconds * 1_000_000_000));
            (bins.width_s(), bins.count())
        };
        assert_eq!(of(0), (1.0, 1));
        assert_eq!(of(90), (1.0, 90));
        assert_eq!(of(1000), (5.0, 200));
        assert_eq!(of(12_000), (60.0, 200));
    }

    #[test]
    fn a_span_is_shared_out_by_overlap() {
        let bins = Bins::covering(SessionNs(0), SessionNs(3_000_000_000));
        let mut seen = Vec::new();
        bins.spread(
            SessionNs(500_000_000)..SessionNs(2_500_000_000),
            |bin, share| {
                seen.push((bin, share));
            },
        );
        assert_eq!(seen, [(0, 0.25), (1, 0.5), (2, 0.25)]);
    }
}
