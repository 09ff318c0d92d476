//! `h2_iowait_vs_p99` and `h2_psi_io_vs_p99`: tail latency against the host's waits for I/O, a
//! point per number of users.

use super::{
    Figure, NotDrawn,
    frame::{Head, latency_scale, x_axis, y_axis},
    numbers::{milliseconds, percent, plain, sum_up},
    scale::Scale,
    scatter::{self, Dot},
    scene::{Point, Rect, Scene, at},
};
use crate::{Cell, Estimate, HostFigure, Metric, stats::Percentile};

/// What latency is held against.
pub(super) struct Waits {
    pub(super) name: &'static str,
    figure: HostFigure,
    /// What it is called in a sentence.
    word: &'static str,
    axis: &'static str,
    /// Why there may be none.
    missing: NotDrawn,
}

/// Against iowait.
pub(super) const IOWAIT: Waits = Waits {
    name: "h2_iowait_vs_p99",
    figure: HostFigure::IowaitPct,
    word: "iowait",
    axis: "Mean iowait over the measured interval (% of CPU time)",
    missing: "no complete run has telemetry of the CPU",
};

/// Against pressure, which, unlike iowait, the kernel stands by.
pub(super) const PSI_IO: Waits = Waits {
    name: "h2_psi_io_vs_p99",
    figure: HostFigure::PsiIoSomePct,
    word: "I/O pressure",
    axis: "I/O pressure (PSI some) over the measured interval (% of time)",
    missing: "no complete run has pressure (PSI) of I/O: the kernel may lack it (psi=1)",
};

const WIDTH: f64 = 860.0;
const PLOT_HEIGHT: f64 = 400.0;

/// A cell as a point.
struct Mark<'a> {
    cell: &'a Cell,
    /// Which percentile it is: the figure's, or the highest that it supports.
    percentile: Percentile,
    /// Whether the session has other phases, so that the phase must be said.
    one_of_phases: bool,
    latency_ms: Estimate,
    wait_pct: f64,
    /// The least and greatest of the repeats.
    wait_range: Option<[f64; 2]>,
}

impl Mark<'_> {
    fn label(&self, wanted: Percentile) -> String {
        let mut label = users(self.cell.users);
        if self.one_of_phases {
            label = format!("{}, {label}", self.cell.phase);
        }
        if self.percentile != wanted {
            label = format!("{label}, {}", self.percentile);
        }
        if self.cell.invalid {
            label.push_str(", invalid");
        }
        label
    }

    fn hint(&self, waits: &Waits) -> String {
        let interval = self
            .latency_ms
            .interval
            .map_or(String::new(), |[low, high]| {
                format!(" (95 % {}–{})", milliseconds(low), milliseconds(high))
            });
        format!(
            "{}: {} {}{interval}, {} {}, n = {}",
            users(self.cell.users),
            self.percentile,
            milliseconds(self.latency_ms.value),
            waits.word,
            percent(self.wait_pct),
            self.cell.spread(Metric::E2e).n,
        )
    }

    fn dot(&self, wanted: Percentile, waits: &Waits, place: impl Fn(f64, f64) -> Point) -> Dot {
        let (wait, latency) = (self.wait_pct, self.latency_ms.value);
        let upright = self.latency_ms.interval;
        let level = self.wait_range;
        let bars = upright
            .map(|ends| ends.map(|end| place(wait, end)))
            .into_iter()
            .chain(level.map(|ends| ends.map(|end| place(end, latency))));
        Dot {
            at: place(wait, latency),
            bars: bars.collect(),
            label: self.label(wanted),
            hint: self.hint(waits),
            hollow: self.is_hollow(wanted),
        }
    }

    fn is_hollow(&self, wanted: Percentile) -> bool {
        self.cell.invalid || self.percentile != wanted
    }
}

