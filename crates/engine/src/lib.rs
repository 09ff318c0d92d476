//! The embedded engine: an LLM server whose compute is modelled and whose queues are real.
//!
//! It owns a server that speaks the OpenAI protocol as vLLM does, and the truth about every request
//! it served. It is the default target on a machine without an LLM server, and the known answer
//! against which the instrument is checked. It knows nothing of plans, load, probes, records or
//! reports: to them it is one more server.
//!
//! The path of a request:
//!
//! ```text
//! socket ─► api ─ tokenize ─► stepper thread ─► api ─ one SSE event a token ─► socket
//!                             │    ▲                       │
//!                             ▼    │ how long              ▼
//!                           sched  roofline              ledger ─► GET /truth
//! ```
//!
//! - pure: [`token`], [`reply`], [`profile`], [`roofline`], [`sched`] – no clock, no I/O;
//! - real: [`storage`] – files, O_DIRECT, mapped memory; its policies are pure;
//! - edges: `stepper` (the thread that lets time pass), `api` (HTTP), `meters` and `ledger` (what
//!   was seen), [`serve`] (starts and stops it all).
//!
//! [`truth`] is a second, much smaller server, for the benches of the load generator.
//!
//! Only `stepper` decides when something happens; only `sched` decides what.

pub mod profile;
pub mod reply;
pub mod roofline;
pub mod sched;
pub mod storage;
pub mod token;
pub mod truth;

mod api;
mod config;
mod descriptors;
mod ledger;
mod meters;
mod pace;
mod serve;
mod stepper;

pub use config::{Bytes, Config, ConfigError, Speed};
pub use ledger::{Outcome, RequestTruth};
pub use serve::{EngineError, serve};
