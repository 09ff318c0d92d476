//! The shape of vLLM's `bench serve --save-result --save-detailed`: one flat object, seconds in
//! the arrays, milliseconds in the statistics.

use crate::{ExportError, Run};
use record::{Outcome, RequestRow, Session, Stage};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

pub(crate) fn write(
    session: &Session,
    runs: &[Run],
    folder: &Path,
) -> Result<Vec<PathBuf>, ExportError> {
    let mut files = Vec::new();
    for run in runs {
        let path = folder.join(format!("{}.json", run.id));
        let text = of_run(session, run).to_string();
        std::fs::write(&path, text).map_err(ExportError::io(&path))?;
        files.push(path);
    }
    Ok(files)
}

fn of_run(session: &Session, run: &Run) -> Value {
    let rows: Vec<&RequestRow> = run
        .rows
        .iter()
        .filter(|row| row.stage == Stage::Measure && row.outcome != Outcome::Unfinished)
        .collect();
    let ok: Vec<&&RequestRow> = rows
        .iter()
        .filter(|row| row.outcome == Outcome::Ok)
        .collect();
    let duration = run.manifest.stages.map(|stages| stages.measure.seconds());
    let sum = |count: fn(&RequestRow) -> Option<u32>| -> Option<u64> {
        ok.iter().map(|row| count(row).map(u64::from)).sum()
    };
    let (input, output) = (sum(|row| row.prompt_tokens), sum(|row| row.output_tokens));
    let per_second = |count: Option<f64>| Some(count? / duration.filter(|it| *it > 0.0)?);
    let mut object = Map::new();
    for (name, value) in [
        ("backend", json!(session.manifest.target.api)),
        ("model_id", json!(session.manifest.target.model)),
        ("num_prompts", json!(rows.len())),
        ("max_concurrency", json!(run.manifest.users)),
        ("duration", json!(duration)),
        ("completed", json!(ok.len())),
        ("failed", json!(rows.len() - ok.len())),
        ("total_input_tokens", json!(input)),
        ("total_output_tokens", json!(output)),
        (
            "request_throughput",
            json!(per_second(Some(ok.len() as f64))),
        ),
        (
            "output_throughput",
            json!(per_second(output.map(|it| it as f64))),
        ),
    ] {
        object.insert(name.to_owned(), value);
    }
    let gaps = gaps(run);
    let of = |row: &RequestRow| gaps.get(&row.request).cloned().unwrap_or_default();
    statistics(
        &mut object,
        "ttft",
        ok.iter().filter_map(|row| Some(row.ttft?.as_secs_f64())),
    );
    statistics(
        &mut object,
        "tpot",
        ok.iter().filter_map(|row| Some(row.tpot?.as_secs_f64())),
    );
    statistics(&mut object, "itl", ok.iter().flat_map(|row| of(row)));
    statistics(
        &mut object,
        "e2el",
        ok.iter().filter_map(|row| Some(row.e2e?.as_secs_f64())),
    );
    let each = |value: &dyn Fn(&RequestRow) -> Value| -> Value {
        rows.iter().map(|row| value(row)).collect()
    };
    object.insert("input_lens".into(), each(&|row| json!(row.prompt_tokens)));
    object.insert("output_lens".into(), each(&|row| json!(row.output_tokens)));
    let seconds = |span: Option<std::time::Duration>| json!(span.map(|it| it.as_secs_f64()));
    object.insert("ttfts".into(), each(&|row| seconds(row.ttft)));
    object.insert("latencies".into(), each(&|row| seconds(row.e2e)));
    object.insert("itls".into(), each(&|row| json!(of(row))));
    object.insert(
        "start_times".into(),
        each(&|row| json!(row.sent.as_secs_f64())),
    );
    object.insert(
        "queue_times".into(),
        each(&|row| json!(row.queue.as_secs_f64())),
    );
    object.insert(
        "errors".into(),
        each(&|row| json!(row.error.clone().unwrap_or_default())),
    );
    Value::Object(object)
}

/// Each request's gaps between chunks, in seconds.
fn gaps(run: &Run) -> HashMap<u64, Vec<f64>> {
    let of = |chunks: &[record::ChunkTime]| -> Vec<f64> {
        let gap = |pair: &[record::ChunkTime]| pair[1].arrival.saturating_sub(pair[0].arrival);
        chunks
            .windows(2)
            .map(|pair| gap(pair).as_secs_f64())
            .collect()
    };
    run.tokens
        .iter()
        .map(|it| (it.request, of(&it.chunks)))
        .collect()
}

/// Mean, median, standard deviation and percentiles in milliseconds, as numpy computes them by
/// default: vLLM's files hold interpolated ones.
fn statistics(object: &mut Map<String, Value>, name: &str, seconds: impl Iterator<Item = f64>) {
    let mut values: Vec<f64> = seconds.map(|value| value * 1e3).collect();
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len() as f64;
    let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n);
    let deviation = mean.map(|mean| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / n).sqrt()
    });
    let at = |fraction: f64| {
        let place = fraction * (values.len().checked_sub(1)? as f64);
        let (low, high) = (
            values[place.floor() as usize],
            values[place.ceil() as usize],
        );
        Some(low + (high - low) * place.fract())
    };
    for (prefix, value) in [
        ("mean", mean),
        ("median", at(0.5)),
        ("std", deviation),
        ("p90", at(0.9)),
        ("p95", at(0.95)),
        ("p99", at(0.99)),
    ] {
        object.insert(format!("{prefix}_{name}_ms"), json!(value));
    }
}
