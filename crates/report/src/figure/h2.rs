//! `h2_iowait_vs_p99`: tail latency against the host's iowait, a point per number of users.

use super::{
    Figure, NotDrawn,
    frame::{CAP, Head, x_axis, y_axis},
    label::{Place, Placer, column, crowds},
    numbers::{milliseconds, percent, plain, sum_up},
    scale::Scale,
    scene::{Anchor, Point, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::{self, Weight},
};
use crate::{Cell, Estimate, HostFigure, Metric, stats::Percentile};

pub(super) const NAME: &str = "h2_iowait_vs_p99";

const WIDTH: f64 = 860.0;
const PLOT_HEIGHT: f64 = 400.0;

/// A cell as a point.
struct Mark<'a> {
    cell: &'a Cell,
    /// Which percentile it is: the figure's, or the highest that it supports.
    percentile: Percentile,
    latency_ms: Estimate,
    iowait_pct: f64,
    /// The least and greatest of the repeats.
    iowait_range: Option<[f64; 2]>,
}

impl Mark<'_> {
    fn label(&self, wanted: Percentile) -> String {
        let mut label = users(self.cell.users);
        if self.percentile != wanted {
            label = format!("{label}, {}", self.percentile);
        }
        if self.cell.invalid {
            label.push_str(", invalid");
        }
        label
    }

    fn hint(&self) -> String {
        let interval = self
            .latency_ms
            .interval
            .map_or(String::new(), |[low, high]| {
                format!(" (95 % {}–{})", milliseconds(low), milliseconds(high))
            });
        format!(
            "{}: {} {}{interval}, iowait {}, n = {}",
            users(self.cell.users),
            self.percentile,
            milliseconds(self.latency_ms.value),
            percent(self.iowait_pct),
            self.cell.spread(Metric::E2e).n,
        )
    }

    fn is_hollow(&self, wanted: Percentile) -> bool {
        self.cell.invalid || self.percentile != wanted
    }
}

pub(super) fn draw(cells: &[Cell]) -> Result<Figure, NotDrawn> {
    let (marks, wanted) = marks(cells)?;
    let title = title(&marks, wanted);
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
    x_axis(
        &mut scene,
        &plot,
        &x,
        "Mean iowait over the measured interval (% of CPU time)",
    );
    let divisor = if in_seconds { 1000.0 } else { 1.0 };
    draw_marks(
        &mut scene,
        &plot,
        &marks,
        wanted,
        |value_pct, latency_ms| at(x.at(value_pct), y.at(latency_ms / divisor)),
    );
    Ok(Figure {
        name: NAME,
        title,
        scene,
    })
}

/// The cells that have both values, and the percentile that the figure shows: the highest that at
/// least half of the cells support. The others are drawn hollow, at the highest that they support.
fn marks(cells: &[Cell]) -> Result<(Vec<Mark<'_>>, Percentile), NotDrawn> {
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
                latency_ms: spread.percentile(percentile)?,
                iowait_pct: cell.host.get(HostFigure::IowaitPct)?,
                iowait_range: cell.host_range(HostFigure::IowaitPct),
            })
        })
        .collect();
    if marks.is_empty() {
        return Err("no complete run has telemetry of the CPU");
    }
    Ok((marks, wanted))
}

