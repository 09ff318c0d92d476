//! The smallest HTTP client that can show what is on the wire.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// With chunked framing undone.
    pub(crate) body: String,
    /// The sizes of the HTTP chunks, if it was chunked.
    pub(crate) chunks: usize,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The JSON of each event, without `[DONE]`, which must be the last.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let mut events: Vec<&str> = self
            .body
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect();
        assert_eq!(events.pop(), Some("[DONE]"), "{}", self.body);
        events
            .iter()
            .map(|e| serde_json::from_str(e).unwrap())
            .collect()
    }
}

pub(crate) fn get(server: SocketAddr, path: &str) -> Answer {
    send(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
}

pub(crate) fn post(server: SocketAddr, path: &str, body: &str) -> Answer {
    send(server, &post_text(path, "", body))
}

pub(crate) fn post_text(path: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {len}\r\n{headers}\r\n{body}"
    )
}

pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(server).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    socket
}

pub(crate) fn send(server: SocketAddr, request: &str) -> Answer {
    let mut socket = connect(server);
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, chunks) = if head.contains("transfer-encoding: chunked") {
        unchunk(body)
    } else {
        (body.to_owned(), 0)
    };
    Answer {
        status,
        head: head.to_owned(),
        body,
        chunks,
    }
}

fn unchunk(mut rest: &str) -> (String, usize) {
    let (mut body, mut chunks) = (String::new(), 0);
    loop {
        let (size, after) = rest.split_once("\r\n").expect("a chunk has a size line");
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, chunks);
        }
        body.push_str(&after[..size]);
        chunks += 1;
        rest = after[size..]
            .strip_prefix("\r\n")
            .expect("a chunk ends its line");
    }
}
