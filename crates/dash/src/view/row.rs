//! A line of the dashboard, and what it is made of.

use crate::{palette::Palette, series::Series};
use ratatui::text::{Line, Span};

/// One or more lines that belong together.
pub(crate) struct Row {
    /// What is left out first where there is no room: the greatest.
    pub(crate) rank: u8,
    pub(crate) lines: Vec<Line<'static>>,
}

impl Row {
    pub(crate) fn new(rank: u8, line: impl Into<Line<'static>>) -> Self {
        Self {
            rank,
            lines: vec![line.into()],
        }
    }
}

/// How rows are to be made.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Columns.
    pub(crate) width: usize,
    /// Lines that a figure's bars take.
    pub(crate) tall: usize,
    pub(crate) palette: Palette,
}

/// Columns of a figure's name, its value, and its unit.
const NAME: usize = 10;
const VALUE: usize = 8;
const UNIT: usize = 6;
/// Columns of what is said beside a figure, and the width from which there is room for it.
const ASIDE: usize = 31;
const ASIDE_FROM: usize = 66;
/// The same, where there is much room.
const LONG_ASIDE: usize = 46;
const LONG_ASIDE_FROM: usize = 110;

/// A figure: its name, its value, its past, and what else is said of it.
pub(crate) struct Figure<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'a str,
    pub(crate) past: &'a Series,
    pub(crate) aside: String,
}

impl Figure<'_> {
    pub(crate) fn row(&self, rank: u8, shape: Shape) -> Row {
        let palette = shape.palette;
        let aside = match shape.width {
            _ if self.aside.is_empty() => 0,
            LONG_ASIDE_FROM.. => LONG_ASIDE,
            ASIDE_FROM.. => ASIDE,
            _ => 0,
        };
        let taken = 1 + NAME + VALUE + 1 + UNIT + aside;
        let bars = self
            .past
            .bars(shape.width.saturating_sub(taken), shape.tall);
        let lines = bars.into_iter().enumerate().map(|(place, bars)| {
            if place > 0 {
                let room = " ".repeat(taken - aside);
                return Line::from(vec![Span::raw(room), Span::styled(bars, palette.bars())]);
            }
            let mut spans = vec![
                Span::raw(format!(" {:<NAME$}", self.name)),
                Span::styled(format!("{:>VALUE$}", shown(self.value)), palette.figure()),
                Span::styled(format!(" {:<UNIT$}", self.unit), palette.faint()),
                Span::styled(bars, palette.bars()),
            ];
            if aside > 0 {
                spans.push(Span::raw(format!("  {}", cut(&self.aside, aside - 2))));
            }
            Line::from(spans)
        });
        Row {
            rank,
            lines: lines.collect(),
        }
    }
}

/// The head of a section, with a rule to the edge.
pub(crate) fn head(rank: u8, name: &str, said: &str, shape: Shape) -> Row {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!("{said} ")
    };
    let taken = name.chars().count() + said.chars().count() + 2;
    let rule = "─".repeat(shape.width.saturating_sub(taken));
    let palette = shape.palette;
    Row::new(
        rank,
        vec![
            Span::styled(format!(" {name} "), palette.head()),
            Span::raw(said),
            Span::styled(rule, palette.faint()),
        ],
    )
}

/// A bar that shows a share from 0 to 1.
pub(crate) fn bar(share: f64, width: usize, palette: Palette) -> Vec<Span<'static>> {
    let full = ((share * width as f64).round() as usize).min(width);
    vec![
        Span::styled("━".repeat(full), palette.good()),
        Span::styled("─".repeat(width - full), palette.faint()),
    ]
}

/// A figure with three digits, or a dash where there is none.
pub(crate) fn shown(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 99.95 => format!("{value:.0}"),
        Some(value) if value >= 9.995 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// A time as a clock shows it.
pub(crate) fn clock(span: std::time::Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// Cuts a text to so many columns, with a sign that it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn three_digits() {
        let all = [
            None,
            Some(0.0),
            Some(0.126),
            Some(9.999),
            Some(12.34),
            Some(99.96),
            Some(1234.5),
        ];
        assert_eq!(
            all.map(shown),
            ["–", "0.00", "0.13", "10.0", "12.3", "100", "1234"]
        );
    }

    #[test]
    fn clocks_and_cuts() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(3 * 3600 + 5)), "3:00:05");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
