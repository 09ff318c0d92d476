//! The requests.

use super::row::{Figure, Row, Shape, head, shown};
use crate::state::State;
use ratatui::text::Span;

pub(crate) fn rows(state: &State, shape: Shape) -> Vec<Row> {
    let moment = state.moment();
    let value = |of: fn(&lab::Moment) -> Option<f64>| moment.and_then(of);
    let run = |of: fn(&lab::Moment) -> Option<f64>| match value(of) {
        Some(ms) => format!("the run so far {} ms", shown(Some(ms))),
        None => String::new(),
    };
    let figures = [
        Figure {
            name: "TTFT p50",
            value: value(|moment| moment.lately_ttft_p50_ms),
            unit: "ms",
            past: &state.load.ttft_p50,
            aside: run(|moment| moment.ttft_p50_ms),
        },
        Figure {
            name: "TTFT p99",
            value: value(|moment| moment.lately_ttft_p99_ms),
            unit: "ms",
            past: &state.load.ttft_p99,
            aside: run(|moment| moment.ttft_p99_ms),
        },
        Figure {
            name: "tokens/s",
            value: value(|moment| Some(moment.chunks_per_s)),
            unit: "",
            past: &state.load.tokens,
            aside: "chunks that carry tokens".to_owned(),
        },
    ];
    let mut rows = vec![head(11, "LOAD", "", shape), users(state, shape)];
    rows.extend(
        figures
            .iter()
            .zip([2, 2, 3])
            .map(|(figure, rank)| figure.row(rank, shape)),
    );
    rows
}

fn users(state: &State, shape: Shape) -> Row {
    let users = state.run.as_ref().map_or(0, |run| run.users);
    let Some(moment) = state.moment() else {
        return Row::new(1, Span::raw(format!(" users {users}")));
    };
    let (in_flight, ok, failed) = (moment.in_flight, moment.ok, moment.failed);
    let palette = shape.palette;
    let style = if failed > 0 {
        palette.bad()
    } else {
        palette.good()
    };
    Row::new(
        1,
        vec![
            Span::raw(format!(" users {users} · ")),
            Span::styled(format!("{failed} failed"), style),
            Span::raw(format!(" · {ok} ok · {in_flight} in flight")),
        ],
    )
}
