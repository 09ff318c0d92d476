//! H1 on a server that is not ours to restart: its model's files are evicted under it.

use crate::harness::{Engine, Workplace, is_root, with_mounts};
use record::{Column, RunDir, Server, VerdictKind};
use std::fs;

const H1: &[&str] = &[
    "run",
    "h1",
    "--quick",
    "--duration",
    "1s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "4",
];

/// What the server's processes read from storage while the run was sampled.
fn server_read(run: &RunDir) -> Option<f64> {
    let (telemetry, _) = run.read_telemetry().unwrap();
    let series = telemetry.series(&Column::Server(Server::ReadBytes))?;
    let counted: Vec<f64> = series.iter().flatten().collect();
    Some(counted.last()? - counted.first()?)
}

#[test]
fn a_server_that_holds_its_weights_reads_nothing_again() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    fs::write(place.path("model.bin"), vec![7; 32 << 20]).unwrap();
    let args = ["--url", &engine.url, "--model-files", "model.bin"];
    place.run(&[H1, &args].concat()).ended(0);
    let session = place.latest();
    let mut cold = 0;
    for run in session.run_dirs() {
        let manifest = run.read_manifest().unwrap();
        assert_eq!(manifest.model_load, None, "it was not restarted");
        let proven = manifest.gates.iter().find(|it| it.name == "cache_state");
        assert!(proven.unwrap().passed, "{proven:?}");
        if manifest.arm.as_deref() == Some("cold") {
            cold += 1;
            assert_eq!(server_read(&run), Some(0.0));
            let log = fs::read_to_string(run.log()).unwrap();
            assert!(log.contains("0.0 % of the model's files"), "{log}");
        }
    }
    assert_eq!(cold, 3);
    engine.end();
}

#[test]
#[ignore = "mounts a device of its own, which needs root: cargo xtask test"]
fn on_a_quiet_device_the_verdict_is_that_nothing_was_read() {
    if !is_root() {
        return;
    }
    let place = Workplace::new();
    let engine = Engine::start(&place);
    // A device of its own: nobody else's reads are in its counters.
    let script = format!(
        "truncate -s 96M image && mkfs.ext4 -q image && mkdir device && mount -o loop image device \
         && head -c 32M /dev/urandom > device/model.bin && sync || exit 99
         exec \"$SPILLPOINT\" {} --url {} --model-files device/model.bin",
        H1.join(" "),
        engine.url
    );
    let told = with_mounts(&place, &script).ended(0).out();
    let verdict = place.latest().manifest.verdict.unwrap();
    assert_eq!(verdict.kind, VerdictKind::NoEffect, "{told}");
    assert!(told.replace("\n ", "").contains("bytes read"), "{told}");
    engine.end();
}
