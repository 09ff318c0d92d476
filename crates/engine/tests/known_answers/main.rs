//! Known answers: what is planted in the engine is what the load generator and the truth find.
//!
//! What is compared are counts, bytes, and times of one clock that contain each other; nothing
//! depends on how fast this machine is. `-- --nocapture` shows what was planted and found.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "planted and found are worth seeing")]

mod adapters;
mod compute;
mod site;
mod tier;
