//! A session in the forms of other tools, read back.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../report/tests/report/scenario.rs"]
mod scenario;

use export::{Format, export};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use record::Session;
use scenario::Scenario;
use serde_json::Value;
use std::{fs::File, path::Path};

fn session(root: &Path) -> Session {
    let scenario = Scenario {
        users: vec![2, 4],
        measure_s: 5.0,
        cores: 2,
        ..Scenario::default()
    };
    scenario.write(root)
}

/// Where SPILLPOINT_LOOK_AT names a folder, other readers can try the files.
fn exported(format: Format, name: &str) -> (Session, tempfile::TempDir, Vec<std::path::PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let session = session(root.path());
    let folder = match std::env::var_os("SPILLPOINT_LOOK_AT") {
        Some(folder) => Path::new(&folder).join(name),
        None => root.path().join(name),
    };
    let files = export(&session, format, &folder).unwrap().files;
    (session, root, files)
}

#[test]
fn a_run_that_cannot_be_read_is_named_and_the_rest_exported() {
    let root = tempfile::tempdir().unwrap();
    let session = session(root.path());
    let runs: Vec<_> = session.run_dirs().collect();
    std::fs::remove_file(runs[0].requests()).unwrap();
    std::fs::remove_file(runs[1].telemetry()).unwrap();
    let exported = export(&session, Format::Vllm, &root.path().join("vllm")).unwrap();
    assert_eq!(exported.files.len(), runs.len() - 1);
    let [left_out, without] = &exported.notes[..] else {
        panic!("{:?}", exported.notes);
    };
    assert!(left_out.contains("left out: ") && left_out.contains("requests.csv"));
    assert!(without.contains("without telemetry"));
}

fn rows(session: &Session) -> usize {
    let rows = session
        .run_dirs()
        .map(|run| run.read_requests().unwrap().0.len());
    rows.sum()
}

#[test]
fn parquet_holds_every_row_with_its_unit() {
    let (session, _root, files) = exported(Format::Parquet, "parquet");
    let tables = ["runs", "requests", "tokens", "telemetry"];
    let date = "host=spark/date=2026-11-24";
    let name = format!("{}.parquet", session.manifest.session);
    for (file, table) in files.iter().zip(tables) {
        let place = Path::new("parquet").join(table).join(date).join(&name);
        assert!(
            file.ends_with(&place),
            "{} is no {}",
            file.display(),
            place.display()
        );
    }
    let open = |index: usize| {
        ParquetRecordBatchReaderBuilder::try_new(File::open(&files[index]).unwrap()).unwrap()
    };
    let requests = open(1);
    let ttft = requests
        .schema()
        .field_with_name("ttft_ms")
        .unwrap()
        .clone();
    assert_eq!(ttft.metadata()["unit"], "ms");
    let read: usize = requests
        .build()
        .unwrap()
        .map(|batch| batch.unwrap().num_rows())
        .sum();
    assert_eq!(read, rows(&session));
    let telemetry = open(3);
    let psi = telemetry
        .schema()
        .field_with_name("psi_io_some_us")
        .unwrap()
        .clone();
    assert_eq!(psi.metadata()["unit"], "us");
    // Read about once a second, so absent at most ticks: null, never 0.
    let batches: Vec<_> = telemetry.build().unwrap().map(Result::unwrap).collect();
    let nulls: usize = batches
        .iter()
        .map(|batch| {
            batch
                .column_by_name("server_read_bytes")
                .unwrap()
                .null_count()
        })
        .sum();
    let ticks: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    assert!(nulls > ticks / 2 && nulls < ticks, "{nulls} of {ticks}");
}

#[test]
fn vllms_shape_has_its_arrays_side_by_side() {
    let (_session, _root, files) = exported(Format::Vllm, "vllm");
    assert_eq!(files.len(), 2);
    let result: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    let length = |name: &str| result[name].as_array().unwrap().len();
    let requests = result["num_prompts"].as_u64().unwrap() as usize;
    for name in [
        "ttfts",
        "itls",
        "input_lens",
        "output_lens",
        "start_times",
        "errors",
    ] {
        assert_eq!(length(name), requests, "{name}");
    }
    assert!(result["median_ttft_ms"].as_f64().unwrap() > 0.0);
    assert!(result["p99_itl_ms"].as_f64() >= result["median_itl_ms"].as_f64());
}

#[test]
fn aiperfs_lines_carry_wall_times_and_no_made_up_metric() {
    let (session, _root, files) = exported(Format::Aiperf, "aiperf");
    let lines = files
        .iter()
        .map(|it| std::fs::read_to_string(it).unwrap())
        .collect::<String>();
    assert_eq!(lines.lines().count(), rows(&session));
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let start = line["metadata"]["request_start_ns"].as_u64().unwrap();
        assert!(start >= session.manifest.clock.utc_ns);
        let failed = !line["error"].is_null();
        assert_eq!(
            failed,
            line["metrics"].get("request_latency").is_none(),
            "{line}"
        );
    }
}

#[test]
fn guidellms_report_splits_requests_by_their_end_and_counts_them() {
    let (session, _root, files) = exported(Format::Guidellm, "guidellm");
    let report: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    let benchmarks = report["benchmarks"].as_array().unwrap();
    assert_eq!(benchmarks.len(), session.manifest.runs.len());
    for benchmark in benchmarks {
        let requests = &benchmark["requests"];
        let length = |status: &str| requests[status].as_array().unwrap().len() as u64;
        let totals = &benchmark["metrics"]["request_totals"];
        for status in ["successful", "incomplete", "errored"] {
            assert_eq!(totals[status], length(status), "{status}");
        }
        let ttft = &benchmark["metrics"]["time_to_first_token_ms"]["successful"];
        assert_eq!(ttft["count"], length("successful"));
        assert!(ttft["percentiles"]["p99"].as_f64() >= ttft["median"].as_f64());
        // Nothing measured stands as nothing, not as zeros.
        assert_eq!(
            benchmark["metrics"]["request_concurrency"],
            serde_json::json!({})
        );
    }
}
