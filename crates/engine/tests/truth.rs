//! The truth server over a real socket. No test asserts how long anything took.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::truth::{TruthConfig, TruthReport, serve};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

struct Truth {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<TruthReport>,
}

impl Truth {
    fn start(config: TruthConfig) -> Self {
        let (ready, address) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let ready = move |address| ready.send(address).unwrap();
            serve(&config, ready, &seen).unwrap()
        });
        Self {
            address: address.recv().unwrap(),
            stop,
            thread,
        }
    }

    fn fast() -> Self {
        Self::start(TruthConfig {
            first_token: Duration::from_millis(3),
            token_gap: Duration::from_millis(1),
            ..TruthConfig::default()
        })
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        socket
    }

    fn stop(self) -> TruthReport {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn request(id: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "POST /v1/completions HTTP/1.1\r\nx-request-id: {id}\r\ncontent-length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

const STREAM: &str =
    r#"{"prompt":"x","max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}"#;

/// Reads until `end` was read.
fn read_to(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(end) {
        let len = socket.read(&mut buffer).unwrap();
        assert!(len > 0, "closed after: {text}");
        text.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    text
}

#[test]
fn a_stream_is_served_and_its_times_are_in_order() {
    let truth = Truth::fast();
    let mut socket = truth.connect();
    for id in ["a", "b"] {
        socket.write_all(&request(id, STREAM)).unwrap();
        let text = read_to(&mut socket, "\r\n0\r\n\r\n");
        assert_eq!(text.matches("\"text\":").count(), 5);
        assert_eq!(text.matches("\"finish_reason\":\"length\"").count(), 1);
        assert!(text.contains("\"completion_tokens\":5") && text.contains("data: [DONE]"));
    }
    let port = socket.local_addr().unwrap().port();
    let report = truth.stop();
    assert_eq!((report.tokens, report.blocked_sends), (10, 0));
    for (nth, request) in report.requests.iter().enumerate() {
        assert_eq!(request.id.as_deref(), Some(["a", "b"][nth]));
        assert_eq!((request.peer_port, request.nth as usize), (port, nth));
        assert!(request.complete && request.token_ns.len() == 5);
        assert!(request.arrival_ns <= request.read_ns);
        let first = request.arrival_ns.plus(Duration::from_millis(3));
        for (k, at) in request.token_ns.iter().enumerate() {
            assert!(
                *at >= first.plus(Duration::from_millis(1) * k as u32),
                "too early"
            );
        }
    }
}

#[test]
fn requests_may_be_split_pipelined_or_abandoned() {
    let truth = Truth::fast();
    let mut socket = truth.connect();
    let bytes = request("split", STREAM);
    for part in bytes.chunks(7) {
        socket.write_all(part).unwrap();
    }
    socket.write_all(&request("next", STREAM)).unwrap();
    let first = read_to(&mut socket, "\r\n0\r\n\r\n");
    let rest = if first.matches("[DONE]").count() < 2 {
        read_to(&mut socket, "\r\n0\r\n\r\n")
    } else {
        String::new()
    };
    assert_eq!((first + &rest).matches("[DONE]").count(), 2);

    let long = r#"{"prompt":"x","max_tokens":100000,"stream":true}"#;
    let mut gone = truth.connect();
    gone.write_all(&request("gone", long)).unwrap();
    assert!(gone.read(&mut [0; 64]).unwrap() > 0);
    drop(gone);
    let mut seen: Vec<(String, bool)> = Vec::new();
    for _ in 0..2000 {
        socket.write_all(b"GET /truth HTTP/1.1\r\n\r\n").unwrap();
        let answer = read_to(&mut socket, "}");
        let report: TruthReport =
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        seen.extend(
            report
                .requests
                .into_iter()
                .map(|r| (r.id.unwrap(), r.complete)),
        );
        if seen.len() == 3 {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let wanted = [("split", true), ("next", true), ("gone", false)];
    assert_eq!(seen, wanted.map(|(id, complete)| (id.to_owned(), complete)));
    truth.stop();
}

#[test]
fn other_routes_answer_and_what_is_malformed_is_refused() {
    let truth = Truth::fast();
    let mut socket = truth.connect();
    for (request, wanted) in [
        ("GET /v1/models HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /health HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /nowhere HTTP/1.1\r\n\r\n", "404 Not Found"),
    ] {
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let len = socket.read(&mut answer).unwrap();
        let answer = std::str::from_utf8(&answer[..len]).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {wanted}")),
            "{answer}"
        );
    }
    let whole = r#"{"prompt":"x","max_tokens":3}"#;
    socket.write_all(&request("w", whole)).unwrap();
    assert!(read_to(&mut socket, "}}}").contains(" sea sky air"));
    socket.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(truth.stop().requests.len(), 1);
}
