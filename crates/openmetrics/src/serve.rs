//! The thread that answers a scraper.

use crate::text::{Exposition, Facts, Format};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{Html, IntoResponse},
    routing::get,
};
use probe::Latest;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{runtime, sync::oneshot};

/// A tick that is older is no answer to what the host does now: then there is none, and the
/// scraper sees the series end.
const STALE: Duration = Duration::from_secs(10);

/// Answers `GET /metrics` with the last tick, until it is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error(
        "can't listen on {address}: {source}; choose another port with --serve, or 0 for a free one"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No thread or no event queue could be had.
    #[error(
        "can't start the thread that serves metrics: {0}; raise the limits on processes and files"
    )]
    Start(#[from] io::Error),
}

impl Server {
    /// Listens on `address` and answers with what `latest` shows.
    pub fn start(address: SocketAddr, latest: Latest, facts: Facts) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        listener.set_nonblocking(true)?;
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let answering = Arc::new(Answering {
            latest,
            memory: Mutex::new(Memory {
                exposition: Exposition::new(facts),
                tick: None,
            }),
        });
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("openmetrics".to_owned())
            .spawn(move || runtime.block_on(serve(listener, answering, stopped)))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its own thread; a drop must not raise another.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, answering: Arc<Answering>, stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/", get(root))
        .with_state(answering);
    tokio::select! {
        // It goes on after any error of a connection, and has no other end.
        _ = async { axum::serve(listener, app).await } => {}
        // Also when a scraper holds a connection open: nothing is lost by cutting it.
        _ = stopped => {}
    }
}

struct Answering {
    latest: Latest,
    memory: Mutex<Memory>,
}

struct Memory {
    exposition: Exposition,
    /// The last tick that was seen, and when it was new.
    tick: Option<(u64, Instant)>,
}

impl Answering {
    fn text(&self, format: Format) -> String {
        let seen = self.latest.seen();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { exposition, tick } = &mut *memory;
        let number = seen.as_ref().map(|seen| seen.row.tick);
        if tick.map(|(number, _)| number) != number {
            *tick = number.map(|number| (number, Instant::now()));
        }
        let fresh = tick.is_some_and(|(_, since)| since.elapsed() < STALE);
        exposition.text(seen.as_ref().filter(|_| fresh), format)
    }
}

async fn metrics(State(answering): State<Arc<Answering>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT);
    let format = Format::accepted(accept.and_then(|accept| accept.to_str().ok()));
    let text = answering.text(format);
    ([(header::CONTENT_TYPE, format.content_type())], text)
}

async fn root() -> Html<&'static str> {
    Html("<title>Spillpoint</title><a href=\"/metrics\">metrics</a>")
}
