//! `spillpoint`: the command line over all of it.
//!
//! This crate parses, wires and shows. What is measured, how, and what it means is the business of
//! the crates below; what a person sees, and the exit status that a script relies on, is decided
//! here alone.

mod cli;
mod commands;
mod embedded;
mod exit;
mod interrupt;
mod named_file;
mod privilege;
mod progress;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    commands::dispatch(cli::Args::parse()).report()
}