pub(super) fn draw(cells: &[Cell], waits: &Waits) -> Result<Figure, NotDrawn> {
    let (marks, wanted) = marks(cells, waits)?;
    let title = title(&marks, wanted, waits);
    let head = Head::new(&title, &subtitle(cells, &marks, wanted), WIDTH);
    let plot = Rect {
        x: 84.0,
        y: head.height() + 8.0,
        width: WIDTH - 84.0 - 36.0,
        height: PLOT_HEIGHT,
    };
    let mut scene = Scene::new(WIDTH, plot.bottom() + 66.0, title.clone());
    head.draw(&mut scene);
    let (x, y, in_seconds) = scales(&marks, &plot);
    let unit = if in_seconds { "s" } else { "ms" };
    y_axis(
        &mut scene,
        &plot,
        &y,
        &format!("{wanted} end-to-end latency ({unit})"),
    );
    x_axis(&mut scene, &plot, &x, waits.axis);
    let divisor = if in_seconds { 1000.0 } else { 1.0 };
    let place = |wait_pct, latency_ms: f64| at(x.at(wait_pct), y.at(latency_ms / divisor));
    let dots: Vec<Dot> = marks
        .iter()
        .map(|mark| mark.dot(wanted, waits, place))
        .collect();
    scatter::draw(&mut scene, &plot, &dots);
    Ok(Figure {
        name: waits.name,
        title,
        scene,
    })
}

/// The cells that have both values, and the percentile that the figure shows: the highest that at
/// least half of the cells support. The others are drawn hollow, at the highest that they support.
fn marks<'a>(cells: &'a [Cell], waits: &Waits) -> Result<(Vec<Mark<'a>>, Percentile), NotDrawn> {
    let n = |cell: &Cell| cell.spread(Metric::E2e).n;
    let with_latency: Vec<&Cell> = cells.iter().filter(|cell| n(cell) > 0).collect();
    if with_latency.is_empty() {
        return Err("no complete run has a request that ended well");
    }
    let supports = |percentile: Percentile| {
        let supporting = with_latency
            .iter()
            .filter(|cell| n(cell) >= percentile.fewest());
        2 * supporting.count() >= with_latency.len()
    };
    let mut highest_first = Percentile::REPORTED.into_iter().rev();
    let wanted = highest_first.find(|&percentile| supports(percentile));
    let wanted = wanted.unwrap_or(Percentile::P50);
    let marks: Vec<Mark> = with_latency
        .into_iter()
        .filter_map(|cell| {
            let spread = cell.spread(Metric::E2e);
            let percentile = wanted.min(Percentile::highest(spread.n)?);
            Some(Mark {
                cell,
                percentile,
                one_of_phases: cells.iter().any(|other| other.phase != cell.phase),
                latency_ms: spread.percentile(percentile)?,
                wait_pct: cell.host.get(waits.figure)?,
                wait_range: cell.host_range(waits.figure),
            })
        })
        .collect();
    if marks.is_empty() {
        return Err(waits.missing);
    }
    Ok((marks, wanted))
}

/// What was found, no more than the numbers say: a rise is claimed only where the intervals of
/// the fewest and the most users lie apart.
fn title(marks: &[Mark], wanted: Percentile, waits: &Waits) -> String {
    let word = waits.word;
    // Two points with intervals say more than two without.
    let of_kind = marks.iter().filter(|mark| mark.percentile == wanted);
    let known: Vec<&Mark> = of_kind
        .clone()
        .filter(|it| it.latency_ms.interval.is_some())
        .collect();
    let comparable = if known.len() >= 2 {
        known
    } else {
        of_kind.collect()
    };
    let (Some(first), Some(last)) = (comparable.first(), comparable.last()) else {
        return format!("{wanted} end-to-end latency against {word}");
    };
    let (a, b) = (first.latency_ms, last.latency_ms);
    if first.cell.users == last.cell.users {
        return format!(
            "{wanted} end-to-end latency is {} with {}, at {} {word}",
            milliseconds(a.value),
            users(first.cell.users),
            percent(first.wait_pct)
        );
    }
    let span = format!("from {} to {} users", first.cell.users, last.cell.users);
    let latency = match (a.interval, b.interval) {
        (Some([_, high]), Some([low, _])) if low > high => format!(
            "{wanted} end-to-end latency rises {}× {span}",
            plain(b.value / a.value)
        ),
        (Some([low, _]), Some([_, high])) if high < low => format!(
            "{wanted} end-to-end latency falls {}× {span}",
            plain(a.value / b.value)
        ),
        (Some(_), Some(_)) => format!("{wanted} end-to-end latency does not clearly change {span}"),
        _ => format!(
            "{wanted} end-to-end latency: {} with {}, {} with {}",
            milliseconds(a.value),
            users(first.cell.users),
            milliseconds(b.value),
            users(last.cell.users)
        ),
    };
    format!("{latency}; {}", waits_in_words(marks, word))
}

