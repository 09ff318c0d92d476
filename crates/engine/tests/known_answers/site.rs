//! An engine, the load generator against it, and what both say of the same requests.

use clock::{MonoNs, SessionClock};
use engine::{Config, serve};
use load::{LengthModel, Live, Phase, Stop, Target, Timing, Wish, Workload, preflight, token_pool};
use record::{Outcome, RequestRow, RequestTokens};
use serde::Deserialize;
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU32,
    sync::mpsc,
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// A running engine and how to speak to it. Stopped on drop.
pub(crate) struct Site {
    pub(crate) target: Target,
    pub(crate) clock: SessionClock,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the engine says of a request.
#[derive(Debug, Deserialize)]
pub(crate) struct Truth {
    client_request_id: Option<String>,
    pub(crate) arrival_ns: MonoNs,
    pub(crate) scheduled_ns: Option<MonoNs>,
    pub(crate) token_ns: Vec<MonoNs>,
    pub(crate) cached_tokens: u32,
    pub(crate) preemptions: u32,
    pub(crate) storage_bytes: u64,
    pub(crate) storage_wait_us: u64,
}

#[derive(Deserialize)]
struct Entries {
    dropped: u64,
    requests: Vec<Truth>,
}

/// A request that ended well, as both sides saw it.
pub(crate) struct Seen {
    pub(crate) row: RequestRow,
    pub(crate) tokens: RequestTokens,
    pub(crate) truth: Truth,
}

impl Site {
    pub(crate) fn start(config: Config) -> Self {
        let (ready, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let ready = move |address| ready.send(address).unwrap();
            let shutdown = async move { drop(stopped.await) };
            runtime.block_on(serve(config, ready, shutdown)).unwrap();
        });
        let address: SocketAddr = address.recv().unwrap();
        let url = format!("http://{address}").parse().unwrap();
        Self {
            target: preflight(&Wish::new(url)).unwrap(),
            clock: SessionClock::start(),
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A workload whose prompts are exactly so long.
    pub(crate) fn workload(&self, prompt_tokens: u32, output_tokens: u32, salt: u64) -> Workload {
        let mut workload = Workload::new(prompt_tokens, output_tokens, 1, salt);
        workload.token_pool = token_pool(&self.target).unwrap();
        assert!(workload.token_pool.is_some());
        workload
    }

    /// Lets users ask until so many requests have ended well, whatever time that takes; those, in
    /// the order in which they were sent. What was in flight then is cut and not among them.
    pub(crate) fn ask(&self, users: u32, workload: Workload, requests: usize) -> Vec<Seen> {
        let salt = workload.salt;
        let users = NonZeroU32::new(users).unwrap();
        let lengths = LengthModel::guess();
        let phase = Phase::closed(users, Duration::ZERO, AT_LEISURE, workload, lengths);
        let (stop, mut ended) = (Stop::default(), Vec::new());
        let sink = |row: RequestRow, tokens| {
            assert!(row.outcome.failure().is_none(), "{row:?}");
            if row.outcome == Outcome::Ok {
                ended.push((row, tokens));
            }
            if ended.len() == requests {
                stop.stop();
            }
        };
        let live = Live::default();
        load::run(&self.target, &phase, self.clock, &live, &stop, sink).unwrap();
        assert!(ended.len() >= requests, "{} ended in time", ended.len());
        ended.sort_by_key(|(row, _)| row.request);
        self.join(salt, ended)
    }

    fn join(&self, salt: u64, ended: Vec<(RequestRow, RequestTokens)>) -> Vec<Seen> {
        let mut truths = HashMap::new();
        let id = |row: &RequestRow| format!("{salt:016x}-{}", row.request);
        // The client may know of a request's end before the engine has written it down.
        for _ in 0..2000 {
            let entries: Entries = serde_json::from_str(&self.get("/truth")).unwrap();
            assert_eq!(entries.dropped, 0);
            truths.extend(entries.requests.into_iter().filter_map(|truth| {
                let id = truth.client_request_id.clone()?;
                Some((id, truth))
            }));
            if ended.iter().all(|(row, _)| truths.contains_key(&id(row))) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let mut seen = |(row, tokens): (RequestRow, RequestTokens)| {
            let truth = truths.remove(&id(&row));
            let truth = truth.unwrap_or_else(|| panic!("no truth about {row:?}"));
            Seen { row, tokens, truth }
        };
        ended.into_iter().map(&mut seen).collect()
    }

    /// A figure of `/metrics`, by the beginning of its line.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics");
        let line = page.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        let limit = Some(Duration::from_secs(60));
        socket.set_read_timeout(limit).unwrap();
        write!(socket, "GET {path} HTTP/1.0\r\nhost: engine\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
        body.to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Seen {
    /// When the client handed it to its connection.
    pub(crate) fn sent(&self, clock: SessionClock) -> MonoNs {
        clock.mono(self.row.sent)
    }
}

/// A phase ends when enough requests have; this only keeps a broken one from going on for ever.
const AT_LEISURE: Timing = Timing {
    ramp: Duration::ZERO,
    warmup: Duration::ZERO,
    measure: Duration::from_secs(300),
    drain_limit: Duration::from_secs(10),
    request_deadline: Duration::from_secs(120),
};
