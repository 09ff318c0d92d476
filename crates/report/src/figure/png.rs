//! From SVG to PNG.

use super::typeface::{FAMILY, REGULAR_TTF, SEMIBOLD_TTF};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{self, fontdb},
};
use std::sync::Arc;

/// PNGs are this much larger than the drawing, for print and dense screens.
const ZOOM: f32 = 2.0;

/// Why a figure has no PNG. Its SVG is not affected.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The drawing is not understood.
    #[error(
        "figure {name}: its SVG cannot be drawn as PNG: {source}; use the SVG file, and report this as a bug"
    )]
    Svg {
        /// The figure.
        name: &'static str,
        /// What is wrong.
        source: Box<usvg::Error>,
    },
    /// The picture has no size, or memory for it.
    #[error("figure {name}: no memory for a PNG of {width} × {height} pixels; use the SVG file")]
    Size {
        /// The figure.
        name: &'static str,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The PNG could not be written.
    #[error("figure {name}: cannot encode its PNG: {reason}; use the SVG file")]
    Encode {
        /// The figure.
        name: &'static str,
        /// What the encoder said.
        reason: String,
    },
}

pub(super) fn render(svg: &str, name: &'static str) -> Result<Vec<u8>, FigureError> {
    let tree = usvg::Tree::from_str(svg, &options()).map_err(|source| FigureError::Svg {
        name,
        source: Box::new(source),
    })?;
    let size = tree.size();
    let (width, height) = (
        (size.width() * ZOOM).ceil() as u32,
        (size.height() * ZOOM).ceil() as u32,
    );
    let mut pixels = Pixmap::new(width, height).ok_or(FigureError::Size {
        name,
        width,
        height,
    })?;
    resvg::render(
        &tree,
        Transform::from_scale(ZOOM, ZOOM),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|error| FigureError::Encode {
        name,
        reason: error.to_string(),
    })
}

/// Fonts come from memory alone, so that a figure looks the same on every machine.
fn options() -> usvg::Options<'static> {
    let mut fonts = fontdb::Database::new();
    for font in [REGULAR_TTF, SEMIBOLD_TTF] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(font)));
    }
    fonts.set_sans_serif_family(FAMILY);
    usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: FAMILY.to_owned(),
        ..usvg::Options::default()
    }
}
