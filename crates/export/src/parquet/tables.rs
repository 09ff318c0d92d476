//! What the tables hold, as columns. Integers are signed, times in whole microseconds: Spark and Trino
//! read neither unsigned integers nor nanoseconds of a day.

use crate::{Run, wall};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use clock::SessionNs;
use record::{Column, RequestRow, RunState, Session};
use std::{sync::Arc, time::Duration};

/// A column as it is built.
pub(super) struct Built {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) values: ArrayRef,
}

fn column(name: &str, unit: &'static str, values: impl Array + 'static) -> Built {
    Built {
        name: name.to_owned(),
        unit,
        values: Arc::new(values),
    }
}

fn texts(name: &str, of: impl Iterator<Item = Option<String>>) -> Built {
    column(name, "", of.collect::<StringArray>())
}

fn counts(name: &str, unit: &'static str, of: impl Iterator<Item = Option<i64>>) -> Built {
    column(name, unit, of.collect::<Int64Array>())
}

fn numbers(name: &str, unit: &'static str, of: impl Iterator<Item = Option<f64>>) -> Built {
    column(name, unit, of.collect::<Float64Array>())
}

/// Times of the session, on the wall clock.
fn moments(name: &str, session: &Session, of: impl Iterator<Item = SessionNs>) -> Built {
    let us = of.map(|t| Some(wall(session, t).div_euclid(1000)));
    let times: TimestampMicrosecondArray = us.collect();
    column(name, "", times.with_timezone("UTC"))
}

/// One name in every row: what rows of several sessions are told apart by.
fn session_name(session: &Session, rows: usize) -> Built {
    texts(
        "session",
        vec![Some(session.manifest.session.clone()); rows].into_iter(),
    )
}

/// A row a run: what it was, on what, and what the session concluded.
pub(super) fn runs(session: &Session, runs: &[Run]) -> Vec<Built> {
    let manifest = &session.manifest;
    let each = |name: &str, of: &dyn Fn(&Run) -> Option<String>| texts(name, runs.iter().map(of));
    let same = |name: &str, value: Option<&str>| each(name, &|_| value.map(str::to_owned));
    let count = |name: &str, unit, of: &dyn Fn(&Run) -> Option<i64>| {
        counts(name, unit, runs.iter().map(of))
    };
    let whole = |run: &Run| Some(run.manifest.state == RunState::Complete);
    let passed = |run: &Run| Some(run.manifest.gates.iter().all(|gate| gate.passed));
    let starts = runs.iter().map(|run| {
        let stages = run.manifest.stages.as_ref();
        let start = stages.map(|stages| wall(session, stages.measure.start_ns));
        start.map(|ns| ns.div_euclid(1000))
    });
    let starts: TimestampMicrosecondArray = starts.collect();
    vec![
        session_name(session, runs.len()),
        each("run", &|run| Some(run.id.to_string())),
        same("experiment", Some(&manifest.experiment)),
        same("spillpoint", Some(&manifest.spillpoint)),
        same("model", Some(&manifest.target.model)),
        same("server", manifest.target.server.as_deref()),
        same("cpu", manifest.host.cpu.as_deref()),
        same("kernel", Some(&manifest.host.kernel)),
        same("device", manifest.device.name.as_deref()),
        same("device_model", manifest.device.model.as_deref()),
        same(
            "verdict",
            manifest.verdict.as_ref().map(|it| it.kind.name()),
        ),
        each("phase", &|run| Some(run.manifest.phase.clone())),
        each("arm", &|run| run.manifest.arm.clone()),
        count("users", "", &|run| Some(run.manifest.users.into())),
        count("repeat", "", &|run| Some(run.manifest.repeat.into())),
        count("prompt_tokens", "tokens", &|run| {
            Some(run.manifest.workload.prompt_tokens.into())
        }),
        count("output_tokens", "tokens", &|run| {
            Some(run.manifest.workload.output_tokens.into())
        }),
        column("measure_start_utc", "", starts.with_timezone("UTC")),
        numbers(
            "measure_s",
            "s",
            runs.iter()
                .map(|run| run.manifest.stages.map(|stages| stages.measure.seconds())),
        ),
        column(
            "complete",
            "",
            runs.iter().map(whole).collect::<BooleanArray>(),
        ),
        column(
            "gates_passed",
            "",
            runs.iter().map(passed).collect::<BooleanArray>(),
        ),
    ]
}

