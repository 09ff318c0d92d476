//! The shape of guidellm's report, version 2: one `benchmarks.json`, a benchmark a run.
//!
//! guidellm derives a request's latencies from its stamps, and a benchmark's statistics from its
//! requests: the stamps are written, and the statistics as guidellm computes them, of the
//! requests that ended well. A statistic that the rows do not give has no values. Of its own
//! scheduler guidellm writes -1 where it knows nothing; so does this.

use crate::{
    ExportError, Run,
    distribution::{rates, summary},
    wall,
};
use record::{Interval, Outcome, RequestRow, Session, Stage};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) fn write(
    session: &Session,
    runs: &[Run],
    folder: &Path,
) -> Result<Vec<PathBuf>, ExportError> {
    let path = folder.join("benchmarks.json");
    let benchmarks: Vec<Value> = (0..)
        .zip(runs)
        .filter_map(|(index, run)| benchmark(session, run, index))
        .collect();
    let report = json!({
        "metadata": {
            "version": 2,
            // guidellm did not run: whose file this is stands in its place.
            "guidellm_version": format!("none; spillpoint {}", session.manifest.spillpoint),
            "python_version": "none",
            "platform": format!("{} {}", session.manifest.host.kernel, session.manifest.host.arch),
        },
        "config": config(session, runs),
        "benchmarks": benchmarks,
    });
    std::fs::write(&path, report.to_string()).map_err(ExportError::io(&path))?;
    Ok(vec![path])
}

/// The scenario that guidellm would have been given for the same load.
fn config(session: &Session, runs: &[Run]) -> Value {
    let streams: BTreeSet<u32> = runs.iter().map(|run| run.manifest.users.max(1)).collect();
    let data: BTreeSet<(u32, u32)> = runs
        .iter()
        .map(|run| {
            let workload = &run.manifest.workload;
            (workload.prompt_tokens.max(1), workload.output_tokens.max(1))
        })
        .collect();
    let data: Vec<Value> = data
        .iter()
        .map(|(prompt, output)| {
            json!({"kind": "synthetic_text", "prompt_tokens": prompt, "output_tokens": output})
        })
        .collect();
    json!({
        "metadata": {"labels": {"session": session.manifest.session}},
        "spec": {
            "backend": backend(session),
            "profile": {"kind": "concurrent", "streams": streams},
            "data": data,
        },
        "benchmarks": [Value::Null],
    })
}

fn backend(session: &Session) -> Value {
    let target = &session.manifest.target;
    json!({"kind": "openai_http", "target": target.url, "model": target.model})
}

/// Nothing for a run of which not even the interval is known.
fn benchmark(session: &Session, run: &Run, index: usize) -> Option<Value> {
    let rows: Vec<&RequestRow> = run
        .rows
        .iter()
        .filter(|row| row.stage == Stage::Measure)
        .collect();
    let measure = run.manifest.stages.map(|stages| stages.measure)?;
    let of = |status| rows.iter().copied().filter(move |row| is(row, status));
    let each = |status| -> Vec<Value> {
        of(status)
            .map(|row| request(session, run, row, status))
            .collect()
    };
    let [successful, incomplete, errored] = [COMPLETED, CANCELLED, ERRORED].map(each);
    let totals = json!({
        "successful": successful.len(),
        "incomplete": incomplete.len(),
        "errored": errored.len(),
        "total": rows.len(),
    });
    let ok: Vec<&RequestRow> = of(COMPLETED).collect();
    let [start, end] = [measure.start_ns, measure.end_ns].map(|t| seconds(wall(session, t)));
    Some(json!({
        "type_": "generative_benchmark",
        "config": {
            "id_": run.id.as_str(),
            "run_id": session.manifest.session,
            "run_index": index,
            "strategy": {"type_": "concurrent", "streams": run.manifest.users.max(1)},
            "constraints": {},
            "profile": {"kind": "concurrent"},
            "requests": {"phase": run.manifest.phase, "arm": run.manifest.arm,
                         "repeat": run.manifest.repeat},
            "backend": backend(session),
            "environment": {"hostname": session.manifest.host.hostname},
        },
        "scheduler_state": {"start_time": start, "end_time": end},
        "scheduler_metrics": scheduler(session, &rows, &measure, &totals),
        "metrics": metrics(session, &ok, &totals, [start, end]),
        "requests": {"successful": successful, "incomplete": incomplete, "errored": errored},
        "start_time": start,
        "end_time": end,
        "duration": end - start,
    }))
}

const COMPLETED: &str = "completed";
const CANCELLED: &str = "cancelled";
const ERRORED: &str = "errored";

fn is(row: &RequestRow, status: &str) -> bool {
    status
        == match row.outcome {
            Outcome::Ok => COMPLETED,
            Outcome::Unfinished => CANCELLED,
            _ => ERRORED,
        }
}

fn seconds(wall_ns: i64) -> f64 {
    wall_ns as f64 / 1e9
}

fn request(session: &Session, run: &Run, row: &RequestRow, status: &str) -> Value {
    let id = format!("{}-{}", run.id, row.request);
    let sent = seconds(wall(session, row.sent));
    let at = |span: Option<Duration>| Some(seconds(wall(session, row.sent.plus(span?))));
    let ended = seconds(wall(session, row.ended));
    let intended = seconds(wall(session, row.intended));
    json!({
        "type_": "generative_request_stats",
        "request_id": id,
        "info": {
            "request_id": id,
            "status": status,
            "error": row.error,
            "timings": {
                "targeted_start": intended,
                "queued": intended,
                "resolve_start": sent,
                "request_start": sent,
                "first_token_iteration": at(row.ttft),
                "first_output_token_iteration": at(row.ttfa),
                "last_token_iteration": at(row.e2e),
                "request_iterations": row.chunks,
                "token_iterations": row.chunks,
                "request_end": ended,
                "resolve_end": ended,
            },
        },
        "input_metrics": {"text_tokens": row.prompt_tokens, "cached_tokens": row.cached_tokens},
        "output_metrics": {"text_tokens": row.output_tokens},
    })
}

