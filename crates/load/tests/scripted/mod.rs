//! A server on loopback that answers every request as a test says. It ends with the test.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may end")]

use clock::SessionClock;
use load::{
    LengthModel, Live, Phase, PhaseReport, Stop, Target, Timing, Wish, Workload, preflight, run,
};
use record::{RequestRow, RequestTokens};
use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A request as the server saw it.
#[derive(Debug)]
pub(crate) struct Request {
    /// Counted over all connections, from 0, less those that ask for the models.
    pub(crate) nth: u32,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What to do with the connection after an answer.
pub(crate) enum Then {
    KeepOpen,
    Close,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One HTTP chunk.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A completions event with one token.
pub(crate) fn token(text: &str) -> String {
    chunk(&format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}]}}\n\n"
    ))
}

/// The proper end of a completions stream of that many tokens.
pub(crate) fn end(tokens: u32) -> String {
    let usage = format!(
        "data: {{\"choices\":[{{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{tokens}}}}}\n\n\
         data: [DONE]\n\n"
    );
    chunk(&usage) + "0\r\n\r\n"
}

pub(crate) fn good(stream: &mut TcpStream) -> Then {
    let answer = format!("{STREAM_HEAD}{}{}{}", token("a"), token(" b"), end(2));
    let _ = stream.write_all(answer.as_bytes());
    Then::KeepOpen
}

pub(crate) fn answer(stream: &mut TcpStream, status: &str, body: &str) -> Then {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    let _ = stream.write_all(text.as_bytes());
    Then::KeepOpen
}

pub(crate) const MODELS: &str = r#"{"object":"list","data":[{"id":"m","owned_by":"scripted"}]}"#;

impl Server {
    /// `script` answers all requests but GET /v1/models, which names the model "m".
    pub(crate) fn start(
        script: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Self {
        Self::start_raw(move |request, stream| match request.path.as_str() {
            "/v1/models" => answer(stream, "200 OK", MODELS),
            _ => script(request, stream),
        })
    }

    /// `script` answers everything.
    pub(crate) fn start_raw(
        script: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, open) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let requests = Arc::new(AtomicU32::new(0));
        let thread = {
            let (ended, open, requests) =
                (Arc::clone(&ended), Arc::clone(&open), Arc::clone(&requests));
            let script = Arc::new(script);
            thread::spawn(move || accept(&listener, &ended, &open, &requests, &script))
        };
        Self {
            address,
            requests,
            ended,
            open,
            thread: Some(thread),
        }
    }

    pub(crate) fn wish(&self) -> Wish {
        Wish {
            timeout: Duration::from_secs(5),
            ..Wish::new(format!("http://{}", self.address).parse().unwrap())
        }
    }

    /// A target that preflight never saw, so that the script may misbehave from the first request.
    pub(crate) fn target(&self) -> Target {
        target(self.address)
    }
}

pub(crate) fn target(address: SocketAddr) -> Target {
    Target {
        url: format!("http://{address}").parse().unwrap(),
        address,
        tls: None,
        model: "m".to_owned(),
        api: load::Api::Completions,
        server: None,
        context_tokens: None,
        accepts: load::Accepts {
            ignore_eos: false,
            min_tokens: false,
            usage: true,
        },
        api_key: None,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Script = dyn Fn(&Request, &mut TcpStream) -> Then + Send + Sync;

fn accept(
    listener: &TcpListener,
    ended: &AtomicBool,
    open: &Mutex<Vec<TcpStream>>,
    requests: &Arc<AtomicU32>,
    script: &Arc<impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static>,
) {
    for stream in listener.incoming() {
        if ended.load(SeqCst) {
            return;
        }
        let stream = stream.unwrap();
        open.lock().unwrap().push(stream.try_clone().unwrap());
        let (script, requests) = (Arc::clone(script), Arc::clone(requests));
        thread::spawn(move || serve(stream, &requests, &*script));
    }
}

fn serve(mut stream: TcpStream, requests: &AtomicU32, script: &Script) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader, requests) {
        if let Then::Close = script(&request, &mut stream) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read(reader: &mut impl BufRead, requests: &AtomicU32) -> Option<Request> {
    let mut length = 0;
    let mut path = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let nth = match path.as_str() {
        "/v1/models" => 0,
        _ => requests.fetch_add(1, SeqCst),
    };
    Some(Request {
        nth,
        path,
        body: String::from_utf8(body).ok()?,
    })
}

/// A phase that is over in a moment.
pub(crate) fn short_phase(users: u32) -> Phase {
    let timing = Timing {
        ramp: Duration::ZERO,
        warmup: Duration::ZERO,
        measure: Duration::from_millis(200),
        drain_limit: Duration::from_secs(5),
        request_deadline: Duration::from_secs(5),
    };
    let users = NonZeroU32::new(users).unwrap();
    let workload = Workload::new(20, 2, 1, 2);
    Phase::closed(
        users,
        Duration::ZERO,
        timing,
        workload,
        LengthModel::guess(),
    )
}

pub(crate) type Rows = Vec<(RequestRow, RequestTokens)>;

pub(crate) fn run_phase(target: &Target, phase: &Phase) -> (Rows, PhaseReport) {
    let mut rows = Rows::new();
    let report = run(
        target,
        phase,
        SessionClock::start(),
        &Live::default(),
        &Stop::default(),
        |row, tokens| rows.push((row, tokens)),
    );
    rows.sort_by_key(|(row, _)| row.request);
    (rows, report.unwrap())
}

/// The first request's row, of a phase against this script.
pub(crate) fn first_row(
    script: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static,
) -> RequestRow {
    let server = Server::start(script);
    let (rows, _) = run_phase(&server.target(), &short_phase(1));
    rows[0].0.clone()
}

/// What preflight makes of this script.
pub(crate) fn preflight_of(
    script: impl Fn(&Request, &mut TcpStream) -> Then + Send + Sync + 'static,
) -> Result<Target, load::PreflightError> {
    preflight(&Server::start_raw(script).wish())
}
