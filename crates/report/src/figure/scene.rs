//! A drawing: shapes with roles for colours, written as SVG.

use super::{
    svg::{self, Px},
    theme::{Ink, Theme},
    typeface::Weight,
};

pub(super) use super::svg::rect_path;

/// A point, in pixels from the top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Shorthand for a [`Point`].
pub(super) const fn at(x: f64, y: f64) -> Point {
    Point { x, y }
}

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Rect {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }

    /// The area that it shares with another.
    pub(super) fn overlap(&self, other: &Rect) -> f64 {
        let width = self.right().min(other.right()) - self.x.max(other.x);
        let height = self.bottom().min(other.bottom()) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }

    pub(super) fn area(&self) -> f64 {
        self.width * self.height
    }
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) weight: Weight,
    pub(super) ink: Ink,
    pub(super) anchor: Anchor,
}

/// A line's look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) ink: Ink,
    pub(super) width: f64,
}

/// Shorthand for a [`Stroke`].
pub(super) const fn stroke(ink: Ink, width: f64) -> Stroke {
    Stroke { ink, width }
}

/// What a drawing consists of.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Path {
        d: String,
        fill: Option<Ink>,
        stroke: Option<Stroke>,
        crisp: bool,
    },
    Circle {
        centre: Point,
        radius: f64,
        fill: Ink,
        stroke: Stroke,
    },
    Text {
        at: Point,
        text: String,
        style: Style,
        /// Turned to read from bottom to top.
        turned: bool,
        /// Whether the ground shows around the letters, so that lines pass behind them.
        halo: bool,
    },
    /// Begins a group that says this text under the pointer.
    Open(String),
    /// Begins a group whose values the page's script says under the pointer.
    OpenTrack {
        name: String,
        track: Track,
    },
    Close,
}

/// The values behind a shape, for the page.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// The values' unit.
    pub(super) unit: &'static str,
    /// Whether each value has a mark of its own, so that the nearest is meant; else they share
    /// the time under the pointer.
    pub(super) dots: bool,
    /// Where each lies, and what it is.
    pub(super) values: Vec<(Point, f64)>,
}

/// A drawing.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for readers who cannot see it.
    pub(super) label: String,
    pub(super) items: Vec<Item>,
    /// Where a time axis begins and ends: in pixels, then in seconds.
    pub(super) time: Option<[f64; 4]>,
}

/// Where colours come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// The page's classes.
    Page,
    /// A file of its own: light colours, fonts inside.
    Standalone,
    /// Fixed colours, fonts from elsewhere.
    Fixed(Theme),
}

impl Scene {
    pub(super) fn new(width: f64, height: f64, label: String) -> Self {
        Self {
            width,
            height,
            label,
            items: Vec::new(),
            time: None,
        }
    }

    /// A filled shape; `crisp` ones keep their edges on whole pixels.
    pub(super) fn fill(&mut self, d: impl Into<String>, ink: Ink, crisp: bool) {
        self.items.push(Item::Path {
            d: d.into(),
            fill: Some(ink),
            stroke: None,
            crisp,
        });
    }

    pub(super) fn rect(&mut self, rect: Rect, ink: Ink) {
        self.fill(rect_path(&rect), ink, true);
    }

    pub(super) fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        let d = format!("M{} {}L{} {}", Px(from.x), Px(from.y), Px(to.x), Px(to.y));
        self.items.push(Item::Path {
            d,
            fill: None,
            stroke: Some(stroke),
            crisp: false,
        });
    }

    /// A line through many points.
    pub(super) fn polyline(&mut self, d: String, stroke: Stroke) {
        self.items.push(Item::Path {
            d,
            fill: None,
            stroke: Some(stroke),
            crisp: false,
        });
    }

    pub(super) fn circle(&mut self, centre: Point, radius: f64, fill: Ink, stroke: Stroke) {
        self.items.push(Item::Circle {
            centre,
            radius,
            fill,
            stroke,
        });
    }

    pub(super) fn text(&mut self, at: Point, text: impl Into<String>, style: Style) {
        self.items.push(Item::Text {
            at,
            text: text.into(),
            style,
            turned: false,
            halo: false,
        });
    }

    pub(super) fn text_with_halo(&mut self, at: Point, text: impl Into<String>, style: Style) {
        self.items.push(Item::Text {
            at,
            text: text.into(),
            style,
            turned: false,
            halo: true,
        });
    }

    pub(super) fn turned_text(&mut self, at: Point, text: impl Into<String>, style: Style) {
        self.items.push(Item::Text {
            at,
            text: text.into(),
            style,
            turned: true,
            halo: false,
        });
    }

    /// Draws shapes that say `hint` under the pointer.
    pub(super) fn with_hint(&mut self, hint: String, draw: impl FnOnce(&mut Scene)) {
        self.items.push(Item::Open(hint));
        draw(self);
        self.items.push(Item::Close);
    }

    /// Draws a shape whose values the page says under the pointer.
    pub(super) fn with_track(&mut self, name: String, track: Track, draw: impl FnOnce(&mut Scene)) {
        self.items.push(Item::OpenTrack { name, track });
        draw(self);
        self.items.push(Item::Close);
    }

    /// The drawing as SVG.
    pub(super) fn svg(&self, paint: Paint) -> String {
        svg::write(self, paint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_stays_text() {
        let mut scene = Scene::new(10.0, 10.0, "\"><script>".to_owned());
        let style = Style {
            size: 10.0,
            weight: Weight::Regular,
            ink: Ink::Text,
            anchor: Anchor::Start,
        };
        scene.text(at(0.0, 0.0), "</text><script>alert('x')\u{1}", style);
        let svg = scene.svg(Paint::Page);
        assert!(!svg.contains("<script"), "{svg}");
        assert!(
            svg.contains("&lt;script&gt;alert(&#39;x&#39;)\u{fffd}"),
            "{svg}"
        );
    }
}
