//! The truth server: a server for benches that does nothing but keep time.
//!
//! It speaks the streaming completions protocol, gives every request the same number of tokens a
//! second after the same delay, and writes down when each request arrived and when each token was
//! handed to the socket. A client's report is held against that. It must cost next to nothing, so
//! it is one thread on raw epoll: answers are static bytes, a token is one `send`, and nothing is
//! allocated per token.
//!
//! - pure: `agenda` (what is due when), `http` (reading requests), `canned` (the answers' bytes),
//!   [`TruthReport`];
//! - edges: `connection` (one socket and the kernel's receive timestamps), `process`
//!   (its own limits), `server` (the loop).
//!
//! A request's tokens are due at its own arrival + delay + k / rate, so streams that start at
//! different times never fall into step. If the server is late, the record says when the token
//! really went out; nothing is skipped.

mod agenda;
mod canned;
mod connection;
mod http;
mod process;
mod report;
mod server;

pub use report::{RequestTimes, SLOW_SEND_NS, TruthReport};

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::AtomicBool,
    time::Duration,
};

/// What the truth server does.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthConfig {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// From a request's arrival to its first token.
    pub first_token: Duration,
    /// From each token to the next.
    pub token_gap: Duration,
    /// Pin the server to this CPU.
    pub cpu: Option<usize>,
    /// Token times kept at most; what is beyond is served but not recorded, and counted.
    pub capacity_tokens: usize,
}

impl Default for TruthConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            first_token: Duration::from_millis(50),
            token_gap: Duration::from_millis(20),
            cpu: None,
            capacity_tokens: 32 << 20,
        }
    }
}

/// Why the truth server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TruthError {
    /// The address is taken or not ours.
    #[error("can't listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The thread could not be pinned.
    #[error("can't run on CPU {cpu}: {source}; name a CPU that this process may use")]
    Pin {
        /// What was asked for.
        cpu: usize,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The event loop failed.
    #[error("the truth server's event loop failed: {0}")]
    Poll(#[source] io::Error),
}

/// Serves on the calling thread until `stop` is set (looked at ten times a second), then returns
/// what was not yet fetched by `GET /truth`. `ready` is called once with the address.
pub fn serve(
    config: &TruthConfig,
    ready: impl FnOnce(SocketAddr),
    stop: &AtomicBool,
) -> Result<TruthReport, TruthError> {
    server::Server::listen(config)?.run(ready, stop)
}
