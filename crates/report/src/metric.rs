//! The figures of a request, by name.

use record::{Distribution, RequestRow, Summary};
use std::time::Duration;

/// A latency, as DESIGN names it. All are reported in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Handed to the connection → response headers.
    Ttfb,
    /// Handed to the connection → first token-bearing chunk.
    Ttft,
    /// Handed to the connection → first chunk of the answer itself.
    Ttfa,
    /// Handed to the connection → last token-bearing chunk.
    E2e,
    /// Gap between consecutive token-bearing chunks.
    Itl,
    /// Time per output token after the first chunk.
    Tpot,
    /// Wanted by the arrival process → handed to the connection.
    Queue,
    /// User-space arrival minus kernel arrival.
    ClientLag,
}

impl Metric {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Metric; 8] = [
        Metric::Ttfb,
        Metric::Ttft,
        Metric::Ttfa,
        Metric::E2e,
        Metric::Itl,
        Metric::Tpot,
        Metric::Queue,
        Metric::ClientLag,
    ];

    /// Its name in `summary.json`; the end is the unit.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::Ttfb => "ttfb_ms",
            Metric::Ttft => "ttft_ms",
            Metric::Ttfa => "ttfa_ms",
            Metric::E2e => "e2e_ms",
            Metric::Itl => "itl_ms",
            Metric::Tpot => "tpot_ms",
            Metric::Queue => "queue_ms",
            Metric::ClientLag => "client_lag_ms",
        }
    }

    /// What it measures, as the report explains it.
    pub const fn definition(self) -> &'static str {
        match self {
            Metric::Ttfb => "request handed to its connection → response headers",
            Metric::Ttft => {
                "request handed to its connection → first chunk that carries a token: text, reasoning, tool call or token ids, also when its text is empty"
            }
            Metric::Ttfa => {
                "request handed to its connection → first chunk of the answer itself, not of its reasoning"
            }
            Metric::E2e => {
                "request handed to its connection → last chunk that carries a token; requests that ended well"
            }
            Metric::Itl => {
                "gap between consecutive token-bearing chunks, a value a gap, all requests’ gaps pooled"
            }
            Metric::Tpot => {
                "(e2e − ttft) / (output tokens − tokens in the first chunk), a value a request"
            }
            Metric::Queue => {
                "the moment the arrival process wanted the request → handed to its connection"
            }
            Metric::ClientLag => {
                "the client’s own error: arrival in user space minus arrival in the kernel, a value a chunk"
            }
        }
    }

    /// Its distribution in a summary.
    pub fn of(self, summary: &Summary) -> &Distribution {
        match self {
            Metric::Ttfb => &summary.ttfb_ms,
            Metric::Ttft => &summary.ttft_ms,
            Metric::Ttfa => &summary.ttfa_ms,
            Metric::E2e => &summary.e2e_ms,
            Metric::Itl => &summary.itl_ms,
            Metric::Tpot => &summary.tpot_ms,
            Metric::Queue => &summary.queue_ms,
            Metric::ClientLag => &summary.client_lag_ms,
        }
    }

    /// Whether a request has several values of it, which depend on each other.
    pub const fn is_per_chunk(self) -> bool {
        matches!(self, Metric::Itl | Metric::ClientLag)
    }

    /// A request's own value, of a metric that has one a request.
    pub(crate) fn of_request(self, row: &RequestRow) -> Option<Duration> {
        match self {
            Metric::Ttfb => row.ttfb,
            Metric::Ttft => row.ttft,
            Metric::Ttfa => row.ttfa,
            Metric::E2e => row.e2e,
            Metric::Tpot => row.tpot,
            Metric::Queue => Some(row.queue),
            Metric::Itl | Metric::ClientLag => None,
        }
    }
}
