//! The gates, and what was worth telling.

use super::row::{Row, Shape, cut, head, shown};
use crate::state::{Mark, Note, Standing, State};
use ratatui::{style::Style, text::Span};

pub(crate) fn rows(state: &State, shape: Shape) -> Vec<Row> {
    let mut rows = Vec::new();
    if !state.gates.is_empty() {
        rows.push(head(10, "GATES", "", shape));
    }
    let (mut line, mut width, mut failed) = (Vec::new(), 0, false);
    for standing in &state.gates {
        let (words, style) = gate(standing, shape);
        let item = words.chars().count() + 1;
        if width > 0 && width + item > shape.width {
            rows.push(line_of(&mut line, failed));
            (width, failed) = (0, false);
        }
        width += item;
        failed |= standing.mark == Mark::Failed;
        line.push(Span::raw(" "));
        line.push(Span::styled(words, style));
    }
    if !line.is_empty() {
        rows.push(line_of(&mut line, failed));
    }
    rows
}

/// A line with a gate that failed goes last of all.
fn line_of(line: &mut Vec<Span<'static>>, failed: bool) -> Row {
    Row::new(if failed { 1 } else { 7 }, std::mem::take(line))
}

/// Columns of a gate, so that they stand below each other.
const GATE: usize = 38;

fn gate(standing: &Standing, shape: Shape) -> (String, Style) {
    let (gate, palette) = (&standing.gate, shape.palette);
    let (mark, style) = match standing.mark {
        Mark::Open => ("·", palette.faint()),
        Mark::Passed => ("✓", palette.good()),
        Mark::Failed => ("✗", palette.bad()),
    };
    let (name, limit) = (&gate.name, &gate.limit);
    let measured = shown(gate.measured);
    let words = format!("{mark} {name} {measured} ({limit})");
    (format!("{words:<GATE$}"), style)
}

/// The last notes, as many as there are lines for; a note takes one.
pub(crate) fn notes(notes: &[Note], lines: usize, shape: Shape) -> Vec<Row> {
    let first = notes.len().saturating_sub(lines);
    let row = |note: &Note| {
        let palette = shape.palette;
        let style = if note.grave {
            palette.bad()
        } else {
            palette.warning()
        };
        let words = cut(&format!("! {}", note.words), shape.width.saturating_sub(1));
        let rank = if note.grave { 3 } else { 8 };
        Row::new(rank, vec![Span::raw(" "), Span::styled(words, style)])
    };
    notes[first..].iter().map(row).collect()
}
