//! Servers that misbehave, and what becomes of the requests.

mod scripted;

use record::{Failure, Outcome, Stage, StampSource};
use scripted::{
    STREAM_HEAD, Server, Then, answer, end, first_row, good, run_phase, short_phase, target, token,
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

#[test]
fn an_answer_becomes_a_row_with_its_times() {
    let row = first_row(|_, stream| good(stream));
    assert_eq!(
        (row.outcome, row.status, row.error),
        (Outcome::Ok, Some(200), None)
    );
    assert_eq!(
        (row.chunks, row.output_tokens, row.prompt_tokens),
        (2, Some(2), Some(9))
    );
    assert_eq!((row.stage, row.user, row.request), (Stage::Measure, 0, 0));
    assert!(row.ttfb <= row.ttft && row.ttft <= row.e2e && row.ttft == row.ttfa);
    assert!(row.ttfb > Some(Duration::ZERO));
    assert!(row.intended <= row.sent && row.sent < row.ended);
    assert_eq!(row.clock, StampSource::Kernel);
}

#[test]
fn every_request_has_its_row_and_its_tokens() {
    let server = Server::start(|_, stream| good(stream));
    let (rows, report) = run_phase(&server.target(), &short_phase(4));
    let sent = server.requests.load(std::sync::atomic::Ordering::SeqCst);
    // What was cut at the end may not have reached the server.
    assert!((sent..=sent + 4).contains(&(rows.len() as u32)));
    for (nth, (row, tokens)) in rows.iter().enumerate() {
        assert_eq!((row.request, tokens.request), (nth as u64, nth as u64));
        assert_eq!(row.chunks as usize, tokens.chunks.len());
    }
    assert!(rows.iter().any(|(row, _)| row.user == 3));
    assert!(report.failures.is_empty() && !report.stopped);
    assert!(report.stages.measure.seconds() >= 0.2);
}

#[test]
fn nothing_that_listens_is_refused_and_backed_off_from() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (rows, report) = run_phase(&target(address), &short_phase(2));
    assert!(
        rows.iter()
            .all(|(row, _)| matches!(row.outcome, Outcome::Refused | Outcome::Unfinished))
    );
    assert!(rows[0].0.error.as_ref().unwrap().contains("no connection"));
    assert_eq!(report.failures[0].failure, Failure::Refused);
    // 200 ms with waits of 25 ms at least: no spinning.
    assert!(rows.len() < 20, "{}", rows.len());
}

#[test]
fn a_status_keeps_the_servers_words() {
    let row = first_row(|_, stream| {
        answer(
            stream,
            "500 Oops",
            r#"{"error":{"message":"out of blocks"}}"#,
        )
    });
    assert_eq!((row.outcome, row.status), (Outcome::Status, Some(500)));
    assert_eq!(row.error.as_deref(), Some("out of blocks"));
    assert_eq!((row.ttft, row.e2e), (None, None));
}

#[test]
fn an_error_event_under_status_200_is_a_failure() {
    let row = first_row(|_, stream| {
        let event = scripted::chunk("data: {\"error\":{\"message\":\"engine died\"}}\n\n");
        let _ = stream.write_all(format!("{STREAM_HEAD}{}{event}", token("a")).as_bytes());
        Then::Close
    });
    assert_eq!((row.outcome, row.status), (Outcome::Status, Some(200)));
    assert_eq!(row.error.as_deref(), Some("engine died"));
}

#[test]
fn a_stream_without_its_proper_end_is_truncated() {
    for rest in ["", "0\r\n\r\n"] {
        let row = first_row(move |_, stream| {
            let _ = stream.write_all(format!("{STREAM_HEAD}{}{rest}", token("a")).as_bytes());
            Then::Close
        });
        assert_eq!(
            (row.outcome, row.chunks),
            (Outcome::Truncated, 1),
            "{rest:?}"
        );
        assert!(row.ttft.is_some() && row.e2e.is_none());
    }
}

#[test]
fn a_connection_closed_without_an_answer_is_truncated() {
    let row = first_row(|_, _| Then::Close);
    assert_eq!((row.outcome, row.status), (Outcome::Truncated, None));
}

#[test]
fn a_connection_that_is_reset_in_the_stream_is_truncated() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = target(listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1_000]).unwrap();
        let begun = format!("{STREAM_HEAD}{}", token("a"));
        stream.write_all(begun.as_bytes()).unwrap();
        // The client reads the token before the reset throws it away.
        thread::sleep(Duration::from_millis(100));
        let at_once = nix::libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &at_once).unwrap();
    });
    let (rows, _) = run_phase(&target, &short_phase(1));
    server.join().unwrap();
    let row = &rows[0].0;
    assert_eq!(
        (row.outcome, row.chunks),
        (Outcome::Truncated, 1),
        "{row:?}"
    );
    assert!(row.error.as_ref().unwrap().contains("reset"), "{row:?}");
}

