//! A drawing: shapes with roles for colours, written as SVG.

use super::{
    theme::{Ink, Theme},
    typeface::{FAMILY, Weight, web_fonts},
};
use std::fmt::{self, Write as _};

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

#[derive(Clone, Debug)]
enum Item {
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
    items: Vec<Item>,
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
        let mut svg = String::with_capacity(16 << 10);
        self.write(&mut svg, paint)
            .expect("writing to a String cannot fail");
        svg
    }

    fn write(&self, svg: &mut String, paint: Paint) -> fmt::Result {
        let (width, height) = (Px(self.width), Px(self.height));
        let size = match paint {
            Paint::Page => self.time.map_or(String::new(), |[x0, x1, t0, t1]| {
                format!(r#" data-time="{} {} {t0} {t1}""#, Px(x0), Px(x1))
            }),
            _ => format!(r#" width="{width}" height="{height}""#),
        };
        write!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg"{size} viewBox="0 0 {width} {height}" font-family="{FAMILY}, sans-serif" role="img" aria-label="{}">"#,
            Escaped(&self.label)
        )?;
        if paint == Paint::Standalone {
            write!(svg, "<style>{}</style>", web_fonts())?;
        }
        if paint != Paint::Page {
            let ground = Rect {
                x: 0.0,
                y: 0.0,
                width: self.width,
                height: self.height,
            };
            write!(svg, "<path d=\"{}\"", rect_path(&ground))?;
            write_ink(svg, paint, "fill", Some(Ink::Surface))?;
            svg.push_str("/>");
        }
        for item in &self.items {
            write_item(svg, paint, item)?;
        }
        svg.push_str("</svg>\n");
        Ok(())
    }
}

fn write_item(svg: &mut String, paint: Paint, item: &Item) -> fmt::Result {
    match item {
        Item::Path {
            d,
            fill,
            stroke,
            crisp,
        } => {
            write!(svg, r#"<path d="{d}""#)?;
            write_inks(svg, paint, *fill, *stroke)?;
            if *crisp {
                svg.push_str(r#" shape-rendering="crispEdges""#);
            }
            svg.push_str("/>");
        }
        Item::Circle {
            centre,
            radius,
            fill,
            stroke,
        } => {
            let (x, y) = (Px(centre.x), Px(centre.y));
            write!(svg, r#"<circle cx="{x}" cy="{y}" r="{}""#, Px(*radius))?;
            write_inks(svg, paint, Some(*fill), Some(*stroke))?;
            svg.push_str("/>");
        }
        Item::Text {
            at,
            text,
            style,
            turned,
            halo,
        } => {
            if *halo {
                write_text(svg, paint, *at, text, style, *turned, true)?;
            }
            write_text(svg, paint, *at, text, style, *turned, false)?;
        }
        Item::Open(hint) => write!(svg, "<g><title>{}</title>", Escaped(hint))?,
        Item::OpenTrack { name, track } => {
            svg.push_str("<g");
            if paint == Paint::Page {
                write_track(svg, track)?;
            }
            write!(svg, "><title>{}</title>", Escaped(name))?;
        }
        Item::Close => svg.push_str("</g>"),
    }
    Ok(())
}

fn write_track(svg: &mut String, track: &Track) -> fmt::Result {
    write!(svg, r#" data-unit="{}""#, Escaped(track.unit))?;
    if track.dots {
        svg.push_str(" data-dots");
    }
    svg.push_str(" data-v=\"");
    for (index, (place, value)) in track.values.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(
            svg,
            "{space}{} {} {}",
            Px(place.x),
            Px(place.y),
            Short(*value)
        )?;
    }
    svg.push('"');
    Ok(())
}

fn write_text(
    svg: &mut String,
    paint: Paint,
    at: Point,
    text: &str,
    style: &Style,
    turned: bool,
    halo: bool,
) -> fmt::Result {
    let (x, y) = (Px(at.x), Px(at.y));
    write!(
        svg,
        r#"<text x="{x}" y="{y}" font-size="{}""#,
        Px(style.size)
    )?;
    if style.weight == Weight::SemiBold {
        write!(svg, r#" font-weight="{}""#, style.weight.number())?;
    }
    match style.anchor {
        Anchor::Start => {}
        Anchor::Middle => svg.push_str(r#" text-anchor="middle""#),
        Anchor::End => svg.push_str(r#" text-anchor="end""#),
    }
    if turned {
        write!(svg, r#" transform="rotate(-90 {x} {y})""#)?;
    }
    if halo {
        svg.push_str(r#" stroke-linejoin="round" aria-hidden="true""#);
        let ground = stroke(Ink::Surface, 4.0);
        write_inks(svg, paint, Some(Ink::Surface), Some(ground))?;
    } else {
        write_inks(svg, paint, Some(style.ink), None)?;
    }
    write!(svg, ">{}</text>", Escaped(text))
}

fn write_inks(
    svg: &mut String,
    paint: Paint,
    fill: Option<Ink>,
    stroke: Option<Stroke>,
) -> fmt::Result {
    if paint == Paint::Page {
        let fill = fill.map(|ink| format!("f-{}", ink.class()));
        let line = stroke.map(|stroke| format!("s-{}", stroke.ink.class()));
        let classes: Vec<String> = fill.iter().cloned().chain(line).collect();
        write!(svg, r#" class="{}""#, classes.join(" "))?;
        if fill.is_none() {
            svg.push_str(r#" fill="none""#);
        }
    } else {
        write_ink(svg, paint, "fill", fill)?;
        if let Some(stroke) = stroke {
            write_ink(svg, paint, "stroke", Some(stroke.ink))?;
        }
    }
    match stroke {
        Some(stroke) => write!(svg, r#" stroke-width="{}""#, Px(stroke.width)),
        None => Ok(()),
    }
}

fn write_ink(svg: &mut String, paint: Paint, attribute: &str, ink: Option<Ink>) -> fmt::Result {
    let theme = match paint {
        Paint::Fixed(theme) => theme,
        Paint::Page | Paint::Standalone => Theme::Light,
    };
    let colour = ink.map_or("none".to_owned(), |ink| ink.hex(theme));
    write!(svg, r#" {attribute}="{colour}""#)
}

/// A closed path around a rectangle.
pub(super) fn rect_path(rect: &Rect) -> String {
    let (x, y) = (Px(rect.x), Px(rect.y));
    let (width, height) = (Px(rect.width), Px(rect.height));
    format!("M{x} {y}h{width}v{height}h-{width}z")
}

/// A length to a tenth of a pixel, in as few letters as it takes.
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // Adding zero turns −0 into 0.
        write!(f, "{}", tenths + 0.0)
    }
}

/// A value to five digits, in as few letters as it takes.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = (4 - self.0.abs().max(1e-9).log10().floor() as i32).clamp(0, 9);
        let factor = 10f64.powi(decimals);
        write!(f, "{}", (self.0 * factor).round() / factor + 0.0)
    }
}

/// Text as XML may hold it. Letters that XML forbids become U+FFFD.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                c if (c as u32) < 0x20 || matches!(c as u32, 0xfffe | 0xffff) => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
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

    #[test]
    fn lengths_are_short() {
        assert_eq!(Px(12.0).to_string(), "12");
        assert_eq!(Px(12.34).to_string(), "12.3");
        assert_eq!(Px(-0.01).to_string(), "0");
    }
}
