//! One phase of load against an engine that was started by hand.

use crate::harness::{Workplace, listens};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::Summary;
use std::{
    io::{BufRead, BufReader},
    process::Child,
};

/// An engine in the foreground, ended as a person would end it.
struct Engine {
    child: Child,
    url: String,
}

impl Engine {
    fn start(place: &Workplace) -> Self {
        let args = ["engine", "--port", "0", "--speed", "20"];
        let mut child = place.start(&args);
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").unwrap().to_owned();
        Self { child, url }
    }

    fn end(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert!(!listens(&self.url));
    }
}

#[test]
fn one_phase_is_summed_up_as_json() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    for api in ["completions", "chat"] {
        let ran = place.run(&[
            "load",
            "--url",
            &engine.url,
            "--users",
            "4",
            "--duration",
            "2s",
            "--max-tokens",
            "12",
            "--prompt-tokens",
            "1k",
            "--api",
            api,
            "--json",
        ]);
        let summary: Summary = serde_json::from_str(&ran.ended(0).out()).unwrap();
        assert!(summary.requests.ok > 0, "{api}");
        assert_eq!(summary.requests.failed.total(), 0, "{api}");
        assert_eq!(summary.duration_s, 2.0);
        assert_eq!(summary.itl_ms.n, 11 * summary.requests.ok, "{api}");
        assert!(summary.ttft_ms.p50 < summary.e2e_ms.p50, "{api}");
    }
    engine.end();
}

#[test]
fn people_get_a_table() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    let ran = place.run(&[
        "load",
        "--url",
        &engine.url,
        "--duration",
        "1s",
        "--max-tokens",
        "4",
    ]);
    let told = ran.ended(0).out();
    assert!(told.contains("0 failed"), "{told}");
    assert!(told.lines().any(|line| line.starts_with("ttft")), "{told}");
    engine.end();
}

#[test]
fn an_open_loop_sends_by_the_clock_and_tells_what_waited() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    let ran = place.run(&[
        "load",
        "--url",
        &engine.url,
        "--rate",
        "50",
        "--spacing",
        "constant",
        "--duration",
        "2s",
        "--max-tokens",
        "4",
        "--prompt-tokens",
        "32",
        "--reuse",
        "shared:16",
        "--json",
    ]);
    let summary: Summary = serde_json::from_str(&ran.ended(0).out()).unwrap();
    // A request may fall on either side of the interval's ends.
    assert!(
        (99..=101).contains(&summary.requests.total),
        "{:?}",
        summary.requests
    );
    assert_eq!(summary.queue_ms.n, summary.requests.ok);
    engine.end();
}
