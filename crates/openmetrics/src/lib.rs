//! What the sensors see, as OpenMetrics, for a Prometheus that already runs.
//!
//! [`Exposition`] turns one tick into text and is pure; [`Server`] answers a scraper with the last
//! tick, on a thread of its own. Every column of `record` has its place here: names begin with
//! `spillpoint_`, values are in base units (seconds, bytes, ratios, hertz, watts, celsius), and
//! what no sensor gave is absent, never 0.

mod family;
mod serve;
mod text;

pub use serve::{ServeError, Server};
pub use text::{Exposition, Facts, Format};
