//! The server's own metrics: asked over HTTP, parsed whole, and the few that all servers have
//! under common names.

mod claim;
mod common;
mod http;
mod poller;
pub mod prometheus;
mod rows;
pub mod trtllm;

pub use claim::AlreadyPolled;
pub use common::Common;
pub use http::{BadUrl, HttpError, MetricsUrl};
pub use poller::{Answer, Format, Metrics, MetricsError, Poller, PollerError, Source};
