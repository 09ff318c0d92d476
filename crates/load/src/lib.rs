//! The clients: workloads, arrivals, API dialects, the streaming client, timestamps.
//!
//! This crate owns everything between "so many users want answers" and the rows that say how they
//! fared. It must not know what the server under test is stored on, what is sampled beside it, what
//! a plan looks like or what a report makes of the rows: its configuration is its own ([`Phase`]),
//! its results are `record`'s.
//!
//! The path of the data: [`preflight`] finds out what a server speaks ([`Target`]); [`run`] starts
//! three threads. The composer (`prompt`) writes request bodies; the socket thread (`phase`,
//! `users`) sends them and reads the answers through `connection`, the only code that touches a
//! socket; the caller's thread takes a row as each request ends, so that no file delays a read.
//!
//! What came from a socket is bytes with a stamp. All that is made of them is pure: `wire` (HTTP
//! head, framing, events: any split of the bytes gives the same events), `dialect` (what an event
//! means), `exchange` (one request's life). The stamp is the kernel's, mapped onto the session's
//! clock, so a busy client does not move it; user space's own time is kept beside it as `client_lag`.

#[cfg(any(test, feature = "fuzzing"))]
mod any_split;
mod arrivals;
mod client;
mod connection;
mod dialect;
mod exchange;
mod fetch;
mod kernel_time;
mod live;
mod phase;
mod prompt;
mod target;
mod tls;
#[cfg(test)]
mod transcripts;
mod users;
mod wire;
mod workload;

pub use arrivals::{Arrivals, BadRate, OpenLoop, RatePlan, Source, Spacing, Trace, TraceError};
pub use dialect::{Api, UnknownApi};
pub use live::{Live, LiveSnapshot, Stop};
pub use phase::{FailureNote, Phase, PhaseError, PhaseReport, Timing, run};
pub use prompt::{ExactLengths, LengthModel, TokenPool, Tokenizer, TokenizerError, WordPool};
pub use target::{
    Accepts, ApiKey, BaseUrl, PreflightError, Target, UrlError, Wish, calibrate, exact_lengths,
    fit_tokenizer, load_adapter, preflight, token_pool, unload_adapter, word_pool,
};
pub use tls::{Tls, TlsError};
pub use workload::{
    Adapter, AdapterListError, AdapterPolicy, Adapters, BadLengths, LoraDialect, Reuse, TextError,
    Texts, TokenLengths, TraceShape, Workload,
};

/// The door for the fuzzer; see `fuzz/` at the root.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    /// Reads the data as a response, whole and split; panics if that makes a difference.
    pub fn any_split(data: &[u8]) {
        let [api, cuts, rest @ ..] = data else { return };
        let api = crate::Api::ALL[usize::from(*api) % crate::Api::ALL.len()];
        let places = usize::from(cuts % 8).min(rest.len());
        let (places, bytes) = rest.split_at(places);
        let last = bytes.len().max(1);
        let cuts = places
            .iter()
            .enumerate()
            .map(|(nth, &byte)| (usize::from(byte) + nth * 256) % last);
        crate::any_split::check(api, bytes, cuts);
    }
}
