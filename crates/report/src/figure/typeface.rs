//! The typeface: Inter, embedded, and how wide a text is in it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size},
};
use std::{collections::HashMap, sync::LazyLock};

pub(super) const REGULAR_TTF: &[u8] = include_bytes!("../../assets/Inter-Regular.ttf");
pub(super) const SEMIBOLD_TTF: &[u8] = include_bytes!("../../assets/Inter-SemiBold.ttf");
const REGULAR_WOFF2: &[u8] = include_bytes!("../../assets/Inter-Regular.woff2");
const SEMIBOLD_WOFF2: &[u8] = include_bytes!("../../assets/Inter-SemiBold.woff2");

/// The family, as the fonts name themselves.
pub(super) const FAMILY: &str = "Inter";

/// The weights that are embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    SemiBold,
}

impl Weight {
    pub(super) const fn number(self) -> u16 {
        match self {
            Weight::Regular => 400,
            Weight::SemiBold => 600,
        }
    }
}

/// `@font-face` rules that hold the fonts themselves.
pub(crate) fn web_fonts() -> String {
    [
        (Weight::Regular, REGULAR_WOFF2),
        (Weight::SemiBold, SEMIBOLD_WOFF2),
    ]
    .map(|(weight, woff2)| {
        format!(
            "@font-face{{font-family:{FAMILY};font-weight:{};src:url(data:font/woff2;base64,{}) format('woff2')}}",
            weight.number(),
            STANDARD.encode(woff2)
        )
    })
    .concat()
}

/// How wide a text is. Kerning is left out: the answer is a little large, never small.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    let advances = match weight {
        Weight::Regular => &*REGULAR,
        Weight::SemiBold => &*SEMIBOLD,
    };
    // A letter outside the subset falls back to another font: take it for a wide one.
    const UNKNOWN: f64 = 0.9;
    let ems: f64 = text
        .chars()
        .map(|c| advances.get(&c).copied().unwrap_or(UNKNOWN))
        .sum();
    ems * size
}

/// Breaks a text into lines no wider than `limit`, between words.
pub(super) fn wrap(text: &str, size: f64, weight: Weight, limit: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, weight) <= limit => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

static REGULAR: LazyLock<HashMap<char, f64>> = LazyLock::new(|| advances(REGULAR_TTF));
static SEMIBOLD: LazyLock<HashMap<char, f64>> = LazyLock::new(|| advances(SEMIBOLD_TTF));

/// Every letter's advance in ems.
fn advances(ttf: &[u8]) -> HashMap<char, f64> {
    let font = FontRef::new(ttf).expect("the embedded fonts are whole: a test reads them");
    let metrics = font.glyph_metrics(Size::new(1.0), LocationRef::default());
    let letters = font.charmap().mappings().filter_map(|(code, glyph)| {
        Some((
            char::from_u32(code)?,
            f64::from(metrics.advance_width(glyph)?),
        ))
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fonts_can_be_read_and_hold_what_figures_say() {
        for advances in [&*REGULAR, &*SEMIBOLD] {
            let said = "0123456789 AZaz%×→–−≤≥µ’“”·éß…\u{2009}\u{202f}\u{a0}";
            for c in said.chars() {
                assert!(advances.contains_key(&c), "{c:?}");
            }
        }
    }

    #[test]
    fn a_bolder_text_is_wider() {
        let of = |weight| width("requests", 10.0, weight);
        assert!(of(Weight::SemiBold) > of(Weight::Regular));
        assert!((30.0..60.0).contains(&of(Weight::Regular)));
    }

    #[test]
    fn lines_are_no_wider_than_asked() {
        let lines = wrap("one two three four five six", 10.0, Weight::Regular, 60.0);
        assert!(lines.len() > 1);
        assert!(
            lines
                .iter()
                .all(|line| width(line, 10.0, Weight::Regular) <= 60.0)
        );
        assert_eq!(lines.join(" "), "one two three four five six");
    }
}
