//! Points with bars and direct labels.

use super::{
    frame::CAP,
    label::{Place, Placer, column, crowds},
    scene::{Anchor, Point, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::{self, Weight},
};

const LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::BlueText,
    anchor: Anchor::Middle,
};
const RADIUS: f64 = 5.0;

/// A point of a scatter plot, in pixels.
pub(super) struct Dot {
    pub(super) at: Point,
    /// The ends of its bars.
    pub(super) bars: Vec<[Point; 2]>,
    pub(super) label: String,
    /// What it says under the pointer.
    pub(super) hint: String,
    pub(super) hollow: bool,
}

/// Bars first, then labels, then points: nothing covers a point.
pub(super) fn draw(scene: &mut Scene, plot: &Rect, dots: &[Dot]) {
    let mut placer = Placer::new(Rect {
        x: plot.x + 2.0,
        width: plot.width + 30.0,
        ..*plot
    });
    for dot in dots {
        placer.keep_clear(around(dot.at, RADIUS + 2.0, RADIUS + 2.0));
        for [from, to] in &dot.bars {
            error_bar(scene, *from, *to, Ink::Blue);
            placer.keep_clear(between(*from, *to));
        }
    }
    draw_labels(scene, plot, dots, placer);
    for dot in dots {
        let (fill, line) = match dot.hollow {
            true => (Ink::Surface, stroke(Ink::Blue, 2.0)),
            false => (Ink::Blue, stroke(Ink::Surface, 1.5)),
        };
        scene.with_hint(dot.hint.clone(), |scene| {
            scene.circle(dot.at, RADIUS, fill, line);
        });
    }
}

/// Each point's label beside it; those of a crowd in a column.
fn draw_labels(scene: &mut Scene, plot: &Rect, dots: &[Dot], mut placer: Placer) {
    let points: Vec<Point> = dots.iter().map(|dot| dot.at).collect();
    const HEIGHT: f64 = LABEL.size * 1.1;
    let width = |index: usize| typeface::width(&dots[index].label, LABEL.size, LABEL.weight);
    let mut places: Vec<Option<Place>> = vec![None; points.len()];
    for crowd in crowds(&points) {
        let members: Vec<Point> = crowd.iter().map(|&index| points[index]).collect();
        let widths: Vec<f64> = crowd.iter().map(|&index| width(index)).collect();
        for (index, place) in crowd.iter().zip(column(plot, &members, &widths, HEIGHT)) {
            placer.keep_clear(place.area);
            places[*index] = Some(place);
        }
    }
    for (index, dot) in dots.iter().enumerate() {
        let place =
            places[index].unwrap_or_else(|| placer.place(points[index], width(index), HEIGHT));
        if let Some([from, to]) = place.leader {
            scene.line(from, to, stroke(Ink::Axis, 1.0));
        }
        let baseline = place.area.y + HEIGHT / 2.0 + CAP * LABEL.size / 2.0;
        let middle = place.area.x + place.area.width / 2.0;
        scene.text_with_halo(at(middle, baseline), &dot.label, LABEL);
    }
}

/// A bar with caps across its ends.
pub(super) fn error_bar(scene: &mut Scene, from: Point, to: Point, ink: Ink) {
    const CAP_LENGTH: f64 = 4.5;
    let line = stroke(ink, 1.4);
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
