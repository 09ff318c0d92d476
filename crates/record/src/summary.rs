//! `summary.json`: a run's figures. Other tools read it: the names are a contract.

use crate::StampSource;
use serde::{Deserialize, Serialize};

/// The figures of one run, or of one phase measured on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The requests that were sent within the measured interval, by how they ended.
    pub requests: RequestCounts,
    /// The measured interval: rates divide by it alone.
    pub duration_s: f64,
    /// Output tokens that arrived within the measured interval, by the server's own count; null
    /// if the server gave none.
    pub output_tokens: Option<u64>,
    /// Requests that ended well within the measured interval, per second of it.
    pub requests_per_s: f64,
    /// `output_tokens` per second of the measured interval.
    pub output_tokens_per_s: Option<f64>,
    /// Whose clock stamped the arrivals: the worst of any request.
    pub clock: StampSource,
    /// Requests whose latency is only known to exceed what was seen: failed by time, or still
    /// running when the run ended. They are in no distribution below.
    pub censored: u64,
    /// Handed to the connection → response headers.
    pub ttfb_ms: Distribution,
    /// Handed to the connection → first token-bearing chunk.
    pub ttft_ms: Distribution,
    /// Handed to the connection → first chunk of the answer itself.
    pub ttfa_ms: Distribution,
    /// Handed to the connection → last token-bearing chunk.
    pub e2e_ms: Distribution,
    /// Gaps between consecutive token-bearing chunks, all requests' pooled.
    pub itl_ms: Distribution,
    /// Time per output token after the first chunk, one value a request.
    pub tpot_ms: Distribution,
    /// Wanted by the arrival process → handed to the connection.
    pub queue_ms: Distribution,
    /// The client's own error: user-space arrival minus kernel arrival, a value a chunk.
    pub client_lag_ms: Distribution,
}

/// Requests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// All of them.
    pub total: u64,
    /// Ended well.
    pub ok: u64,
    /// Ended badly, by kind.
    pub failed: FailureCounts,
}

/// Failed requests by kind; see [`Failure`](crate::Failure) for what each means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCounts {
    /// No connection.
    pub refused: u64,
    /// An HTTP status other than 200, or an error in the stream.
    pub status: u64,
    /// Over the deadline.
    pub timeout: u64,
    /// Cut short.
    pub truncated: u64,
    /// Not the protocol.
    pub malformed: u64,
}

impl FailureCounts {
    /// All failures.
    pub fn total(&self) -> u64 {
        self.refused + self.status + self.timeout + self.truncated + self.malformed
    }
}

/// A distribution in milliseconds. A figure is null where there are too few values for it: the
/// mean, median and maximum need one, the p-th percentile at least one value expected above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub n: u64,
    /// Their mean.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 95th percentile.
    pub p95: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// 95 % confidence interval of the median.
    pub p50_ci: Option<[f64; 2]>,
    /// 95 % confidence interval of the 99th percentile.
    pub p99_ci: Option<[f64; 2]>,
}
