//! Open loops: who waits, and what is told of it.

mod scripted;

use load::{
    Arrivals, LengthModel, OpenLoop, Phase, RatePlan, Source, Spacing, Target, Timing, Trace,
    Workload,
};
use record::{Outcome, RequestRow, Stage};
use scripted::{Server, Then, good, run_phase};
use std::{io::Write, num::NonZeroU32, time::Duration};

fn phase(source: Source, cap: Option<u32>) -> Phase {
    let timing = Timing {
        ramp: Duration::ZERO,
        warmup: Duration::from_millis(50),
        measure: Duration::from_millis(200),
        drain_limit: Duration::from_secs(5),
        request_deadline: Duration::from_secs(5),
    };
    let open = OpenLoop {
        source,
        max_in_flight: cap.and_then(NonZeroU32::new),
    };
    Phase::open(
        open,
        timing,
        Workload::new(20, 2, 1, 2),
        LengthModel::guess(),
    )
}

fn rows(target: &Target, phase: &Phase) -> Vec<RequestRow> {
    let (rows, _) = run_phase(target, phase);
    rows.into_iter().map(|(row, _)| row).collect()
}

fn constant(per_s: f64) -> Source {
    let rate = RatePlan::constant(per_s).expect("a rate of the test's own");
    Source::Rate(rate, Spacing::Constant)
}

#[test]
fn requests_come_by_the_clock_whatever_the_server_does() {
    let server = Server::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(30));
        good(stream)
    });
    let rows = rows(&server.target(), &phase(constant(100.0), None));
    let first = rows[0].intended;
    for (nth, row) in (0..).zip(&rows) {
        assert_eq!(row.intended - first, nth * 10_000_000, "request {nth}");
        assert!(row.sent >= row.intended);
        assert_eq!(row.queue.as_nanos() as i64, row.sent - row.intended);
    }
    let measured = rows.iter().filter(|row| row.stage == Stage::Measure);
    assert_eq!(measured.count(), 20);
}

#[test]
fn a_cap_makes_requests_wait_and_drops_none() {
    let server = Server::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(25));
        good(stream)
    });
    let rows = rows(&server.target(), &phase(constant(100.0), Some(1)));
    let measured: Vec<&RequestRow> = rows
        .iter()
        .filter(|row| row.stage == Stage::Measure)
        .collect();
    assert_eq!(measured.len(), 20);
    assert!(
        measured.iter().all(|row| row.outcome == Outcome::Ok),
        "{measured:?}"
    );
    // One at a time: each is sent after the one before has ended.
    for pair in measured.windows(2) {
        assert!(pair[1].sent >= pair[0].ended);
    }
    // 20 requests of 25 ms in 200 ms: the last waits for 300 ms about.
    assert!(measured[19].queue > Duration::from_millis(150));
}

#[test]
fn what_never_got_its_turn_is_recorded_as_unfinished() {
    let server = Server::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        std::thread::sleep(Duration::from_secs(1));
        Then::Close
    });
    let mut phase = phase(constant(50.0), Some(2));
    phase.timing.drain_limit = Duration::from_millis(50);
    let rows = rows(&server.target(), &phase);
    assert!(rows.len() >= 12);
    assert!(rows.iter().all(|row| row.outcome == Outcome::Unfinished));
}

#[test]
fn a_trace_is_replayed_with_its_lengths() {
    let folder = std::env::temp_dir().join(format!("spillpoint-trace-{}", std::process::id()));
    std::fs::write(
        &folder,
        "{\"timestamp\": 1000, \"input_length\": 30, \"output_length\": 3, \"hash_ids\": [1]}\n\
         {\"timestamp\": 1060, \"input_length\": 40, \"output_length\": 4, \"hash_ids\": [1]}\n",
    )
    .unwrap();
    let trace = Trace::read(&folder).unwrap();
    std::fs::remove_file(&folder).unwrap();
    let server = Server::start(|_, stream| good(stream));
    let phase = phase(Source::Trace(trace), None);
    assert!(matches!(phase.arrivals, Arrivals::Open(_)));
    let rows = rows(&server.target(), &phase);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].intended - rows[0].intended, 60_000_000);
    assert_eq!(
        (rows[0].prompt_tokens_wanted, rows[1].prompt_tokens_wanted),
        (30, 40)
    );
    assert_eq!(
        (rows[0].stage, rows[1].stage),
        (Stage::Warmup, Stage::Measure)
    );
}

#[test]
fn a_conversation_goes_on_with_what_was_said() {
    let prompts = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&prompts);
    let server = Server::start(move |request, stream| {
        let prompt = request
            .body
            .split("\"prompt\":\"")
            .nth(1)
            .unwrap_or_default();
        let prompt = prompt.split('"').next().unwrap_or_default().to_owned();
        seen.lock()
            .expect("no test thread panics with it")
            .push(prompt);
        good(stream)
    });
    let mut phase = scripted::short_phase(1);
    phase.workload.turns = NonZeroU32::new(3).unwrap();
    let (rows, _) = run_phase(&server.target(), &phase);
    let prompts = prompts.lock().unwrap();
    assert!(prompts.len() > 6);
    // Each turn begins with the last prompt and its answer, until a new conversation begins.
    for (nth, pair) in prompts.windows(2).enumerate() {
        let goes_on = pair[1].starts_with(&format!("{}a b\\n", pair[0]));
        assert_eq!(goes_on, nth % 3 != 2, "turn {nth}");
    }
    // 9 tokens before and 2 of the answer, by the server's count, and 20 more.
    let wanted: Vec<u32> = rows
        .iter()
        .map(|(row, _)| row.prompt_tokens_wanted)
        .collect();
    assert_eq!(wanted[..4], [20, 31, 31, 20]);
}
