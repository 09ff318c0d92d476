//! Runs a plan.
//!
//! This crate owns the life of a session: it resolves the target (starting the embedded engine if
//! there is no other), checks everything that could stop or spoil the session before it starts,
//! and then makes every run of the plan: load beside probes, the files, the gates, the seal. It
//! knows nothing of how a request is sent or a sensor is read (`load` and `probe` do), nor what
//! the rows mean (`report` does), and it prints nothing: it tells an observer ([`Event`]).
//!
//! The path of the data: a [`plan::Plan`] and a [`Target`] in a [`Job`] → [`run`] → for each run
//! of the schedule, rows from `load` and ticks from `probe` through `record`'s writers → the
//! session's folder.

mod before;
mod ceiling;
mod error;
mod estimate;
mod event;
mod gates;
mod job;
mod lock;
mod measure;
mod memory_back;
mod model_cache;
mod model_load;
mod needs;
mod neighbour;
mod phase;
mod place;
mod prepare;
mod restart;
mod run_log;
mod seen;
mod sensors;
mod server;
mod session;
mod standing;
mod tally;
mod target;
mod watch;

pub use error::LabError;
pub use estimate::estimate;
pub use event::{Event, Moment};
pub use job::{Job, LoraTarget, Target, Whose};
pub use load::Stop;
pub use plan::Estimate;
pub use prepare::{How, Machine, Undone, restore};
pub use session::{Ended, run};
