//! What both processes held over time, and whether it grew: pure.

use std::{fmt::Write as _, time::Duration};

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) rss_kib: u64,
    pub(super) descriptors: u64,
}

/// All readings.
#[derive(Default)]
pub(super) struct Course {
    times: Vec<Duration>,
    engine: Vec<Sizes>,
    load: Vec<Sizes>,
}

/// Memory may grow by less than this after the warm-up.
const GROWTH_PCT: f64 = 5.0;
/// The warm-up: a quarter of all, but this at most.
const WARMUP_S: usize = 300;
/// Rows of the table.
const ROWS: usize = 10;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const WIDTH: usize = 60;

impl Course {
    pub(super) fn push(&mut self, at: Duration, engine: Sizes, load: Sizes) {
        self.times.push(at);
        self.engine.push(engine);
        self.load.push(load);
    }

    /// The readings that count, of each process.
    fn warm(&self) -> [(&'static str, &[Sizes]); 2] {
        let from = (self.times.len() / 4).min(WARMUP_S);
        [
            ("engine", &self.engine[from..]),
            ("load", &self.load[from..]),
        ]
    }

    /// The limits that were passed, by name.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (name, sizes) in self.warm() {
            let Some([first, last]) = ends(sizes) else {
                failures.push(format!("{name}: too few readings"));
                continue;
            };
            let growth = growth_pct(first, last);
            if growth >= GROWTH_PCT {
                failures.push(format!(
                    "{name}: memory grew by {growth:.1} % after the warm-up, the limit is {GROWTH_PCT} %"
                ));
            }
            let least = last.iter().map(|it| it.descriptors).min();
            let most = first.iter().map(|it| it.descriptors).max();
            if let (Some(least), Some(most)) = (least, most)
                && least > most
            {
                failures.push(format!(
                    "{name}: descriptors leak: never more than {most} at first, never less than {least} at last"
                ));
            }
        }
        failures
    }

    /// The course, for people.
    pub(super) fn table(&self) -> String {
        let mut out = String::from("    min  engine MiB  descriptors  load MiB  descriptors\n");
        let mib = |sizes: &Sizes| sizes.rss_kib as f64 / 1024.0;
        let Some(last) = self.times.len().checked_sub(1) else {
            return out;
        };
        for row in 0..=ROWS.min(last) {
            let at = row * last / ROWS.min(last).max(1);
            let (engine, load) = (&self.engine[at], &self.load[at]);
            // Writing to a String can't fail.
            let _ = writeln!(
                out,
                "{:7.1}  {:10.1}  {:11}  {:8.1}  {:11}",
                self.times[at].as_secs_f64() / 60.0,
                mib(engine),
                engine.descriptors,
                mib(load),
                load.descriptors
            );
        }
        for (name, sizes) in [("engine", &self.engine), ("load", &self.load)] {
            let bars = sparkline(sizes);
            let _ = writeln!(out, "{name:7} {bars}");
        }
        for (name, sizes) in self.warm() {
            if let Some([first, last]) = ends(sizes) {
                let growth = growth_pct(first, last);
                let _ = writeln!(out, "{name:7} memory {growth:+.2} % after the warm-up");
            }
        }
        out
    }
}

/// The first fifth and the last.
fn ends(sizes: &[Sizes]) -> Option<[&[Sizes]; 2]> {
    let fifth = sizes.len() / 5;
    (fifth > 0).then(|| [&sizes[..fifth], &sizes[sizes.len() - fifth..]])
}

/// Of the medians: a moment's peak is no growth.
fn growth_pct(first: &[Sizes], last: &[Sizes]) -> f64 {
    let median = |sizes: &[Sizes]| {
        let mut all: Vec<u64> = sizes.iter().map(|it| it.rss_kib).collect();
        all.sort_unstable();
        all[all.len() / 2] as f64
    };
    100.0 * (median(last) / median(first) - 1.0)
}

/// Memory from nothing to its greatest.
fn sparkline(sizes: &[Sizes]) -> String {
    let top = sizes.iter().map(|it| it.rss_kib).max().unwrap_or(0).max(1);
    let width = WIDTH.min(sizes.len());
    let bar = |place: usize| {
        let at = place * sizes.len() / width;
        let eighths = sizes[at].rss_kib * 8 / top;
        BARS[(eighths.max(1) as usize - 1).min(7)]
    };
    (0..width).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(engine: impl Fn(u64) -> Sizes) -> Course {
        let mut course = Course::default();
        for second in 0..400 {
            let steady = Sizes {
                rss_kib: 50_000,
                descriptors: 520,
            };
            course.push(Duration::from_secs(second), engine(second), steady);
        }
        course
    }

    fn sizes(rss_kib: u64, descriptors: u64) -> Sizes {
        Sizes {
            rss_kib,
            descriptors,
        }
    }

    #[test]
    fn what_stays_as_it_is_after_the_warm_up_passes() {
        // It grows while it warms up, and wavers after.
        let course = course(|at| sizes(10_000 + 400 * at.min(100) + at % 7, 510 + at % 3));
        assert_eq!(course.failures(), [""; 0]);
        assert!(
            course.table().contains("engine  memory +0.0"),
            "{}",
            course.table()
        );
    }

    #[test]
    fn growth_and_leaks_fail_by_name() {
        let grown = course(|at| sizes(50_000 + 20 * at, 510)).failures();
        assert_eq!(grown.len(), 1);
        assert!(grown[0].starts_with("engine: memory grew by"), "{grown:?}");
        let leaked = course(|at| sizes(50_000, 510 + at / 20)).failures();
        assert_eq!(leaked.len(), 1);
        assert!(
            leaked[0].starts_with("engine: descriptors leak"),
            "{leaked:?}"
        );
        assert_eq!(Course::default().failures().len(), 2);
    }
}
