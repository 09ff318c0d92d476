//! How far the instrument is off on this machine.
//!
//! The load generator runs at rising numbers of users against `engine`'s truth server, which
//! writes down when each request came and each token went. What the client reports, less what was
//! true, is the client's error: of TTFT, of the gaps between tokens, of the whole. Beside it the
//! sampler ticks, and says how late. A session cites the result ([`Calibration::at`]).
//!
//! This crate owns that comparison and its file. It is the one place that knows both the load
//! generator and the truth; it must not know the plan, the lab or the command line.
//!
//! The path of the data: [`run`] starts the server as a process of its own ([`ServerCommand`],
//! [`serve`] is the other end), since in one process the two would share a scheduler's fate; for
//! each number of users `measure` runs a phase beside a sampler and fetches the truth; `compare`,
//! which is pure, lays the two side by side; [`Calibration`] judges, and is written and read.

mod calibration;
mod compare;
mod error;
mod file;
mod measure;
mod server;
mod settings;
mod spread;
mod text;

pub use calibration::{Calibration, Level, Telemetry, TruthBounds};
pub use error::{CalibrateError, FileError};
pub use file::default_file;
pub use measure::{Event, run};
pub use server::{ServerCommand, serve};
pub use settings::Settings;
pub use spread::Spread;
