//! What is looked at, and how far it is.

use super::row::{Row, Shape, bar, clock, cut};
use crate::state::{HostTitle, Left, Run, State, Subject};
use ratatui::text::Span;

pub(crate) fn rows(state: &State, shape: Shape) -> Vec<Row> {
    match &state.subject {
        Subject::Host(title) => host(state, title, shape),
        Subject::Session => session(state, shape),
    }
}

fn title(text: &str, shape: Shape) -> Row {
    let words = cut(text, shape.width.saturating_sub(1));
    Row::new(2, Span::styled(format!(" {words}"), shape.palette.head()))
}

fn session(state: &State, shape: Shape) -> Vec<Row> {
    let Some(session) = &state.session else {
        return vec![title("spillpoint · the target is looked at …", shape)];
    };
    let (name, model, api, url) = (&session.name, &session.model, &session.api, &session.url);
    let mut rows = vec![title(&format!("{name} · {model} ({api}) at {url}"), shape)];
    let run = state.run.as_ref();
    let left = match session.left(run) {
        Left::AtLeast(span) => format!("{} left at least", clock(span)),
        Left::About(span) => format!("{} left", clock(span)),
    };
    let (number, runs) = (session.number, session.runs);
    let gone = clock(session.gone(state.now));
    let words = [
        format!("run {number} of {runs} · {gone} gone · {left}"),
        format!("{number}/{runs} · {left}"),
    ];
    rows.push(progress(0, "plan", session.done(run), &words, shape));
    if let Some(run) = run {
        let share = if run.ended {
            1.0
        } else {
            run.moment.as_ref().map_or(0.0, |m| m.done)
        };
        let (id, stage) = (&run.id, stage(run));
        let words = [format!("{id} · {stage}"), stage.clone()];
        rows.push(progress(1, "run", share, &words, shape));
    }
    rows
}

/// The part of a run, and what is left of it.
fn stage(run: &Run) -> String {
    match &run.moment {
        _ if run.ended => "ended".to_owned(),
        None => "preparing".to_owned(),
        Some(moment) if moment.left.is_zero() => "the last requests end".to_owned(),
        Some(moment) => format!("{} · {} left", moment.stage.name(), clock(moment.left)),
    }
}

/// A bar and words: the longer ones where there is room.
fn progress(rank: u8, name: &str, share: f64, words: &[String; 2], shape: Shape) -> Row {
    let wide = shape.width >= 66;
    let width = if wide { 24 } else { 8 };
    let words = &words[usize::from(!wide)];
    let mut spans = vec![Span::raw(format!(" {name:<5}"))];
    spans.extend(bar(share, width, shape.palette));
    let room = shape.width.saturating_sub(width + 7);
    spans.push(Span::raw(format!(" {}", cut(words, room))));
    Row::new(rank, spans)
}

fn host(state: &State, about: &HostTitle, shape: Shape) -> Vec<Row> {
    let gone = clock(state.now);
    let time = match about.limit {
        Some(limit) => format!("{gone} of {}", clock(limit)),
        None => gone,
    };
    let mut rows = vec![title(&format!("spillpoint watch · {time}"), shape)];
    let late = super::row::shown(state.host.late_us);
    if let Some((due, taken)) = state.ticks {
        let words = format!(" {taken} of {due} ticks taken, the last {late} µs late");
        rows.push(Row::new(8, Span::raw(cut(&words, shape.width))));
    }
    for also in &about.also {
        rows.push(Row::new(
            7,
            Span::raw(cut(&format!(" {also}"), shape.width)),
        ));
    }
    rows
}