/// What was found, no more than the numbers say: a rise is claimed only where the intervals of
/// the fewest and the most users lie apart.
fn title(marks: &[Mark], wanted: Percentile) -> String {
    let iowait = |mark: &Mark| mark.iowait_pct;
    let least = marks.iter().map(iowait).fold(f64::INFINITY, f64::min);
    let most = marks.iter().map(iowait).fold(0.0, f64::max);
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
        return format!("{wanted} end-to-end latency against iowait");
    };
    let (a, b) = (first.latency_ms, last.latency_ms);
    if first.cell.users == last.cell.users {
        return format!(
            "{wanted} end-to-end latency is {} with {}, at {} iowait",
            milliseconds(a.value),
            users(first.cell.users),
            percent(first.iowait_pct)
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
    let host = match most {
        _ if most == 0.0 => "no iowait at all".to_owned(),
        _ if most < 1.0 => format!("mean iowait is {} at most", percent(most)),
        _ => format!(
            "mean iowait lies between {} and {}",
            percent(least),
            percent(most)
        ),
    };
    format!("{latency}; {host}")
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
    if marks.iter().any(|mark| mark.iowait_range.is_some()) {
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

/// Iowait from zero; latency from zero too, unless the points span more than a factor of 15.
fn scales(marks: &[Mark], plot: &Rect) -> (Scale, Scale, bool) {
    let iowait = marks
        .iter()
        .map(|mark| mark.iowait_range.map_or(mark.iowait_pct, |[_, most]| most));
    let most_iowait = iowait.fold(0.0, f64::max);
    // An axis of a hundredth of a percent would dress noise up as a finding.
    let x = Scale::from_zero((most_iowait * 1.05).max(0.5), [plot.x, plot.right()], 8);
    let ends = |mark: &Mark| {
        mark.latency_ms
            .interval
            .unwrap_or([mark.latency_ms.value; 2])
    };
    let least = marks
        .iter()
        .map(|mark| ends(mark)[0].min(mark.latency_ms.value));
    let most = marks
        .iter()
        .map(|mark| ends(mark)[1].max(mark.latency_ms.value));
    let (least, most) = (
        least.fold(f64::INFINITY, f64::min),
        most.fold(0.0, f64::max),
    );
    let in_seconds = most >= 2000.0;
    let divisor = if in_seconds { 1000.0 } else { 1.0 };
    let pixels = [plot.bottom(), plot.y];
    let y = if least > 0.0 && most / least > 15.0 {
        Scale::log([least * 0.9 / divisor, most * 1.1 / divisor], pixels)
    } else {
        Scale::from_zero(most * 1.05 / divisor, pixels, 8)
    };
    (x, y, in_seconds)
}

const LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::BlueText,
    anchor: Anchor::Middle,
};
const RADIUS: f64 = 5.0;

fn draw_marks(
    scene: &mut Scene,
    plot: &Rect,
    marks: &[Mark],
    wanted: Percentile,
    place: impl Fn(f64, f64) -> Point,
) {
    let mut placer = Placer::new(Rect {
        x: plot.x + 2.0,
        width: plot.width + 30.0,
        ..*plot
    });
    let points: Vec<Point> = marks
        .iter()
        .map(|mark| place(mark.iowait_pct, mark.latency_ms.value))
        .collect();
    for (mark, point) in marks.iter().zip(&points) {
        placer.keep_clear(around(*point, RADIUS + 2.0, RADIUS + 2.0));
        if let Some([low, high]) = mark.latency_ms.interval {
            let (low, high) = (place(mark.iowait_pct, low), place(mark.iowait_pct, high));
            error_bar(scene, low, high);
            placer.keep_clear(between(low, high));
        }
        if let Some([low, high]) = mark.iowait_range {
            let latency = mark.latency_ms.value;
            let (low, high) = (place(low, latency), place(high, latency));
            error_bar(scene, low, high);
            placer.keep_clear(between(low, high));
        }
    }
    let labels: Vec<String> = marks.iter().map(|mark| mark.label(wanted)).collect();
    draw_labels(scene, plot, &points, &labels, placer);
    for (mark, point) in marks.iter().zip(&points) {
        let (fill, line) = match mark.is_hollow(wanted) {
            true => (Ink::Surface, stroke(Ink::Blue, 2.0)),
            false => (Ink::Blue, stroke(Ink::Surface, 1.5)),
        };
        scene.with_hint(mark.hint(), |scene| {
            scene.circle(*point, RADIUS, fill, line)
        });
    }
}

/// Each point's label beside it; those of a crowd in a column.
fn draw_labels(
    scene: &mut Scene,
    plot: &Rect,
    points: &[Point],
    labels: &[String],
    mut placer: Placer,
) {
    const HEIGHT: f64 = LABEL.size * 1.1;
    let width = |index: usize| typeface::width(&labels[index], LABEL.size, LABEL.weight);
    let mut places: Vec<Option<Place>> = vec![None; points.len()];
    for crowd in crowds(points) {
        let members: Vec<Point> = crowd.iter().map(|&index| points[index]).collect();
        let widths: Vec<f64> = crowd.iter().map(|&index| width(index)).collect();
        for (index, place) in crowd.iter().zip(column(plot, &members, &widths, HEIGHT)) {
            placer.keep_clear(place.area);
            places[*index] = Some(place);
        }
    }
    for (index, text) in labels.iter().enumerate() {
        let place =
            places[index].unwrap_or_else(|| placer.place(points[index], width(index), HEIGHT));
        if let Some([from, to]) = place.leader {
            scene.line(from, to, stroke(Ink::Axis, 1.0));
        }
        let baseline = place.area.y + HEIGHT / 2.0 + CAP * LABEL.size / 2.0;
        let middle = place.area.x + place.area.width / 2.0;
        scene.text_with_halo(at(middle, baseline), text, LABEL);
    }
}

/// A bar with caps across its ends.
fn error_bar(scene: &mut Scene, from: Point, to: Point) {
    const CAP_LENGTH: f64 = 4.5;
    let line = stroke(Ink::Blue, 1.4);
    scene.line(from, to, line);
    let vertical = (to.y - from.y).abs() > (to.x - from.x).abs();
    for end in [from, to] {
        let (dx, dy) = if vertical {
            (CAP_LENGTH, 0.0)
        } else {
            (0.0, CAP_LENGTH)
        };
        scene.line(at(end.x - dx, end.y - dy), at(end.x + dx, end.y + dy), line);
    }
}

fn around(point: Point, dx: f64, dy: f64) -> Rect {
    Rect {
        x: point.x - dx,
        y: point.y - dy,
        width: 2.0 * dx,
        height: 2.0 * dy,
    }
}

fn between(a: Point, b: Point) -> Rect {
    Rect {
        x: a.x.min(b.x) - 3.0,
        y: a.y.min(b.y) - 3.0,
        width: (a.x - b.x).abs() + 6.0,
        height: (a.y - b.y).abs() + 6.0,
    }
}

fn users(count: u32) -> String {
    if count == 1 {
        "1 user".to_owned()
    } else {
        format!("{count} users")
    }
}
