//! A server that misbehaves on purpose, within the test's own process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// What it does to a request of a run. What is asked before the runs, it answers as it should.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Sends two tokens, and then nothing more, without closing the connection.
    HangsMidStream,
    /// Answers every third with 500.
    FailsAThird,
    /// The same, and repeats the key that it was sent.
    RepeatsTheKey,
}

/// A request of a run asks for so many tokens; those before the runs for fewer.
pub(crate) const TOKENS: u32 = 8;
/// How long a connection is kept that says nothing more: longer than any deadline of the tests.
const SILENCE: Duration = Duration::from_secs(60);

/// Serves until the test's process ends, and gives its URL.
pub(crate) fn start(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let asked = Arc::clone(&asked);
            // A client that has gone is no concern of a server's.
            thread::spawn(move || answer(stream, fault, &asked));
        }
    });
    url
}

/// Answers one request, and closes the connection.
fn answer(mut stream: TcpStream, fault: Fault, asked: &AtomicU64) -> std::io::Result<()> {
    let Asked {
        path,
        body,
        authorization,
    } = request(&stream)?;
    match path.as_str() {
        "/v1/models" => {
            let list = r#"{"object":"list","data":[{"id":"mock","object":"model"}]}"#;
            whole(&mut stream, "200 OK", list)
        }
        "/v1/completions" if body.contains(&format!("\"max_tokens\":{TOKENS}")) => {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            match fault {
                Fault::HangsMidStream => {
                    tokens(&mut stream, 2)?;
                    thread::sleep(SILENCE);
                    Ok(())
                }
                Fault::FailsAThird if number.is_multiple_of(3) => {
                    let words = r#"{"error":{"message":"out of adapters","code":500}}"#;
                    whole(&mut stream, "500 Internal Server Error", words)
                }
                Fault::RepeatsTheKey if number.is_multiple_of(3) => {
                    let words = format!(r#"{{"error":{{"message":"{authorization} is tired"}}}}"#);
                    whole(&mut stream, "500 Internal Server Error", &words)
                }
                Fault::FailsAThird | Fault::RepeatsTheKey => all(&mut stream, TOKENS),
            }
        }
        "/v1/completions" => all(&mut stream, 1),
        _ => whole(&mut stream, "404 Not Found", "{}"),
    }
}

#[derive(Default)]
struct Asked {
    path: String,
    body: String,
    authorization: String,
}

fn request(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let (mut asked, mut length) = (Asked::default(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if asked.path.is_empty() {
            asked.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("authorization: ") {
            asked.authorization = value.to_owned();
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Ok(asked)
}

fn whole(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// The head of a stream, and its first tokens.
fn tokens(stream: &mut TcpStream, count: u32) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    )?;
    for _ in 0..count {
        write!(
            stream,
            "data: {{\"choices\":[{{\"index\":0,\"text\":\" a\",\"finish_reason\":null}}]}}\n\n"
        )?;
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn all(stream: &mut TcpStream, count: u32) -> std::io::Result<()> {
    tokens(stream, count)?;
    write!(
        stream,
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":32,\"completion_tokens\":{count}}}}}\n\n\
         data: [DONE]\n\n"
    )
}
