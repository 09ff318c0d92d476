//! The dashboard: what a person sees on a terminal while a session runs, or a host is watched.
//!
//! What is known ([`State`]) follows from the lab's events and the sampler's ticks; what is shown
//! ([`draw`]) follows from what is known: both are pure. Around them is a thin edge
//! ([`Dashboard`]): a thread of its own that draws twice a second, and a terminal that is put back
//! as it was however the program ends ([`restore`]).
//!
//! It is never in the way of a measurement. Events come through a bounded channel whose sender
//! does not wait; the last tick is copied from where the sampler's sink leaves it. What can't be
//! shown is dropped: everything is in the session's files.

mod dashboard;
mod host;
mod palette;
mod series;
mod state;
mod terminal;
mod view;

pub use dashboard::Dashboard;
pub use palette::Palette;
pub use state::{HostTitle, State, Subject};
pub use terminal::{Screen, restore, suits};
pub use view::draw;
