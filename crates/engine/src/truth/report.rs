//! What the truth server saw.

use clock::MonoNs;
use serde::{Deserialize, Serialize};

/// One request, as it really went. Times are CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTimes {
    /// The client's `x-request-id`, if it sent one.
    pub id: Option<String>,
    /// The client's port; with `nth`, finds a request that has no id.
    pub peer_port: u16,
    /// Which request of its connection it was, from 0.
    pub nth: u32,
    /// The kernel received the last of the request (software receive timestamp).
    pub arrival_ns: MonoNs,
    /// The server had read it.
    pub read_ns: MonoNs,
    /// Just before each token was handed to the socket.
    pub token_ns: Vec<MonoNs>,
    /// The client was there to the end.
    pub complete: bool,
}

/// A send longer than this is counted as slow.
pub const SLOW_SEND_NS: u64 = 100_000;

/// Everything seen since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthReport {
    /// The requests, in the order in which they ended.
    pub requests: Vec<RequestTimes>,
    /// Tokens sent.
    pub tokens: u64,
    /// Tokens that were not recorded for want of room.
    pub unrecorded_tokens: u64,
    /// Times that a socket was full, so that the client's slowness moved the tokens after it.
    pub blocked_sends: u64,
    /// Requests without a kernel timestamp, whose `arrival_ns` is `read_ns`.
    pub unstamped_requests: u64,
    /// The latest that a token went out after it was due.
    pub max_late_ns: u64,
    /// Sends that took longer than [`SLOW_SEND_NS`]: the token may have left that much after its
    /// `token_ns`.
    pub slow_sends: u64,
    /// The longest that a send took: the bound of this record's own error.
    pub max_send_ns: u64,
    /// CPU time of the server's thread since it began, user and system.
    pub cpu_us: u64,
}