/// A row a request.
pub(super) fn requests(session: &Session, runs: &[Run]) -> Vec<Built> {
    let all = || {
        runs.iter()
            .flat_map(|run| run.rows.iter().map(move |row| (run, row)))
    };
    let text = |name: &str, of: &dyn Fn(&Run, &RequestRow) -> Option<String>| {
        texts(name, all().map(|(run, row)| of(run, row)))
    };
    let count = |name: &str, unit, of: &dyn Fn(&Run, &RequestRow) -> Option<u32>| {
        counts(
            name,
            unit,
            all().map(|(run, row)| of(run, row).map(i64::from)),
        )
    };
    let time = |name: &str, of: fn(&RequestRow) -> i64| {
        counts(name, "ns", all().map(|(_, row)| Some(of(row))))
    };
    let span = |name: &str, of: fn(&RequestRow) -> Option<Duration>| {
        let ms = |row: &RequestRow| of(row).map(|it| it.as_nanos() as f64 / 1e6);
        numbers(name, "ms", all().map(|(_, row)| ms(row)))
    };
    vec![
        session_name(session, all().count()),
        text("run", &|run, _| Some(run.id.to_string())),
        text("phase", &|run, _| Some(run.manifest.phase.clone())),
        text("arm", &|run, _| run.manifest.arm.clone()),
        count("users", "", &|run, _| Some(run.manifest.users)),
        count("repeat", "", &|run, _| Some(run.manifest.repeat)),
        counts("request", "", all().map(|(_, row)| number(row.request))),
        count("user", "", &|_, row| Some(row.user)),
        text("stage", &|_, row| Some(row.stage.name().to_owned())),
        text("adapter", &|_, row| row.adapter.clone()),
        count("prompt_tokens_wanted", "tokens", &|_, row| {
            Some(row.prompt_tokens_wanted)
        }),
        count("prompt_tokens", "tokens", &|_, row| row.prompt_tokens),
        count("cached_tokens", "tokens", &|_, row| row.cached_tokens),
        count("output_tokens", "tokens", &|_, row| row.output_tokens),
        count("chunks", "", &|_, row| Some(row.chunks)),
        moments("sent_utc", session, all().map(|(_, row)| row.sent)),
        time("intended_ns", |row| row.intended.0),
        time("sent_ns", |row| row.sent.0),
        time("ended_ns", |row| row.ended.0),
        span("queue_ms", |row| Some(row.queue)),
        span("ttfb_ms", |row| row.ttfb),
        span("ttft_ms", |row| row.ttft),
        span("ttfa_ms", |row| row.ttfa),
        span("e2e_ms", |row| row.e2e),
        span("tpot_ms", |row| row.tpot),
        span("client_lag_ms", |row| row.client_lag),
        text("clock", &|_, row| Some(row.clock.name().to_owned())),
        text("outcome", &|_, row| Some(row.outcome.name().to_owned())),
        count("status", "", &|_, row| row.status.map(u32::from)),
        text("error", &|_, row| row.error.clone()),
    ]
}

/// A row a chunk that bore tokens.
pub(super) fn tokens(session: &Session, runs: &[Run]) -> Vec<Built> {
    let all = || {
        let of = |run| {
            let run: &Run = run;
            run.tokens.iter().flat_map(move |tokens| {
                let chunks = tokens.chunks.iter();
                chunks.map(move |chunk| (run, tokens.request, chunk))
            })
        };
        runs.iter().flat_map(of)
    };
    let ns = |span: Duration| i64::try_from(span.as_nanos()).ok();
    vec![
        session_name(session, all().count()),
        texts("run", all().map(|(run, ..)| Some(run.id.to_string()))),
        counts("request", "", all().map(|(_, request, _)| number(request))),
        counts(
            "arrival_since_sent_ns",
            "ns",
            all().map(|(.., chunk)| ns(chunk.arrival)),
        ),
        counts(
            "client_lag_ns",
            "ns",
            all().map(|(.., chunk)| chunk.lag.and_then(ns)),
        ),
    ]
}

fn number(request: u64) -> Option<i64> {
    i64::try_from(request).ok()
}

/// A row a tick, and a column for each that any run has.
pub(super) fn telemetry(session: &Session, runs: &[Run]) -> Vec<Built> {
    let recorded = || {
        runs.iter()
            .filter_map(|run| Some((run, run.telemetry.as_ref()?)))
    };
    let mut names: Vec<&Column> = Vec::new();
    for column in recorded().flat_map(|(_, telemetry)| telemetry.columns()) {
        if !names.contains(&column) {
            names.push(column);
        }
    }
    let ids =
        recorded().flat_map(|(run, telemetry)| vec![Some(run.id.to_string()); telemetry.len()]);
    let times = || recorded().flat_map(|(_, telemetry)| telemetry.times().iter().copied());
    let mut columns = vec![
        session_name(session, times().count()),
        texts("run", ids),
        moments("t_utc", session, times()),
        counts("t_ns", "ns", times().map(|t| Some(t.0))),
    ];
    for name in names {
        let values = recorded().flat_map(|(_, telemetry)| match telemetry.series(name) {
            Some(series) => series.iter().collect::<Vec<_>>(),
            None => vec![None; telemetry.len()],
        });
        let name = name.to_string();
        columns.push(numbers(&name, unit(&name), values));
    }
    columns
}

/// The unit that a column's name ends with.
fn unit(name: &str) -> &'static str {
    const UNITS: [(&str, &str); 9] = [
        ("_us", "us"),
        ("_ms", "ms"),
        ("_bytes", "bytes"),
        ("_pages", "pages"),
        ("_pct", "%"),
        ("_mhz", "MHz"),
        ("_mw", "mW"),
        ("_c", "°C"),
        ("_count", "count"),
    ];
    let found = UNITS.iter().find(|(end, _)| name.ends_with(end));
    found.map_or("", |(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_names_end() {
        assert_eq!(unit("disk_nvme0n1_read_bytes"), "bytes");
        assert_eq!(unit("psi_io_some_us"), "us");
        assert_eq!(unit("disk_nvme0n1_aqu_sz"), "");
    }
}
