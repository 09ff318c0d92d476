//! A drawing as SVG.

use super::{
    scene::{Anchor, Item, Paint, Point, Rect, Scene, Stroke, Style, Track, stroke},
    theme::{Ink, Theme},
    typeface::{FAMILY, Weight, web_fonts},
};
use std::fmt::{self, Write as _};

/// The drawing as SVG.
pub(super) fn write(scene: &Scene, paint: Paint) -> String {
    let mut svg = String::with_capacity(16 << 10);
    write_scene(scene, &mut svg, paint).expect("writing to a String cannot fail");
    svg
}

fn write_scene(scene: &Scene, svg: &mut String, paint: Paint) -> fmt::Result {
    let (width, height) = (Px(scene.width), Px(scene.height));
    let size = match paint {
        Paint::Page => scene.time.map_or(String::new(), |[x0, x1, t0, t1]| {
            format!(r#" data-time="{} {} {t0} {t1}""#, Px(x0), Px(x1))
        }),
        _ => format!(r#" width="{width}" height="{height}""#),
    };
    write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg"{size} viewBox="0 0 {width} {height}" font-family="{FAMILY}, sans-serif" role="img" aria-label="{}">"#,
        Escaped(&scene.label)
    )?;
    if paint == Paint::Standalone {
        write!(svg, "<style>{}</style>", web_fonts())?;
    }
    if paint != Paint::Page {
        let ground = Rect {
            x: 0.0,
            y: 0.0,
            width: scene.width,
            height: scene.height,
        };
        write!(svg, "<path d=\"{}\"", rect_path(&ground))?;
        write_ink(svg, paint, "fill", Some(Ink::Surface))?;
        svg.push_str("/>");
    }
    for item in &scene.items {
        write_item(svg, paint, item)?;
    }
    svg.push_str("</svg>\n");
    Ok(())
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
    fn lengths_are_short() {
        assert_eq!(Px(12.0).to_string(), "12");
        assert_eq!(Px(12.34).to_string(), "12.3");
        assert_eq!(Px(-0.01).to_string(), "0");
    }
}
