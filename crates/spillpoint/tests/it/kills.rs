//! `kill -9` at any moment: what was measured is there, and the session is gone on with.

use crate::harness::{Workplace, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{RunState, Session};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How often the harness is killed.
const KILLS: u64 = 20;

/// A sweep of two seconds a run, on a small load.
const SWEEP: &[&str] = &[
    "run",
    "h2",
    "--quick",
    "--users",
    "1,2,3,4",
    "--duration",
    "1s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "4",
];

#[test]
#[ignore = "two minutes of kills: cargo xtask test"]
fn twenty_kills_lose_nothing_that_was_written() {
    let place = Workplace::new();
    let mut moment = 12_345_u64;
    let mut child = place.start(SWEEP);
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    for number in 0..KILLS {
        // Any moment of the next two seconds, other ones each time (a linear congruence).
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        thread::sleep(Duration::from_millis((moment >> 33) % 2000));
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        let killed = Instant::now();
        child.wait().unwrap();
        all_reads_back(&session);
        wait_for("the engine's end", || {
            (!crate::harness::listens(&session.manifest.target.url)).then_some(())
        });
        assert!(killed.elapsed() < Duration::from_secs(30), "kill {number}");
        child = place.start(&["run", "--resume", "results/latest"]);
    }
    crate::harness::Ran(child.wait_with_output().unwrap()).ended(0);
    for run in session.run_dirs() {
        assert_eq!(run.read_manifest().unwrap().state, RunState::Complete);
        let (rows, torn) = run.read_requests().unwrap();
        assert!(!rows.is_empty() && torn.is_none());
    }
}

/// Whatever is there of the runs can be read, but for a torn tail.
fn all_reads_back(session: &Session) {
    for run in session.run_dirs().filter(|run| run.requests().exists()) {
        run.read_manifest().unwrap();
        let (rows, _) = run.read_requests().unwrap();
        if run.tokens().exists() {
            let (tokens, _) = run.read_tokens().unwrap();
            assert!(tokens.len() >= rows.len(), "a row has its tokens");
        }
        if run.telemetry().exists() {
            run.read_telemetry().unwrap();
            run.read_cores().unwrap();
        }
    }
}