fn scheduler(session: &Session, rows: &[&RequestRow], measure: &Interval, totals: &Value) -> Value {
    const UNKNOWN: f64 = -1.0;
    let mean = |values: &dyn Fn(&RequestRow) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(|row| values(row)).collect();
        if values.is_empty() {
            UNKNOWN
        } else {
            values.iter().sum::<f64>() / values.len() as f64
        }
    };
    let queued = mean(&|row| Some(row.queue.as_secs_f64()));
    let took = mean(&|row| Some((row.ended - row.sent) as f64 / 1e9));
    let [from, to] = [measure.start_ns, measure.end_ns].map(|t| seconds(wall(session, t)));
    let first = rows.iter().map(|row| row.sent).min();
    let last = rows.iter().map(|row| row.ended).max();
    let last = last.map_or(to, |t| seconds(wall(session, t)));
    json!({
        "start_time": from,
        "request_start_time": first.map_or(from, |t| seconds(wall(session, t))),
        "measure_start_time": from,
        "measure_end_time": to,
        "request_end_time": last,
        "end_time": last.max(to),
        "requests_made": totals,
        "queued_time_avg": queued,
        "resolve_start_delay_avg": UNKNOWN,
        "resolve_targeted_start_delay_avg": UNKNOWN,
        "request_start_delay_avg": UNKNOWN,
        "request_targeted_start_delay_avg": queued,
        "request_time_avg": took,
        "resolve_end_delay_avg": UNKNOWN,
        "resolve_time_avg": UNKNOWN,
        "finalized_delay_avg": UNKNOWN,
        "processed_delay_avg": UNKNOWN,
        "strategy_type": "concurrent",
    })
}

/// Statistics without values stand as empty objects: guidellm reads them as none.
const WITHOUT: [&str; 9] = [
    "request_concurrency",
    "time_to_last_round_trip_ms",
    "avg_round_trip_time_ms",
    "prompt_tokens_per_second",
    "output_tokens_per_second",
    "tokens_per_second",
    "output_tokens_per_iteration",
    "iter_tokens_per_iteration",
    "request_dispatch_delay",
];

/// The parts of guidellm's summaries by medium; none of them is known but the tokens, which have
/// their own statistics.
const MEDIA: [(&str, &[&str]); 5] = [
    ("text", &["tokens", "words", "characters"]),
    ("image", &["tokens", "images", "pixels", "bytes"]),
    ("video", &["tokens", "frames", "seconds", "bytes"]),
    ("audio", &["tokens", "samples", "seconds", "bytes"]),
    ("tool_call", &["tokens", "mixed_tokens", "count"]),
];

fn metrics(session: &Session, ok: &[&RequestRow], totals: &Value, within: [f64; 2]) -> Value {
    let mut metrics = Map::new();
    metrics.insert("request_totals".into(), totals.clone());
    for name in WITHOUT {
        metrics.insert(name.into(), json!({}));
    }
    for (medium, parts) in MEDIA {
        let none: Map<String, Value> = parts
            .iter()
            .map(|part| ((*part).to_owned(), Value::Null))
            .collect();
        metrics.insert(medium.into(), none.into());
    }
    let ended: Vec<(f64, f64)> = ok
        .iter()
        .map(|row| (seconds(wall(session, row.ended)), 1.0))
        .collect();
    let [start, end] = within;
    metrics.insert(
        "requests_per_second".into(),
        json!({"successful": rates(&ended, start, end)}),
    );
    for (name, of) in STATISTICS {
        let values: Vec<(f64, f64)> = ok.iter().filter_map(|row| of(row)).collect();
        let weight: f64 = values.iter().map(|(_, weight)| weight).sum();
        let summary = summary(values, weight.round() as usize);
        metrics.insert((*name).into(), json!({"successful": summary}));
    }
    metrics.into()
}

/// A statistic's value of a request and that value's weight, as guidellm defines them.
type Statistic = fn(&RequestRow) -> Option<(f64, f64)>;

const STATISTICS: &[(&str, Statistic)] = &[
    ("request_latency", |row| {
        Some(((row.ended - row.sent) as f64 / 1e9, 1.0))
    }),
    ("request_streaming_iterations_count", |row| {
        Some((f64::from(row.chunks), 1.0))
    }),
    ("prompt_token_count", |row| {
        Some((f64::from(row.prompt_tokens?), 1.0))
    }),
    ("output_token_count", |row| {
        Some((f64::from(row.output_tokens?), 1.0))
    }),
    ("total_token_count", |row| {
        Some((f64::from(row.prompt_tokens? + row.output_tokens?), 1.0))
    }),
    ("time_to_first_token_ms", |row| Some((ms(row.ttft?), 1.0))),
    ("time_to_first_output_token_ms", |row| {
        Some((ms(row.ttfa?), 1.0))
    }),
    ("time_per_output_token_ms", |row| {
        let tokens = f64::from(row.output_tokens?);
        (tokens > 0.0).then_some((ms(row.e2e?) / tokens, tokens))
    }),
    ("inter_token_latency_ms", |row| {
        let gaps = f64::from(row.output_tokens?) - 1.0;
        (gaps > 0.0).then_some((ms(row.e2e?.saturating_sub(row.ttft?)) / gaps, gaps))
    }),
];

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
