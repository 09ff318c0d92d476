//! The main job against the embedded engine: the sweep, its files, its end.

use crate::harness::{PATIENCE, Workplace, listens, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{Outcome, RunState, Session, Stage, Summary, TargetKind};
use std::{fs, path::Path, process::Child, time::Instant};

const SWEEP: &[&str] = &[
    "run",
    "h2",
    "--quick",
    "--users",
    "1,4",
    "--duration",
    "2s",
    "--prompt-tokens",
    "64",
    "--max-tokens",
    "8",
];

#[test]
fn a_sweep_ends_in_a_table_figures_and_a_report() {
    let place = Workplace::new();
    let ran = place.run(SWEEP).ended(0);
    let session = place.latest();
    let report = session.dir.report();
    let told = ran.out();
    assert!(told.contains("compute modelled"), "{told}");
    assert!(told.contains("TTFT p50"), "{told}");
    let name = session.dir.name();
    assert!(
        told.contains(&format!("report: results/{name}/report.html")),
        "{told}"
    );
    // Without a terminal, progress comes as plain lines.
    assert!(ran.err().contains("h2-u004-r1 began"), "{}", ran.err());
    assert!(!ran.err().contains('\u{1b}'), "{}", ran.err());

    let html = fs::read_to_string(report).unwrap();
    assert!(html.contains("compute of this server is modelled"));
    for figure in ["h2_iowait_vs_p99", "h8_cpu"] {
        assert_drawn(&session.dir.figures(), figure);
    }
    assert_eq!(session.manifest.target.kind, TargetKind::Embedded);
    assert!(
        !listens(&session.manifest.target.url),
        "the engine is still there"
    );
}

fn assert_drawn(folder: &Path, figure: &str) {
    let png = fs::read(folder.join(figure).with_extension("png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"), "{figure}");
    let svg = fs::read_to_string(folder.join(figure).with_extension("svg")).unwrap();
    assert!(svg.contains("<svg"), "{figure}");
}

#[test]
fn every_run_is_recorded_whole_and_analysed_again_alike() {
    let place = Workplace::new();
    place.run(SWEEP).ended(0);
    let session = place.latest();
    for run in session.run_dirs() {
        let manifest = run.read_manifest().unwrap();
        assert_eq!(manifest.state, RunState::Complete);
        assert!([1, 4].contains(&manifest.users));
        let (rows, torn) = run.read_requests().unwrap();
        assert_eq!(torn, None);
        let measured = rows.iter().filter(|row| row.stage == Stage::Measure);
        assert!(measured.clone().count() > 0);
        for row in measured {
            assert_eq!(row.outcome, Outcome::Ok, "{:?}", row.error);
            assert_eq!(row.output_tokens, Some(8));
            assert_eq!(row.prompt_tokens, Some(64));
            assert_eq!(
                row.cached_tokens.unwrap_or(0),
                0,
                "the nonce keeps prompts apart"
            );
        }
        let (telemetry, torn) = run.read_telemetry().unwrap();
        assert_eq!(torn, None);
        assert!(telemetry.len() >= 20);
        let (cores, torn) = run.read_cores().unwrap();
        assert_eq!(torn, None);
        let cpus = session.manifest.host.cores as usize;
        assert_eq!(cores.len(), telemetry.len() * cpus);
    }
    let summaries = read_summaries(&session);
    place.run(&["analyze"]).ended(0);
    assert_eq!(read_summaries(&session), summaries);
}

fn read_summaries(session: &Session) -> Vec<Summary> {
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    session.run_dirs().map(|run| read(run.summary())).collect()
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_ends_the_engine() {
    let place = Workplace::new();
    let child = place.start(SWEEP);
    let session = under_way(&place);
    kill(pid(&child), Signal::SIGINT).unwrap();
    let ended = crate::harness::Ran(child.wait_with_output().unwrap()).ended(1);
    assert!(
        ended.err().contains("interrupted: 0 of 2 runs"),
        "{}",
        ended.err()
    );
    assert!(!listens(&session.manifest.target.url));
    let run = session.run_dirs().next().unwrap();
    assert_eq!(run.read_manifest().unwrap().state, RunState::Interrupted);
    let (rows, torn) = run.read_requests().unwrap();
    assert!(!rows.is_empty() && torn.is_none());
}

#[test]
fn a_killed_harness_leaves_no_engine_and_a_session_that_can_be_read() {
    let place = Workplace::new();
    let mut child = place.start(SWEEP);
    let session = under_way(&place);
    kill(pid(&child), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    let url = &session.manifest.target.url;
    wait_for("the engine's end", || (!listens(url)).then_some(()));
    let run = session.run_dirs().next().unwrap();
    let (rows, _) = run.read_requests().unwrap();
    assert!(!rows.is_empty());
    let analysed = place.run(&["analyze"]).ended(0);
    assert!(analysed.out().contains("note: h2-u"), "{}", analysed.out());
}

/// Waits until a request has ended in the first run.
fn under_way(place: &Workplace) -> Session {
    let began = Instant::now();
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let requests = session.run_dirs().next().unwrap().requests();
    wait_for("a request", || {
        let rows = fs::read_to_string(&requests).ok()?;
        (rows.lines().count() > 2).then_some(())
    });
    assert!(began.elapsed() < PATIENCE);
    session
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}
