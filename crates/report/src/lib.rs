//! From records to what is said about them: statistics, figures, the report page.
//!
//! This crate owns how a session's figures are computed, drawn and worded. Everything in it is a
//! pure function over records: it reads a session through [`record`] and nothing else, holds no
//! clock, no network and no process, and writes no file. It must not know how the records came
//! about: neither the load, the probes, the plan nor the engine.
//!
//! The path of the data: a run's rows become a cohort, the values of the requests that
//! count, and its counters become [`HostMeans`]; a run's cohort becomes its `summary.json`
//! ([`summarise`]), the cohorts of all repeats of one phase and number of users a [`Cell`], with
//! [intervals](stats); cells and timelines become [`Figure`]s; all of it becomes the page.
//! [`analyze`] walks the whole path.
//!
//! A value that was not recorded is absent all the way, never 0, and a percentile from too few
//! values is not given.

mod analysis;
mod arms;
mod at_once;
mod cause;
mod cell;
mod chunks;
mod cohort;
mod compare;
mod evidence;
mod figure;
mod host;
mod knees;
mod metric;
mod moved;
mod note;
mod page;
mod requests;
mod server;
mod smart;
mod stalls;
pub mod stats;
mod steady;
mod strip;
mod summary;
mod table;
mod tiers;
mod timeline;
mod verdict;

pub use analysis::{Analysis, RunAnalysis, analyze};
pub use arms::ArmEffect;
pub use cause::Cause;
pub use cell::{Cell, Estimate, IntervalMethod, Spread};
pub use compare::{CellChange, Comparison, Difference, OverallChange, compare};
pub use figure::{FIGURES, Figure, FigureError, Theme};
pub use host::{HostFigure, HostMeans};
pub use knees::{Knees, UsersKnee};
pub use metric::Metric;
pub use moved::Moved;
pub use note::Note;
pub use smart::SmartDelta;
pub use stalls::{Stall, Stalls};
pub use steady::Steady;
pub use summary::summarise;
pub use table::{Heading, Table, table, tier_table};
pub use tiers::Tier;
pub use verdict::verdict_text;
