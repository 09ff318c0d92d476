//! Colours by role, light and dark.
//!
//! The series' hues are those of Okabe & Ito, "Color Universal Design" (2008), which readers with
//! any common colour vision can tell apart; text in a series' colour is darkened (or, on dark,
//! lightened) to a contrast of at least 4.5.

use std::fmt::Write as _;

/// What a figure is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// White paper.
    Light,
    /// A dark screen.
    Dark,
}

/// The colour of a shape, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The ground that all is drawn on.
    Surface,
    /// Titles, labels of axes.
    Text,
    /// Subtitles, ticks' labels.
    Muted,
    /// Grid lines.
    Grid,
    /// Axes and their ticks.
    Axis,
    /// The ground of every second run.
    Band,
    /// The first series.
    Blue,
    /// Text that names it.
    BlueText,
    /// The series that matters: waits for storage.
    Vermilion,
    /// Text that names it.
    VermilionText,
    /// A further series.
    Sky,
    /// Text that names it.
    SkyText,
    /// A further series.
    Purple,
    /// Text that names it.
    PurpleText,
    /// A step of the heat map's colours, 0 to [`HEAT_STEPS`] − 1.
    Heat(u8),
}

/// The steps of the heat map's colours. Step 0 means none at all.
pub(crate) const HEAT_STEPS: u8 = 10;

impl Ink {
    fn all() -> impl Iterator<Item = Ink> {
        use Ink::*;
        [
            Surface,
            Text,
            Muted,
            Grid,
            Axis,
            Band,
            Blue,
            BlueText,
            Vermilion,
            VermilionText,
            Sky,
            SkyText,
            Purple,
            PurpleText,
        ]
        .into_iter()
        .chain((0..HEAT_STEPS).map(Heat))
    }

    /// The colour as `#rrggbb`.
    pub(crate) fn hex(self, theme: Theme) -> String {
        let [light, dark] = match self {
            Ink::Surface => [0xffffff, 0x0d1117],
            Ink::Text => [0x1f2328, 0xe6edf3],
            Ink::Muted => [0x59636e, 0x9aa4af],
            Ink::Grid => [0xe6e9ed, 0x242b33],
            Ink::Axis => [0xaeb7c0, 0x57606a],
            Ink::Band => [0xf4f6f8, 0x151b23],
            Ink::Blue => [0x0072b2, 0x4aa8e8],
            Ink::BlueText => [0x00649c, 0x6ab7ee],
            Ink::Vermilion => [0xd55e00, 0xf07f2e],
            Ink::VermilionText => [0xb54f00, 0xff9d57],
            Ink::Sky => [0x7cc3ec, 0x3f7fa8],
            Ink::SkyText => [0x26719c, 0x86c5ec],
            Ink::Purple => [0xcc79a7, 0xb86894],
            Ink::PurpleText => [0x9c4677, 0xdf9dc2],
            Ink::Heat(step) => [heat(step, &HEAT_LIGHT), heat(step, &HEAT_DARK)],
        };
        let colour = match theme {
            Theme::Light => light,
            Theme::Dark => dark,
        };
        format!("#{colour:06x}")
    }

    /// The name of its class in the page: `k-` and this.
    pub(crate) fn class(self) -> String {
        match self {
            Ink::Heat(step) => format!("heat{step}"),
            other => format!("{other:?}").to_lowercase(),
        }
    }
}

/// From little to much, evenly spaced; step 0 has a colour of its own, the first.
const HEAT_LIGHT: [u32; 6] = [0xf1f3f5, 0xfee8d2, 0xfdb777, 0xe57419, 0xad4500, 0x571f00];
const HEAT_DARK: [u32; 6] = [0x171d25, 0x3b2311, 0x7c3f0d, 0xc8620f, 0xff9f55, 0xffe0c4];

fn heat(step: u8, anchors: &[u32; 6]) -> u32 {
    if step == 0 {
        return anchors[0];
    }
    let last = f64::from(HEAT_STEPS - 2);
    let at = f64::from(step.min(HEAT_STEPS - 1) - 1) / last * (anchors.len() - 2) as f64;
    let left = (at as usize).min(anchors.len() - 3);
    let share = at - left as f64;
    let channel = |shift: u32| {
        let part = |colour: u32| f64::from((colour >> shift) & 0xff);
        let mixed = part(anchors[left + 1]) * (1.0 - share) + part(anchors[left + 2]) * share;
        (mixed.round() as u32) << shift
    };
    channel(16) | channel(8) | channel(0)
}

/// The page's rules: a class for every ink as fill and as line, light and dark.
pub(crate) fn stylesheet() -> String {
    let mut css = String::new();
    let rules = |css: &mut String, theme| {
        for ink in Ink::all() {
            let (class, hex) = (ink.class(), ink.hex(theme));
            // Writing to a String can't fail.
            let _ = write!(css, ".f-{class}{{fill:{hex}}}.s-{class}{{stroke:{hex}}}");
        }
    };
    rules(&mut css, Theme::Light);
    css.push_str("@media screen and (prefers-color-scheme:dark){");
    rules(&mut css, Theme::Dark);
    css.push('}');
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as WCAG 2.1 defines them.
    fn luminance(ink: Ink, theme: Theme) -> f64 {
        let colour = u32::from_str_radix(&ink.hex(theme)[1..], 16).unwrap();
        let channel = |shift: u32| {
            let value = f64::from((colour >> shift) & 0xff) / 255.0;
            if value <= 0.03928 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
    }

    #[test]
    fn text_can_be_read_on_its_ground() {
        use Ink::*;
        for theme in [Theme::Light, Theme::Dark] {
            for ink in [Text, Muted, BlueText, VermilionText, SkyText, PurpleText] {
                for ground in [Surface, Band] {
                    let (a, b) = (luminance(ink, theme), luminance(ground, theme));
                    let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(
                        contrast >= 4.5,
                        "{ink:?} on {ground:?}, {theme:?}: {contrast:.2}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_heat_maps_colours_go_one_way() {
        for (theme, sign) in [(Theme::Light, -1.0), (Theme::Dark, 1.0)] {
            let steps: Vec<f64> = (0..HEAT_STEPS)
                .map(|step| sign * luminance(Ink::Heat(step), theme))
                .collect();
            assert!(steps.is_sorted(), "{theme:?}: {steps:?}");
        }
    }
}