#[test]
fn garbage_is_malformed() {
    let answers: [&'static [u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"choices\":[\n\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"text\":\"\xff\"}]}\n\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<p/>",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: [DONE]\n\n",
    ];
    for bytes in answers {
        let row = first_row(move |_, stream| {
            let _ = stream.write_all(bytes);
            Then::Close
        });
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(row.outcome, Outcome::Malformed, "{text}");
        assert!(row.error.is_some());
    }
}

#[test]
fn an_endless_head_is_malformed() {
    let row = first_row(|_, stream| {
        let _ =
            stream.write_all(format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000)).as_bytes());
        Then::Close
    });
    assert_eq!(row.outcome, Outcome::Malformed);
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let row = first_row(|_, stream| {
        let whole = format!("{STREAM_HEAD}{}{}", token("a"), end(1));
        for byte in whole.as_bytes() {
            let _ = stream.write_all(&[*byte]);
        }
        Then::KeepOpen
    });
    assert_eq!((row.outcome, row.chunks), (Outcome::Ok, 1));
}

#[test]
fn the_deadline_bounds_a_server_that_drips() {
    let server = Server::start(|_, stream| {
        for byte in STREAM_HEAD.as_bytes() {
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Then::Close
    });
    let mut phase = short_phase(1);
    phase.timing.request_deadline = Duration::from_millis(120);
    let (rows, _) = run_phase(&server.target(), &phase);
    assert_eq!(rows[0].0.outcome, Outcome::Timeout);
    assert_eq!(rows[0].0.status, None);
}

#[test]
fn what_still_runs_after_the_drain_limit_is_cut_and_recorded() {
    let server = Server::start(|_, stream| {
        let _ = stream.write_all(format!("{STREAM_HEAD}{}", token("a")).as_bytes());
        thread::sleep(Duration::from_secs(2));
        Then::Close
    });
    let mut phase = short_phase(3);
    phase.timing.drain_limit = Duration::from_millis(100);
    let (rows, report) = run_phase(&server.target(), &phase);
    assert_eq!(rows.len(), 3);
    for (row, tokens) in &rows {
        assert_eq!(
            (row.outcome, row.stage),
            (Outcome::Unfinished, Stage::Measure)
        );
        assert_eq!((row.chunks, tokens.chunks.len()), (1, 1));
        assert!(row.ttft.is_some() && row.e2e.is_none());
    }
    assert!(report.failures.is_empty());
}

#[test]
fn an_idle_connection_that_dies_is_replaced() {
    // Closes after every answer without saying so.
    let server = Server::start(|_, stream| {
        good(stream);
        Then::Close
    });
    let mut phase = short_phase(1);
    phase.arrivals = load::Arrivals::Closed {
        users: 1.try_into().unwrap(),
        think: Duration::from_millis(20),
    };
    let (rows, _) = run_phase(&server.target(), &phase);
    assert!(rows.len() > 1);
    let bad: Vec<_> = rows
        .iter()
        .filter(|(row, _)| row.outcome.failure().is_some())
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn a_request_lost_on_a_reused_connection_is_sent_again() {
    // Answers the first request of a connection and drops the second one unanswered.
    let server = Server::start(|request, stream| match request.nth {
        1 => Then::Close,
        _ => good(stream),
    });
    let (rows, report) = run_phase(&server.target(), &short_phase(1));
    assert_eq!(report.resent, 1);
    let row = &rows[1].0;
    assert_eq!(row.outcome, Outcome::Ok);
    assert!(row.error.as_ref().unwrap().contains("sent again"));
}

#[test]
fn a_stopped_phase_ends_at_once_and_tells() {
    let server = Server::start(|_, stream| good(stream));
    let mut phase = short_phase(2);
    phase.timing.measure = Duration::from_secs(600);
    let (stop, live) = (load::Stop::default(), load::Live::default());
    let mut rows = 0;
    let report = load::run(
        &server.target(),
        &phase,
        clock::SessionClock::start(),
        &live,
        &stop,
        |_, _| {
            rows += 1;
            if rows == 5 {
                stop.stop();
            }
        },
    );
    let report = report.unwrap();
    assert!(report.stopped);
    assert!(report.stages.measure.seconds() < 600.0);
    assert_eq!(report.stages.drain.seconds(), 0.0);
    let snapshot = live.snapshot();
    assert_eq!(
        (snapshot.in_flight, snapshot.stage),
        (0, Some(Stage::Measure))
    );
    assert!(snapshot.ended_ok >= 5 && snapshot.ttft_p50.is_some());
}

#[test]
fn users_that_ask_a_number_of_times_end_the_phase_with_their_last_answer() {
    let server = Server::start(|_, stream| good(stream));
    let mut phase = short_phase(3);
    phase.timing.measure = Duration::from_secs(60);
    phase.each = std::num::NonZeroU32::new(4);
    let (rows, report) = run_phase(&server.target(), &phase);
    assert_eq!(rows.len(), 12);
    for (row, _) in &rows {
        assert_eq!((row.outcome, row.stage), (Outcome::Ok, Stage::Measure));
    }
    let last = rows.iter().map(|(row, _)| row.ended).max().unwrap();
    let measure = report.stages.measure;
    assert!(last <= measure.end_ns && measure.seconds() < 60.0);
    assert!(!report.stopped);
}
