//! The gates, and what was worth telling.

use super::row::{Row, Shape, cut, head, shown};
use crate::state::{Mark, Note, Standing, State};
use ratatui::{style::Style, text::Span};

pub(crate) fn rows(state: &State, shape: Shape) -> Vec<Row> {
    if state.gates.is_empty() {
        return Vec::new();
    }
    let marked = |mark| {
        let gates = state.gates.iter();
        gates.filter(move |standing| standing.mark == mark)
    };
    let mut rows = vec![head(10, "GATES", "", shape)];
    rows.extend(failed(marked(Mark::Failed), shape));
    let names = |mark| {
        marked(mark)
            .map(|standing| standing.gate.name.as_str())
            .collect()
    };
    let palette = shape.palette;
    rows.extend(listed(
        "✓",
        "hold",
        names(Mark::Passed),
        palette.good(),
        shape,
    ));
    rows.extend(listed(
        "·",
        "open",
        names(Mark::Open),
        palette.faint(),
        shape,
    ));
    rows
}

/// Columns of a gate, so that they stand below each other.
const GATE: usize = 38;

/// The gates that failed, each with its number, as many on a line as there is room for.
fn failed<'a>(gates: impl Iterator<Item = &'a Standing>, shape: Shape) -> Vec<Row> {
    let style = shape.palette.bad();
    let words = |standing: &Standing| {
        let (name, limit) = (&standing.gate.name, &standing.gate.limit);
        format!("✗ {name} {} ({limit})", shown(standing.gate.measured))
    };
    let words: Vec<_> = gates.map(words).collect();
    let row = |words: &[String]| {
        let spans = words.iter().flat_map(|words| {
            let gap = " ".repeat(GATE.saturating_sub(words.chars().count()));
            [
                Span::raw(" "),
                Span::styled(words.clone(), style),
                Span::raw(gap),
            ]
        });
        // It goes last of all.
        Row::new(1, spans.collect::<Vec<_>>())
    };
    let a_line = (shape.width / (GATE + 1)).max(1);
    words.chunks(a_line).map(row).collect()
}

/// The others, by their names.
fn listed(mark: &str, what: &str, names: Vec<&str>, style: Style, shape: Shape) -> Option<Row> {
    if names.is_empty() {
        return None;
    }
    let words = format!("{mark} {} {what}: {}", names.len(), names.join(", "));
    let words = cut(&words, shape.width.saturating_sub(1));
    Some(Row::new(
        7,
        vec![Span::raw(" "), Span::styled(words, style)],
    ))
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
