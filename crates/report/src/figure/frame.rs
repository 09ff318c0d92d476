//! What figures share: title, subtitle, axes, grid.

use super::{
    numbers::tick_labels,
    scale::Scale,
    scene::{Anchor, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::{self, Weight, wrap},
};
use crate::Estimate;

pub(super) const TITLE: Style = Style {
    size: 19.0,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};
const SUBTITLE: Style = Style {
    size: 13.5,
    weight: Weight::Regular,
    ink: Ink::Muted,
    anchor: Anchor::Start,
};
const AXIS_LABEL: Style = Style {
    size: 13.5,
    weight: Weight::Regular,
    ink: Ink::Text,
    anchor: Anchor::Middle,
};
pub(super) const TICK: Style = Style {
    size: 12.5,
    weight: Weight::Regular,
    ink: Ink::Muted,
    anchor: Anchor::Middle,
};

/// The letters' height above the baseline, as a share of the size: capitals and digits.
pub(super) const CAP: f64 = 0.727;

/// The head of a figure, broken into lines that fit its width.
pub(super) struct Head {
    title: Vec<String>,
    subtitle: Vec<String>,
}

const MARGIN: f64 = 24.0;
const TITLE_LINE: f64 = 25.0;
const SUBTITLE_LINE: f64 = 19.0;

impl Head {
    pub(super) fn new(title: &str, subtitle: &str, width: f64) -> Self {
        let limit = width - 2.0 * MARGIN;
        Self {
            title: wrap(title, TITLE.size, TITLE.weight, limit),
            subtitle: wrap(subtitle, SUBTITLE.size, SUBTITLE.weight, limit),
        }
    }

    /// How much room it takes, to the top of what follows.
    pub(super) fn height(&self) -> f64 {
        let lines = self.title.len() as f64 * TITLE_LINE;
        MARGIN + lines + self.subtitle.len() as f64 * SUBTITLE_LINE + 18.0
    }

    pub(super) fn draw(&self, scene: &mut Scene) {
        let mut y = MARGIN - 6.0;
        for line in &self.title {
            y += TITLE_LINE;
            scene.text(at(MARGIN, y - 5.0), line, TITLE);
        }
        for line in &self.subtitle {
            y += SUBTITLE_LINE;
            scene.text(at(MARGIN, y), line, SUBTITLE);
        }
    }
}

/// Grid lines and labels of a vertical axis, at the plot's left.
pub(super) fn y_axis(scene: &mut Scene, plot: &Rect, scale: &Scale, label: &str) {
    let labels = tick_labels(&scale.ticks, scale.is_log());
    let widths = labels
        .iter()
        .map(|text| typeface::width(text, TICK.size, TICK.weight));
    let widest = widths.fold(0.0, f64::max);
    for (&tick, text) in scale.ticks.iter().zip(labels) {
        let y = scale.at(tick);
        scene.line(at(plot.x, y), at(plot.right(), y), stroke(Ink::Grid, 1.0));
        let style = Style {
            anchor: Anchor::End,
            ..TICK
        };
        scene.text(at(plot.x - 8.0, y + CAP * TICK.size / 2.0), text, style);
    }
    // Beside the widest tick, but in one line over panels that differ little.
    let aside = (widest + 22.0).max(50.0);
    let middle = at(plot.x - aside, plot.y + plot.height / 2.0);
    scene.turned_text(middle, label, AXIS_LABEL);
}

/// Line and label of a horizontal axis, at the plot's bottom.
pub(super) fn axis_line(scene: &mut Scene, plot: &Rect, label: &str) {
    let y = plot.bottom();
    scene.line(at(plot.x, y), at(plot.right(), y), stroke(Ink::Axis, 1.2));
    let middle = at(plot.x + plot.width / 2.0, y + 42.0);
    scene.text(middle, label, AXIS_LABEL);
}

/// Line, ticks and labels of a horizontal axis.
pub(super) fn x_axis(scene: &mut Scene, plot: &Rect, scale: &Scale, label: &str) {
    axis_line(scene, plot, label);
    let y = plot.bottom();
    let labels = tick_labels(&scale.ticks, scale.is_log());
    for (&tick, text) in scale.ticks.iter().zip(labels) {
        let x = scale.at(tick);
        scene.line(at(x, y), at(x, y + 5.0), stroke(Ink::Axis, 1.2));
        scene.text(at(x, y + 20.0), text, TICK);
    }
}

/// A vertical axis for latencies and their intervals, and whether it is in seconds rather than
/// milliseconds: from zero, unless they span more than a factor of 15.
pub(super) fn latency_scale(
    latencies_ms: impl Iterator<Item = Estimate>,
    plot: &Rect,
) -> (Scale, bool) {
    let (mut least, mut most) = (f64::INFINITY, 0.0);
    for Estimate { value, interval } in latencies_ms {
        let [low, high] = interval.unwrap_or([value; 2]);
        least = f64::min(least, low.min(value));
        most = f64::max(most, high.max(value));
    }
    let in_seconds = most >= 2000.0;
    let divisor = if in_seconds { 1000.0 } else { 1.0 };
    let pixels = [plot.bottom(), plot.y];
    let scale = if least > 0.0 && most / least > 15.0 {
        Scale::log([least * 0.9 / divisor, most * 1.1 / divisor], pixels)
    } else {
        Scale::from_zero(most * 1.05 / divisor, pixels, 8)
    };
    (scale, in_seconds)
}
