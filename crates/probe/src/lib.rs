//! The sensors.
//!
//! This crate owns reading the host: /proc, /sys, PSI, the block devices, and the facts that tell
//! one machine from another. It must not know what the values are for, nor where they are
//! written: it imports neither the load nor the lab, and hands `record`'s rows to whoever asked.
//!
//! The path of the data: a file that stays open is read with `pread` into a buffer that stays
//! allocated; a pure parser ([`parse`]) turns the bytes into raw counters; [`Probes`] lays the
//! counters of all files, and the few gauges that follow from two readings ([`gauges`]), into one
//! [`record::TelemetryRow`]; and [`Sampler`] does so on a schedule of absolute deadlines, on a
//! thread of its own, and hands each row to a sink on another.
//!
//! A sensor that is missing or breaks leaves its columns absent, never 0. It is reported once
//! ([`Fault`]) and stops nothing else.

mod background;
mod block;
mod error;
mod handover;
mod kept_file;
mod latest;
mod live;
mod probes;
mod roots;
mod sampler;
mod schedule;
mod urgency;

pub mod block_latency;
pub mod device;
pub mod doctor;
pub mod gauges;
pub mod gpu;
pub mod host;
pub mod metrics;
pub mod nvme;
pub mod page_cache;
pub mod parse;
pub mod rates;
pub mod server;

pub use error::{Fault, ProbeError, Sensor};
pub use latest::{Latest, LatestWriter, Seen};
pub use live::Live;
pub use probes::Probes;
pub use roots::Roots;
pub use sampler::{Sampled, Sampler, StartError};
pub use schedule::{BadInterval, SampleInterval};
pub use urgency::Urgency;
