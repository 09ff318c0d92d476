//! Panels over one time axis: `session_overview`, `h3_eviction`, `itl_stall_map`.

use super::{
    Figure, NotDrawn, bands,
    frame::{CAP, Head, TICK, x_axis, y_axis},
    label::spread_column,
    scale::Scale,
    scene::{self as page, Anchor, Rect, Scene, Style, at, stroke},
    svg::Px,
    theme::Ink,
    typeface::Weight,
};
use crate::{evidence::RunEvidence, strip::Series};
use clock::SessionNs;
use std::fmt::Write as _;

pub(super) const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 120.0;
const PANEL_HEIGHT: f64 = 118.0;
const GAP: f64 = 40.0;
const PANEL_LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};

/// How values are drawn.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Line,
    Dots,
}

/// One series of a panel, run by run: no line leads from one run to the next.
pub(super) struct Track {
    pub(super) name: &'static str,
    pub(super) ink: Ink,
    pub(super) text: Ink,
    pub(super) mark: Mark,
    pub(super) runs: Vec<Series>,
}

/// A panel: its label, its axis and what it shows.
pub(super) struct Panel {
    pub(super) label: String,
    pub(super) axis: &'static str,
    pub(super) log: bool,
    pub(super) tracks: Vec<Track>,
}

impl Panel {
    /// Whether any of its series holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.tracks
            .iter()
            .all(|track| track.runs.iter().all(Vec::is_empty))
    }

    fn unit(&self) -> &'static str {
        match self.axis {
            "% of time" => "%",
            "TTFT (ms)" => "ms",
            unit => unit,
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let points = self
            .tracks
            .iter()
            .flat_map(|track| track.runs.iter().flatten());
        points.map(|(_, value)| *value)
    }

    fn scale(&self, plot: &Rect) -> Scale {
        let most = self.values().fold(0.0, f64::max);
        let least = self
            .values()
            .filter(|it| *it > 0.0)
            .fold(f64::INFINITY, f64::min);
        let pixels = [plot.bottom(), plot.y];
        if self.log && least.is_finite() && most > 4.0 * least {
            return Scale::log([least * 0.9, most * 1.1], pixels);
        }
        let most = most.max(0.95) * 1.05;
        let is_share = self.axis.starts_with('%');
        Scale::from_zero(if is_share { most.min(100.0) } else { most }, pixels, 4)
    }
}

/// A whole figure of panels.
pub(super) struct Strips<'a> {
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) runs: &'a [RunEvidence],
    pub(super) panels: Vec<Panel>,
    /// Times to mark across all panels, in seconds from and to.
    pub(super) marked: Vec<(f64, f64)>,
}

impl Strips<'_> {
    pub(super) fn draw(self) -> Result<Figure, NotDrawn> {
        let ends = self.ends().ok_or("no run's stages are known")?;
        let head = Head::new(&self.title, &self.subtitle, WIDTH);
        let area = |y, height| Rect {
            x: LEFT,
            y,
            width: WIDTH - LEFT - RIGHT,
            height,
        };
        let strip = area(head.height(), bands::height(self.runs));
        let mut plots = Vec::new();
        let mut y = strip.bottom() + 30.0;
        for _ in &self.panels {
            plots.push(area(y, PANEL_HEIGHT));
            y += PANEL_HEIGHT + GAP;
        }
        let last = *plots.last().ok_or("it has no panel")?;
        let mut scene = Scene::new(WIDTH, last.bottom() + 66.0, self.title.clone());
        head.draw(&mut scene);
        let x = Scale::span(ends, [strip.x, strip.right()], 8);
        scene.time = Some([strip.x, strip.right(), ends[0], ends[1]]);
        bands::draw(&mut scene, self.runs, &x, &strip, last.bottom());
        self.draw_marked(&mut scene, &x, &plots);
        for (panel, plot) in self.panels.iter().zip(&plots) {
            draw_panel(&mut scene, panel, &x, plot);
        }
        x_axis(&mut scene, &last, &x, "Time since the session’s start (s)");
        Ok(Figure {
            name: self.name,
            title: self.title,
            scene,
        })
    }

    /// From the first moment that is shown to the last: a server's load is sampled before its first
    /// request.
    fn ends(&self) -> Option<[f64; 2]> {
        let stages = self
            .runs
            .iter()
            .filter_map(|run| run.manifest.as_ref()?.stages);
        let stages = stages
            .map(|stages| [stages.ramp.start_ns, stages.drain.end_ns].map(SessionNs::as_secs_f64));
        let [start, end] = stages.reduce(widest)?;
        let tracks = self.panels.iter().flat_map(|panel| &panel.tracks);
        let series = tracks.flat_map(|track| &track.runs);
        let shown = series.filter_map(|run| Some([run.first()?.0, run.last()?.0]));
        Some(shown.fold([start, end], widest))
    }

    /// Marked times behind all panels, as one shape each.
    fn draw_marked(&self, scene: &mut Scene, x: &Scale, plots: &[Rect]) {
        let mut path = String::new();
        for plot in plots {
            let mut reached = f64::NEG_INFINITY;
            for &(from, to) in &self.marked {
                let (from, to) = (x.at(from).max(reached), x.at(to).max(x.at(from) + 0.8));
                if to <= from {
                    continue;
                }
                reached = to;
                // Writing to a String can't fail.
                let _ = write!(
                    path,
                    "M{} {}H{}V{}H{}z",
                    Px(from),
                    Px(plot.y),
                    Px(to),
                    Px(plot.bottom()),
                    Px(from)
                );
            }
        }
        if !path.is_empty() {
            scene.fill(path, Ink::Heat(1), false);
        }
    }
}

