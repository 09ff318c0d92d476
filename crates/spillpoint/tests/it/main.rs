//! The real binary, driven as people and scripts drive it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod afterwards;
mod attached;
mod bad_server;
mod big_model;
mod command_line;
mod containers;
mod dashboard;
mod documentation;
mod experiments;
mod faults;
mod harness;
mod host;
mod kills;
mod known_answers;
mod lifecycle;
mod llama_server;
mod load;
mod neighbour;
mod prepare;
mod privilege;
mod quiet_machine;
mod scraped;
mod secrets;
mod sweep;
mod tiers;
mod wall_clock;
