//! An engine on a free port of loopback, and what the tests ask of it.

use crate::client::{get, post_text};
use engine::{Config, Speed, serve};
use serde_json::Value;
use std::{net::SocketAddr, sync::mpsc, thread, time::Duration};
use tokio::sync::oneshot;

/// Stopped on drop.
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Engine {
    pub(crate) fn start(config: Config) -> Self {
        let (ready, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let ready = move |address| ready.send(address).unwrap();
            let shutdown = async move { drop(stopped.await) };
            runtime.block_on(serve(config, ready, shutdown)).unwrap();
        });
        Self {
            address: address.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn fast() -> Self {
        Self::start(Config {
            speed: Speed::new(1000.0).unwrap(),
            ..Config::default()
        })
    }

    /// The truth about the request with this client id, once it has ended.
    pub(crate) fn truth(&self, id: &str) -> Value {
        for _ in 0..2000 {
            let entries = get(self.address, &format!("/truth?id={id}")).json();
            if let Some(truth) = entries["requests"].get(0) {
                return truth.clone();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("no request {id} in the truth");
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = get(self.address, "/metrics").body;
        let line = page.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(crate) fn completion(id: &str, body: &Value) -> String {
    let headers = format!("x-request-id: {id}\r\n");
    post_text("/v1/completions", &headers, &body.to_string())
}