fn waits_in_words(marks: &[Mark], word: &str) -> String {
    let wait = |mark: &Mark| mark.wait_pct;
    let least = marks.iter().map(wait).fold(f64::INFINITY, f64::min);
    let most = marks.iter().map(wait).fold(0.0, f64::max);
    match most {
        _ if most == 0.0 => format!("no {word} at all"),
        _ if most < 1.0 => format!("mean {word} is {} at most", percent(most)),
        _ => format!(
            "mean {word} lies between {} and {}",
            percent(least),
            percent(most)
        ),
    }
}

fn subtitle(cells: &[Cell], marks: &[Mark], wanted: Percentile) -> String {
    let n = |cell: &Cell| cell.spread(Metric::E2e).n;
    let mut parts = Vec::new();
    let requests = sum_up(marks.iter().map(|mark| n(mark.cell))).unwrap_or_default();
    let runs = sum_up(marks.iter().map(|mark| mark.cell.runs.len())).unwrap_or_default();
    parts.push(format!(
        "One point per number of users, n = {requests} requests in {runs} {} each.",
        if runs == "1" { "run" } else { "runs" }
    ));
    if wanted < Percentile::P99 {
        let fewest = marks
            .iter()
            .map(|mark| n(mark.cell))
            .min()
            .unwrap_or_default();
        parts.push(format!(
            "{wanted} stands in for p99, which needs {} requests a point; most points have fewer (the least {fewest}).",
            Percentile::P99.fewest()
        ));
    }
    let with_interval = marks.iter().find(|mark| mark.latency_ms.interval.is_some());
    parts.push(match with_interval {
        Some(mark) => format!("Vertical bars: 95 % {}.", mark.cell.method.name()),
        None => "Too few requests for 95 % intervals.".to_owned(),
    });
    if marks.iter().any(|mark| mark.wait_range.is_some()) {
        parts.push("Horizontal bars: least to greatest repeat.".to_owned());
    }
    if marks.iter().any(|mark| mark.is_hollow(wanted)) {
        parts.push("Hollow points: too few requests for the percentile, or invalid.".to_owned());
    }
    let missing: Vec<String> = cells
        .iter()
        .filter(|cell| !marks.iter().any(|mark| std::ptr::eq(mark.cell, *cell)))
        .map(|cell| cell.users.to_string())
        .collect();
    if !missing.is_empty() {
        parts.push(format!(
            "Not shown, for want of values: {} users.",
            missing.join(", ")
        ));
    }
    parts.push("Users drive both axes: the picture alone shows no cause.".to_owned());
    parts.join(" ")
}

/// The waits from zero, and the latencies.
fn scales(marks: &[Mark], plot: &Rect) -> (Scale, Scale, bool) {
    let wait = |mark: &Mark| mark.wait_range.map_or(mark.wait_pct, |[_, most]| most);
    let most = marks.iter().map(wait).fold(0.0, f64::max);
    // An axis of a hundredth of a percent would dress noise up as a finding.
    let x = Scale::from_zero((most * 1.05).max(0.5), [plot.x, plot.right()], 8);
    let (y, in_seconds) = latency_scale(marks.iter().map(|mark| mark.latency_ms), plot);
    (x, y, in_seconds)
}

fn users(count: u32) -> String {
    if count == 1 {
        "1 user".to_owned()
    } else {
        format!("{count} users")
    }
}
