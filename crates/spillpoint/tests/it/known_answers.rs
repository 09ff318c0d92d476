//! Known answers through the whole chain: what is planted in the engine comes out of the report.

use crate::harness::{Workplace, free_port};
use engine::{profile::Model, storage::adapters::adapter_bytes};
use record::{Metric, RunDir, VerdictKind};
use std::fs;

/// A target's file for an engine with these arguments.
fn engine_file(place: &Workplace, args: &[&str]) {
    let port = free_port().to_string();
    let all = [
        &[env!("CARGO_BIN_EXE_spillpoint"), "engine", "--port", &port][..],
        args,
    ]
    .concat();
    let toml = format!("url = \"http://127.0.0.1:{port}\"\n[lifecycle]\nstart = {all:?}\n");
    fs::write(place.path("target.toml"), toml).unwrap();
}

#[test]
fn a_batch_of_eight_is_found_as_the_queue_knee() {
    const SWEEP: [u32; 7] = [2, 4, 6, 8, 10, 12, 16];
    let place = Workplace::new();
    engine_file(&place, &["--max-batch", "8", "--speed", "4"]);
    let users = SWEEP.map(|users| users.to_string()).join(",");
    let options = format!(
        "--target target.toml --users {users} --duration 3s --prompt-tokens 64 --max-tokens 16"
    );
    place.quick("h2", &options).ended(0);
    let verdict = place.latest().manifest.verdict.unwrap();
    assert_eq!(
        verdict.kind,
        VerdictKind::QueueBound,
        "{}",
        verdict.paragraph
    );
    let knee = verdict
        .reasons
        .iter()
        .find(|reason| reason.code == "QUEUE_KNEE")
        .unwrap();
    // Within one step of the sweep.
    let users = knee.measured.unwrap();
    assert!((6.0..=10.0).contains(&users), "{knee:?}");
}

#[test]
fn a_storm_over_too_few_places_reads_an_adapter_a_miss() {
    let place = Workplace::new();
    place
        .quick("h6", "--repeats 1 --users 8 --duration 4s")
        .ended(0);
    let session = place.latest();
    let run = |arm: &str| {
        let mut runs = session.run_dirs();
        runs.find(|run| run.read_manifest().unwrap().arm.as_deref() == Some(arm))
            .unwrap()
    };
    // As the embedded engine's adapters are made for H6.
    let planted = adapter_bytes(&Model::Llama31_8b.profile(), 8).0 as f64;
    let (misses, bytes) = missed(&run("storm"));
    // Whole adapters, and one for each miss: but for those of the eight users' that were being
    // read as the engine was asked last.
    let read = bytes / planted;
    assert!(
        read > 0.0 && read.fract() == 0.0,
        "{bytes} bytes of {planted}"
    );
    assert!(
        (0.0..=8.0).contains(&(misses - read)),
        "{read} read, {misses} missed"
    );
    assert_eq!(missed(&run("base")), (0.0, 0.0));
}

/// What the engine says that a run added: adapters found on disk alone, and bytes read of them.
fn missed(run: &RunDir) -> (f64, f64) {
    let (rows, _) = run.read_server().unwrap();
    let added = |name: &str, label: &str| {
        let counted = rows.iter().filter_map(|row| match &row.metric {
            Metric::Own(series) if series.contains(name) && series.contains(label) => {
                Some(row.value)
            }
            _ => None,
        });
        let counted: Vec<f64> = counted.collect();
        counted.last().unwrap() - counted.first().unwrap()
    };
    let misses = added("spillpoint:adapter_requests_total", "disk");
    (misses, added("spillpoint:adapter_read_bytes_total", ""))
}
