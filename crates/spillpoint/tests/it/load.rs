//! One phase of load against an engine that was started by hand.

use crate::harness::{Engine, Workplace};
use record::Summary;

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
