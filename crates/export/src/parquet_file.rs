//! Parquet: one file of requests, one of chunks and one of telemetry, all runs in each.

use crate::{ExportError, Run};
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{Field, Schema};
use parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use record::{Column, RequestRow};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A column as it is built.
struct Built {
    name: String,
    unit: &'static str,
    values: ArrayRef,
}

pub(crate) fn write(runs: &[Run], folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    let files = [
        ("requests.parquet", requests(runs)),
        ("tokens.parquet", tokens(runs)),
        ("telemetry.parquet", telemetry(runs)),
    ];
    let mut written = Vec::new();
    for (name, columns) in files {
        let path = folder.join(name);
        write_file(&path, columns)?;
        written.push(path);
    }
    Ok(written)
}

fn write_file(path: &Path, columns: Vec<Built>) -> Result<(), ExportError> {
    let field = |column: &Built| {
        let field = Field::new(&column.name, column.values.data_type().clone(), true);
        match column.unit {
            "" => field,
            unit => field.with_metadata(HashMap::from([("unit".to_owned(), unit.to_owned())])),
        }
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|column| column.values).collect();
    let parquet = |source| ExportError::Parquet {
        path: path.to_owned(),
        source,
    };
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|error| parquet(parquet::errors::ParquetError::from(error)))?;
    let file = File::create(path).map_err(ExportError::io(path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(parquet)?;
    writer.write(&batch).map_err(parquet)?;
    writer.close().map_err(parquet)?;
    Ok(())
}

fn column(name: &str, unit: &'static str, values: impl arrow_array::Array + 'static) -> Built {
    Built {
        name: name.to_owned(),
        unit,
        values: Arc::new(values),
    }
}

fn requests(runs: &[Run]) -> Vec<Built> {
    let all = || {
        runs.iter()
            .flat_map(|run| run.rows.iter().map(move |row| (run, row)))
    };
    let text = |name: &str, of: &dyn Fn(&Run, &RequestRow) -> Option<String>| {
        column(
            name,
            "",
            all()
                .map(|(run, row)| of(run, row))
                .collect::<StringArray>(),
        )
    };
    let count = |name: &str, unit, of: &dyn Fn(&Run, &RequestRow) -> Option<u32>| {
        column(
            name,
            unit,
            all()
                .map(|(run, row)| of(run, row))
                .collect::<UInt32Array>(),
        )
    };
    let time = |name: &str, of: fn(&RequestRow) -> i64| {
        column(
            name,
            "ns",
            all().map(|(_, row)| Some(of(row))).collect::<Int64Array>(),
        )
    };
    let span = |name: &str, of: fn(&RequestRow) -> Option<Duration>| {
        let ms = |row: &RequestRow| of(row).map(|it| it.as_nanos() as f64 / 1e6);
        column(
            name,
            "ms",
            all().map(|(_, row)| ms(row)).collect::<Float64Array>(),
        )
    };
    vec![
        text("run", &|run, _| Some(run.id.to_string())),
        text("phase", &|run, _| Some(run.manifest.phase.clone())),
        text("arm", &|run, _| run.manifest.arm.clone()),
        count("users", "", &|run, _| Some(run.manifest.users)),
        count("repeat", "", &|run, _| Some(run.manifest.repeat)),
        column(
            "request",
            "",
            all()
                .map(|(_, row)| Some(row.request))
                .collect::<UInt64Array>(),
        ),
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

fn tokens(runs: &[Run]) -> Vec<Built> {
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
        column(
            "run",
            "",
            all()
                .map(|(run, ..)| Some(run.id.to_string()))
                .collect::<StringArray>(),
        ),
        column(
            "request",
            "",
            all()
                .map(|(_, request, _)| Some(request))
                .collect::<UInt64Array>(),
        ),
        column(
            "arrival_since_sent_ns",
            "ns",
            all()
                .map(|(.., chunk)| ns(chunk.arrival))
                .collect::<Int64Array>(),
        ),
        column(
            "client_lag_ns",
            "ns",
            all()
                .map(|(.., chunk)| chunk.lag.and_then(ns))
                .collect::<Int64Array>(),
        ),
    ]
}

/// A column for each that any run has.
fn telemetry(runs: &[Run]) -> Vec<Built> {
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
    let runs: StringArray = recorded()
        .flat_map(|(run, telemetry)| vec![Some(run.id.to_string()); telemetry.len()])
        .collect();
    let times: Int64Array = recorded()
        .flat_map(|(_, telemetry)| telemetry.times().iter().map(|t| Some(t.0)))
        .collect();
    let mut columns = vec![column("run", "", runs), column("t_ns", "ns", times)];
    for name in names {
        let values: Float64Array = recorded()
            .flat_map(|(_, telemetry)| match telemetry.series(name) {
                Some(series) => series.iter().collect::<Vec<_>>(),
                None => vec![None; telemetry.len()],
            })
            .collect();
        columns.push(column(&name.to_string(), unit(&name.to_string()), values));
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
