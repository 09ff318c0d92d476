//! What was seen, as files.
//!
//! This crate owns the layout of a session's folder, the names of files and columns, and the
//! units in them; it is the only place that knows any of these. It knows nothing of how a value
//! was measured or what it will be used for: it imports neither the measuring crates nor the
//! judging ones, and reads no clock.
//!
//! The path of the data: `load` and `probe` fill rows ([`RequestRow`], [`RequestTokens`],
//! [`TelemetryRow`], [`CoreRow`]), a [`RunWriter`] appends them to the run's files as they come,
//! and after the run [`Session::open`] reads them back for `report`.
//!
//! Raw files are append-only, and every append is one `write`: after a kill at any byte, all but
//! a last torn row is readable. A reader drops such a torn tail and says so ([`Torn`]); anything
//! else that it does not understand it refuses, by file, line and column ([`RecordError`]).

mod buffer;
mod columns;
mod cpu;
mod digits;
mod error;
mod layout;
mod lines;
mod manifest;
mod requests;
mod resume;
mod server;
mod session;
mod smart;
mod summary;
mod table;
mod telemetry;
mod tokens;
mod verdict;

pub use columns::{Cache, Column, Device, Gpu, Host, Kind, Server};
pub use cpu::{CoreRow, CpuTimes};
pub use error::RecordError;
pub use layout::{BadRunId, RunDir, RunId, SessionDir};
pub use manifest::{
    CalibrationFacts, DeviceUnderTest, Effect, FORMAT, Gate, HostFacts, Interval, MemoryBack,
    ModelLoad, PrepareOutcome, Prepared, RunManifest, RunState, SamplingFacts, SessionManifest,
    Stages, TargetFacts, TargetKind, WorkloadFacts,
};
pub use requests::{Failure, Outcome, RequestRow, Stage, StampSource};
pub use server::{CommonMetric, Metric, ServerRow, ServerWriter};
pub use session::{Read, RunWriter, Session, TelemetryWriter, write_whole};
pub use smart::{SmartLog, SmartSnapshot, SmartSource};
pub use summary::{Distribution, FailureCounts, RequestCounts, Summary};
pub use table::Torn;
pub use telemetry::{Series, Telemetry, TelemetryRow, Value};
pub use tokens::{ChunkNs, ChunkTime, RequestTokens, TokenFrame};
pub use verdict::{Reason, Verdict, VerdictKind};
