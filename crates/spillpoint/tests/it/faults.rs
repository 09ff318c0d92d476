//! What goes wrong around a run, and what is told of it.

use crate::{
    bad_server::{self, Fault},
    harness::{Workplace, is_root, with_mounts},
};
use record::{Outcome, RequestRow, RunState, Session, Stage, VerdictKind};
use std::{fs, path::Path};

/// A sweep of one level, from the built-in plan, with these lines in place of its own.
fn plan(place: &Workplace, changes: &[(&str, &str)]) {
    let mut toml = place.run(&["plan", "show", "h2"]).ended(0).out();
    for (from, to) in changes {
        assert!(toml.contains(from), "{from}");
        toml = toml.replace(from, to);
    }
    fs::write(place.path("my.toml"), toml).unwrap();
}

const RUN: &[&str] = &[
    "run",
    "my.toml",
    "--quick",
    "--users",
    "3",
    "--duration",
    "2s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "8",
];

/// Runs the plan against a server with this fault; gives its one run's rows and its log.
fn measured(place: &Workplace, fault: Fault) -> (Vec<RequestRow>, String) {
    let url = bad_server::start(fault);
    let ran = place.run(&[RUN, &["--url", &url]].concat()).ended(3);
    assert!(ran.err().contains("INVALID"), "{}", ran.err());
    let session = place.latest();
    assert_eq!(
        session.manifest.verdict.as_ref().unwrap().kind,
        VerdictKind::Invalid
    );
    let run = session.run_dirs().next().unwrap();
    let manifest = run.read_manifest().unwrap();
    assert_eq!(manifest.state, RunState::Complete);
    let failed: Vec<_> = manifest.gates.iter().filter(|gate| !gate.passed).collect();
    assert!(
        failed.iter().any(|gate| gate.name == "failed_requests"),
        "{failed:?}"
    );
    let (rows, torn) = run.read_requests().unwrap();
    assert_eq!(torn, None);
    let measured = rows.into_iter().filter(|row| row.stage == Stage::Measure);
    (measured.collect(), fs::read_to_string(run.log()).unwrap())
}

#[test]
fn a_server_that_hangs_mid_stream_is_timed_out() {
    let place = Workplace::new();
    plan(
        &place,
        &[("request_timeout = \"120s\"", "request_timeout = \"700ms\"")],
    );
    let (rows, log) = measured(&place, Fault::HangsMidStream);
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(row.outcome, Outcome::Timeout, "{row:?}");
    }
    assert!(log.contains("Timeout"), "{log}");
}

#[test]
fn a_third_of_requests_answered_500_makes_a_run_invalid_in_the_servers_words() {
    let place = Workplace::new();
    plan(&place, &[]);
    let (rows, log) = measured(&place, Fault::FailsAThird);
    let failed = rows.iter().filter(|row| row.outcome != Outcome::Ok).count();
    // A third, but for where the interval's ends fall.
    assert!(
        (failed * 3).abs_diff(rows.len()) <= 6,
        "{failed} of {}",
        rows.len()
    );
    let refused = |row: &&RequestRow| row.outcome == Outcome::Status;
    assert_eq!(rows.iter().filter(refused).count(), failed);
    assert!(log.contains("out of adapters"), "{log}");
}

#[test]
fn a_model_that_the_server_does_not_have_is_told_with_those_that_it_has() {
    let place = Workplace::new();
    let url = bad_server::start(Fault::FailsAThird);
    let args = ["run", "h2", "--quick", "--url", &url, "--model", "other"];
    let refused = place.run(&args).ended(2).err();
    assert!(refused.contains("it has: mock"), "{refused}");
    assert!(!place.path("results/latest").exists(), "nothing was begun");
}

/// The first run of the one session there.
fn first_run_of(results: &Path) -> record::RunDir {
    let session = fs::read_dir(results)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("session.json").is_file())
        .unwrap();
    Session::open(&session).unwrap().run_dirs().next().unwrap()
}

#[test]
#[ignore = "mounts a small file system, which needs root: cargo xtask test"]
fn a_full_disk_fails_the_run_by_the_files_name_and_keeps_the_rows_before() {
    if !is_root() {
        return;
    }
    let place = Workplace::new();
    // Without the watchdog, which ends a run long before the disk is full.
    plan(
        &place,
        &[("results_free_mib_min = 256", "results_free_mib_min = 0")],
    );
    let script = format!(
        "mkdir results kept && mount -t tmpfs -o size=192k tmpfs results || exit 99
         \"$SPILLPOINT\" {} --duration 30s --users 16; status=$?
         cp -r results/. kept; exit $status",
        RUN.join(" ")
            .replace("--duration 2s", "")
            .replace("--users 3", ""),
    );
    let failed = with_mounts(&place, &script).ended(1).err();
    assert!(failed.contains("No space left on device"), "{failed}");
    assert!(failed.contains("/runs/h2-u016-r1/"), "{failed}");
    let run = first_run_of(&place.path("kept"));
    let (rows, _) = run.read_requests().unwrap();
    assert!(!rows.is_empty());
    let (tokens, _) = run.read_tokens().unwrap();
    assert!(tokens.len() >= rows.len(), "a row has its tokens");
    assert_ne!(run.read_manifest().unwrap().state, RunState::Complete);
}

#[test]
#[ignore = "mounts a read-only file system, which needs root: cargo xtask test"]
fn a_results_folder_that_takes_no_files_is_refused_before_anything_starts() {
    if !is_root() {
        return;
    }
    let place = Workplace::new();
    // Root may write to a folder whatever its mode is, but not to a file system that takes nothing.
    let script = "mkdir results && mount -t tmpfs -o ro tmpfs results || exit 99
                  exec \"$SPILLPOINT\" run h2 --quick";
    let refused = with_mounts(&place, script).ended(2).err();
    assert!(refused.contains("no place for results"), "{refused}");
    assert!(refused.contains("--results"), "{refused}");
}