fn widest(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

fn draw_panel(scene: &mut Scene, panel: &Panel, x: &Scale, plot: &Rect) {
    let y = panel.scale(plot);
    scene.text(at(plot.x, plot.y - 9.0), panel.label.clone(), PANEL_LABEL);
    y_axis(scene, plot, &y, panel.axis);
    for track in &panel.tracks {
        match track.mark {
            Mark::Line => draw_line(scene, track, panel.unit(), x, &y),
            Mark::Dots => draw_dots(scene, track, panel.unit(), x, &y),
        }
    }
    let (left, right) = (at(plot.x, plot.bottom()), at(plot.right(), plot.bottom()));
    scene.line(left, right, stroke(Ink::Axis, 1.2));
    name_tracks(scene, panel, plot, &y);
}

/// A line through each run: at most two points a pixel, the least and the greatest in it.
fn draw_line(scene: &mut Scene, track: &Track, unit: &'static str, x: &Scale, y: &Scale) {
    let mut path = String::new();
    let mut values = Vec::new();
    for run in &track.runs {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for column in columns(run, x) {
            let (high, low) = (y.at(column.most), y.at(column.least));
            points.push((column.pixel, high));
            if (low - high).abs() >= 1.0 {
                points.push((column.pixel, low));
            }
            values.push((at(column.pixel, high), column.most));
        }
        for (index, (px, py)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a String can't fail.
            let _ = write!(path, "{command}{} {}", Px(*px), Px(*py));
        }
    }
    let said = page::Track {
        unit,
        dots: false,
        values,
    };
    if !path.is_empty() {
        scene.with_track(track.name.to_owned(), said, |scene| {
            scene.polyline(path, stroke(track.ink, 1.4));
        });
    }
}

/// The values of a run that fall on one column of pixels.
struct Column {
    pixel: f64,
    least: f64,
    most: f64,
}

fn columns(run: &Series, x: &Scale) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for &(seconds, value) in run {
        let pixel = x.at(seconds).round();
        match columns.last_mut() {
            Some(column) if column.pixel == pixel => {
                column.least = column.least.min(value);
                column.most = column.most.max(value);
            }
            _ => columns.push(Column {
                pixel,
                least: value,
                most: value,
            }),
        }
    }
    columns
}

/// Dots as one shape, those that would cover each other drawn once.
fn draw_dots(scene: &mut Scene, track: &Track, unit: &'static str, x: &Scale, y: &Scale) {
    // A few dots must be seen, many must not cover each other.
    let count: usize = track.runs.iter().map(Vec::len).sum();
    let size = if count <= 300 { 4.0 } else { 2.6 };
    let mut seen = std::collections::BTreeSet::new();
    let mut path = String::new();
    let mut values = Vec::new();
    for &(seconds, value) in track.runs.iter().flatten() {
        let (px, py) = (x.at(seconds), y.at(value));
        if !py.is_finite() || !seen.insert(((px / 1.5) as i64, (py / 1.5) as i64)) {
            continue;
        }
        let (left, top) = (px - size / 2.0, py - size / 2.0);
        // Writing to a String can't fail.
        let _ = write!(path, "M{} {}h{size}v{size}h-{size}z", Px(left), Px(top));
        values.push((at(px, py), value));
    }
    let said = page::Track {
        unit,
        dots: true,
        values,
    };
    if !path.is_empty() {
        scene.with_track(track.name.to_owned(), said, |scene| {
            scene.fill(path, track.ink, false);
        });
    }
}

/// Each track's name at the panel's right, near its last value.
fn name_tracks(scene: &mut Scene, panel: &Panel, plot: &Rect, y: &Scale) {
    let named: Vec<&Track> = panel
        .tracks
        .iter()
        .filter(|track| !track.name.is_empty() && track.runs.iter().any(|run| !run.is_empty()))
        .collect();
    let last = |track: &Track| {
        let value = track.runs.iter().rev().find_map(|run| run.last());
        value.map_or(plot.bottom(), |(_, value)| y.at(*value))
    };
    let wanted: Vec<f64> = named
        .iter()
        .enumerate()
        .map(|(index, track)| last(track).clamp(plot.y, plot.bottom()) - index as f64 * 1e-3)
        .collect();
    let placed = spread_column(&wanted, 16.0, [plot.y + 6.0, plot.bottom() - 6.0]);
    for (track, middle) in named.iter().zip(placed) {
        let style = Style {
            size: 12.5,
            ink: track.text,
            ..PANEL_LABEL
        };
        let baseline = middle + CAP * TICK.size / 2.0;
        scene.text(at(plot.right() + 8.0, baseline), track.name, style);
    }
}
