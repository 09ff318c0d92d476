//! The shape of aiperf's `profile_export.jsonl`: a line a request.

use crate::{ExportError, Run, wall};
use record::{Outcome, RequestRow, Session, Stage};
use serde_json::{Map, Value, json};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) fn write(
    session: &Session,
    runs: &[Run],
    folder: &Path,
) -> Result<Vec<PathBuf>, ExportError> {
    let mut files = Vec::new();
    for run in runs {
        let folder = folder.join(run.id.as_str());
        std::fs::create_dir_all(&folder).map_err(ExportError::io(&folder))?;
        let path = folder.join("profile_export.jsonl");
        let mut text = String::new();
        for row in &run.rows {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{}", line(session, run, row));
        }
        std::fs::write(&path, text).map_err(ExportError::io(&path))?;
        files.push(path);
    }
    Ok(files)
}

fn line(session: &Session, run: &Run, row: &RequestRow) -> Value {
    let phase = match row.stage {
        Stage::Ramp | Stage::Warmup => "warmup",
        Stage::Measure | Stage::Drain => "profiling",
    };
    let acknowledged = row.ttfb.map(|ttfb| wall(session, row.sent.plus(ttfb)));
    let failed = !matches!(row.outcome, Outcome::Ok | Outcome::Unfinished);
    json!({
        "metadata": {
            "session_num": row.request,
            "x_request_id": format!("{}-{}", run.id, row.request),
            "x_correlation_id": format!("{}-u{}", run.id, row.user),
            "conversation_id": Value::Null,
            "turn_index": 0,
            "credit_issued_ns": wall(session, row.intended),
            "request_start_ns": wall(session, row.sent),
            "request_ack_ns": acknowledged,
            "request_end_ns": wall(session, row.ended),
            "worker_id": format!("user_{}", row.user),
            "record_processor_id": "spillpoint",
            "benchmark_phase": phase,
            "was_cancelled": row.outcome == Outcome::Unfinished,
        },
        "metrics": metrics(row),
        "error": failed.then(|| json!({
            "type": row.outcome.name(),
            "code": row.status,
            "message": row.error.clone().unwrap_or_default(),
        })),
    })
}

/// Only what was seen: an absent metric has no key.
fn metrics(row: &RequestRow) -> Value {
    let mut metrics = Map::new();
    let mut put = |tag: &str, value: Option<f64>, unit: &str| {
        if let Some(value) = value {
            metrics.insert(tag.to_owned(), json!({"value": value, "unit": unit}));
        }
    };
    let ms = |span: Option<Duration>| span.map(|it| it.as_secs_f64() * 1e3);
    put("time_to_first_token", ms(row.ttft), "ms");
    put("request_latency", ms(row.e2e), "ms");
    put("inter_token_latency", ms(row.tpot), "ms");
    put(
        "output_sequence_length",
        row.output_tokens.map(f64::from),
        "tokens",
    );
    put(
        "input_sequence_length",
        row.prompt_tokens.map(f64::from),
        "tokens",
    );
    Value::Object(metrics)
}
