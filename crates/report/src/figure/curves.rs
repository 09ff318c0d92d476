//! `h2_latency_vs_users`: what users feel as there are more of them.

use super::{
    Figure, NotDrawn,
    frame::{CAP, Head, TICK, axis_line, latency_scale, y_axis},
    label::spread_column,
    numbers::{milliseconds, plain, sum_up},
    scale::Scale,
    scatter::error_bar,
    scene::{Anchor, Point, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::{self, Weight},
};
use crate::{Cell, Estimate, Knees, Metric, UsersKnee, stats::Percentile};

pub(super) const NAME: &str = "h2_latency_vs_users";

const WIDTH: f64 = 860.0;
const PLOT_HEIGHT: f64 = 400.0;

/// One line of the figure.
struct Curve {
    name: &'static str,
    metric: Metric,
    percentile: Percentile,
    ink: Ink,
    text: Ink,
    /// Medians are hollow, tails filled.
    hollow: bool,
}

const CURVES: [Curve; 4] = [
    Curve {
        name: "e2e p99",
        metric: Metric::E2e,
        percentile: Percentile::P99,
        ink: Ink::Blue,
        text: Ink::BlueText,
        hollow: false,
    },
    Curve {
        name: "e2e p50",
        metric: Metric::E2e,
        percentile: Percentile::P50,
        ink: Ink::Blue,
        text: Ink::BlueText,
        hollow: true,
    },
    Curve {
        name: "TTFT p99",
        metric: Metric::Ttft,
        percentile: Percentile::P99,
        ink: Ink::Vermilion,
        text: Ink::VermilionText,
        hollow: false,
    },
    Curve {
        name: "TTFT p50",
        metric: Metric::Ttft,
        percentile: Percentile::P50,
        ink: Ink::Vermilion,
        text: Ink::VermilionText,
        hollow: true,
    },
];

impl Curve {
    /// Its points: users, and latency where there are enough requests for the percentile.
    fn points(&self, cells: &[Cell]) -> Vec<(u32, Estimate)> {
        let point = |cell: &Cell| {
            let spread = cell.spread(self.metric);
            Some((cell.users, spread.percentile(self.percentile)?))
        };
        cells.iter().filter_map(point).collect()
    }
}

pub(super) fn draw(cells: &[Cell], knees: &Knees) -> Result<Figure, NotDrawn> {
    if cells.iter().any(|cell| cell.phase != cells[0].phase) {
        return Err("the session has several phases, and this figure shows one");
    }
    let curves: Vec<(&Curve, Vec<(u32, Estimate)>)> = CURVES
        .iter()
        .map(|curve| (curve, curve.points(cells)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let users: Vec<f64> = cells.iter().map(|cell| f64::from(cell.users)).collect();
    let (Some(&first), Some(&last)) = (users.first(), users.last()) else {
        return Err("no run was measured to its end");
    };
    if curves.is_empty() {
        return Err("no complete run has a request that ended well");
    }
    if first >= last {
        return Err("it needs two numbers of users at least");
    }
    let title = title(cells);
    let head = Head::new(&title, &subtitle(cells, knees), WIDTH);
    let plot = Rect {
        x: 84.0,
        y: head.height() + 8.0,
        width: WIDTH - 84.0 - 100.0,
        height: PLOT_HEIGHT,
    };
    let mut scene = Scene::new(WIDTH, plot.bottom() + 66.0, title.clone());
    head.draw(&mut scene);
    let all = curves
        .iter()
        .flat_map(|(_, points)| points.iter().map(|(_, it)| *it));
    let (y, in_seconds) = latency_scale(all, &plot);
    let x = Scale::log_through(users, [plot.x + 16.0, plot.right() - 12.0]);
    let unit = if in_seconds { "s" } else { "ms" };
    y_axis(&mut scene, &plot, &y, &format!("Latency ({unit})"));
    users_axis(&mut scene, &plot, &x);
    draw_knees(&mut scene, &plot, &x, knees);
    let divisor = if in_seconds { 1000.0 } else { 1.0 };
    let place = |users: u32, ms: f64| at(x.at(f64::from(users)), y.at(ms / divisor));
    for (curve, points) in curves.iter().rev() {
        draw_curve(&mut scene, curve, points, place);
    }
    name_curves(&mut scene, &plot, &curves, place);
    Ok(Figure {
        name: NAME,
        title,
        scene,
    })
}

/// The ends of the sweep, as measured; what lies between is for the eye.
fn title(cells: &[Cell]) -> String {
    let ends = |percentile| {
        let of = |cell: &Cell| Some((cell.users, cell.spread(Metric::E2e).percentile(percentile)?));
        let mut known = cells.iter().filter_map(of);
        let first = known.next()?;
        Some((first, known.next_back()?))
    };
    let said = |name: &str, percentile| {
        let ((few, low), (many, high)) = ends(percentile)?;
        Some(format!(
            "{name} goes from {} with {few} to {} with {many} users",
            milliseconds(low.value),
            milliseconds(high.value)
        ))
    };
    let median = said("Median end-to-end latency", Percentile::P50);
    let tail = said("p99", Percentile::P99);
    let parts: Vec<String> = median.into_iter().chain(tail).collect();
    if parts.is_empty() {
        return "Latency by number of users".to_owned();
    }
    parts.join(", ")
}

fn subtitle(cells: &[Cell], knees: &Knees) -> String {
    let n = cells.iter().map(|cell| cell.spread(Metric::E2e).n);
    let mut text = format!(
        "n = {} requests per number of users. Bars: 95 % {}.",
        sum_up(n.clone()).unwrap_or_default(),
        cells[0].method.name()
    );
    if knees.queue.is_some() || knees.storage.is_some() {
        text.push_str(" Knees by segmented regression over the runs, grey: 95 % interval.");
    }
    let least = n.min().unwrap_or_default();
    if least < Percentile::P99.fewest() {
        text.push_str(" No p99 is shown from fewer than 100 requests.");
    }
    text
}

/// Ticks at the numbers of users that were measured; a label that would touch its neighbour goes.
fn users_axis(scene: &mut Scene, plot: &Rect, x: &Scale) {
    axis_line(scene, plot, "Concurrent users");
    let mut label_ends = f64::NEG_INFINITY;
    for &users in &x.ticks {
        let (tick, y) = (x.at(users), plot.bottom());
        scene.line(at(tick, y), at(tick, y + 5.0), stroke(Ink::Axis, 1.2));
        let text = users.to_string();
        let half = typeface::width(&text, TICK.size, TICK.weight) / 2.0;
        if tick - half > label_ends + 5.0 {
            scene.text(at(tick, y + 20.0), text, TICK);
            label_ends = tick + half;
        }
    }
}

/// The knees as upright lines over their intervals, named at the top.
fn draw_knees(scene: &mut Scene, plot: &Rect, x: &Scale, knees: &Knees) {
    let both = [
        ("queue knee", knees.queue, Ink::PurpleText),
        ("storage knee", knees.storage, Ink::VermilionText),
    ];
    let both = both
        .into_iter()
        .filter_map(|(name, knee, ink)| Some((name, knee?, ink)));
    for (row, (name, knee, ink)) in both.enumerate() {
        draw_knee(scene, plot, x, (name, &knee, ink), row as f64);
    }
}

fn draw_knee(
    scene: &mut Scene,
    plot: &Rect,
    x: &Scale,
    (name, knee, ink): (&str, &UsersKnee, Ink),
    row: f64,
) {
    let [left, right] = knee
        .interval
        .map(|users| x.at(users).clamp(plot.x, plot.right()));
    let middle = x.at(knee.users);
    let said = format!(
        "{name}: {} users (95 % {}–{})",
        plain(knee.users),
        plain(knee.interval[0]),
        plain(knee.interval[1])
    );
    let style = Style {
        size: 12.5,
        weight: Weight::SemiBold,
        ink,
        anchor: Anchor::Start,
    };
    let width = typeface::width(&said, style.size, style.weight);
    let baseline = plot.y + 14.0 + row * 18.0;
    scene.with_hint(said.clone(), |scene| {
        let band = Rect {
            x: left,
            y: plot.y,
            width: (right - left).max(1.0),
            height: plot.height,
        };
        scene.rect(band, Ink::Band);
        scene.line(
            at(middle, plot.y),
            at(middle, plot.bottom()),
            stroke(ink, 1.4),
        );
    });
    // To the left of the line where the right has no room.
    let start = if right + 6.0 + width <= plot.right() {
        right + 6.0
    } else {
        left - 6.0 - width
    };
    scene.text_with_halo(at(start, baseline), said, style);
}

fn draw_curve(
    scene: &mut Scene,
    curve: &Curve,
    points: &[(u32, Estimate)],
    place: impl Fn(u32, f64) -> Point,
) {
    let places: Vec<Point> = points
        .iter()
        .map(|(users, it)| place(*users, it.value))
        .collect();
    for pair in places.windows(2) {
        scene.line(pair[0], pair[1], stroke(curve.ink, 2.0));
    }
    for ((users, estimate), point) in points.iter().zip(&places) {
        let interval = estimate
            .interval
            .map(|ends| ends.map(|end| place(*users, end)));
        if let Some([low, high]) = interval {
            error_bar(scene, low, high, curve.ink);
        }
        let said = estimate.interval.map_or(String::new(), |[low, high]| {
            format!(" (95 % {}–{})", milliseconds(low), milliseconds(high))
        });
        let hint = format!(
            "{}, {users} users: {}{said}",
            curve.name,
            milliseconds(estimate.value)
        );
        let (fill, line) = match curve.hollow {
            true => (Ink::Surface, stroke(curve.ink, 2.0)),
            false => (curve.ink, stroke(Ink::Surface, 1.5)),
        };
        scene.with_hint(hint, |scene| scene.circle(*point, 4.5, fill, line));
    }
}

/// Each curve's name beside its last point.
fn name_curves(
    scene: &mut Scene,
    plot: &Rect,
    curves: &[(&Curve, Vec<(u32, Estimate)>)],
    place: impl Fn(u32, f64) -> Point,
) {
    let ends: Vec<f64> = curves
        .iter()
        .filter_map(|(_, points)| points.last().map(|(users, it)| place(*users, it.value).y))
        .collect();
    let middles = spread_column(&ends, 18.0, [plot.y + 8.0, plot.bottom() - 8.0]);
    for ((curve, _), middle) in curves.iter().zip(middles) {
        let style = Style {
            size: 13.5,
            weight: Weight::SemiBold,
            ink: curve.text,
            anchor: Anchor::Start,
        };
        let baseline = middle + CAP * style.size / 2.0;
        scene.text(at(plot.right() + 6.0, baseline), curve.name, style);
    }
}
