//! The dashboard on so many columns and lines: a pure function of what is known.

mod gates;
mod host;
mod load;
mod row;
mod top;

use crate::{
    palette::Palette,
    state::{State, Subject},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};
pub(crate) use row::shown;
use row::{Row, Shape, cut};

/// Notes that bars make room for.
const NOTES: usize = 3;
/// The tallest bars.
const TALLEST: usize = 4;

/// Draws all of it: what matters most where there is little room, taller bars where there is much.
pub fn draw(state: &State, palette: Palette, buffer: &mut Buffer) {
    let area = buffer.area;
    let shape = |tall| Shape {
        width: usize::from(area.width),
        tall,
        palette,
    };
    let lines = usize::from(area.height);
    let notes = state.notes.len().min(NOTES) + 1;
    let mut rows = tallest(
        |tall| figures(state, shape(tall)),
        lines.saturating_sub(notes),
    );
    let free = lines.saturating_sub(count(&rows) + 1).max(1);
    rows.extend(gates::notes(&state.notes, free, shape(1)));
    let rest = lines.saturating_sub(count(&rows) + 1);
    rows.extend((0..rest).map(|_| Row::new(u8::MAX, Line::default())));
    rows.push(foot(state, shape(1)));
    print(fit(rows, lines), area, buffer);
}

fn figures(state: &State, shape: Shape) -> Vec<Row> {
    let mut rows = top::rows(state, shape);
    if matches!(state.subject, Subject::Session) {
        rows.extend(load::rows(state, shape));
    }
    rows.extend(host::rows(state, shape));
    rows.extend(gates::rows(state, shape));
    rows
}

fn foot(state: &State, shape: Shape) -> Row {
    let words = match state.subject {
        Subject::Session => "Ctrl-C ends early and keeps what was measured",
        Subject::Host(_) => "Ctrl-C ends",
    };
    let words = cut(words, shape.width.saturating_sub(1));
    Row::new(13, Span::styled(format!(" {words}"), shape.palette.faint()))
}

/// The rows with the tallest bars for which there is room.
fn tallest(make: impl Fn(usize) -> Vec<Row>, room: usize) -> Vec<Row> {
    let fits = |tall: &usize| count(&make(*tall)) <= room;
    make((2..=TALLEST).rev().find(fits).unwrap_or(1))
}

fn count(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.lines.len()).sum()
}

/// The lines of the rows, those of the greatest rank left out where they don't fit.
fn fit(mut rows: Vec<Row>, room: usize) -> Vec<Line<'static>> {
    while count(&rows) > room {
        let ranked = rows.iter().enumerate().max_by_key(|(_, row)| row.rank);
        let Some((place, _)) = ranked else { break };
        rows.remove(place);
    }
    rows.into_iter().flat_map(|row| row.lines).collect()
}

fn print(lines: Vec<Line<'static>>, area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
        line.render(
            Rect {
                y,
                height: 1,
                ..area
            },
            buffer,
        );
    }
}

#[cfg(test)]
mod tests;
