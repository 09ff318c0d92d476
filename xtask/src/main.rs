//! The project's own chores, run as `cargo xtask …`.
//!
//! Nothing of the product lives here: this program fetches what the tests need, runs cargo, and
//! runs the benches.

mod bench;
mod commands;
mod crates_io;
mod cross;
mod fuzz;
mod llama_server;
mod release;
mod soak;
mod supply;
mod test;
mod tools;
mod venv;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Spillpoint's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Fetch the real server and model, and run all tests of the workspace.
    Test(test::Args),
    /// Measure speed, memory and accuracy of one part.
    Bench(bench::Args),
    /// Build for aarch64, and run its tests there, emulated.
    Cross(cross::Args),
    /// Check what the binary is made of: licences, sources, unused crates, the oldest Rust.
    Supply(supply::Args),
    /// Build the release, the same bytes wherever it is built.
    Release(release::Args),
    /// Run engine and load for a long time, and look for what grows.
    Soak(soak::Args),
    /// Try the parsers with any bytes: needs a nightly compiler.
    Fuzz(fuzz::Args),
    /// Serve a small real model with llama.cpp, for trying Spillpoint by hand.
    LlamaServer(llama_server::Args),
}

fn main() -> Result<()> {
    match Args::parse().chore {
        Chore::Test(args) => test::run_tests(args),
        Chore::Bench(args) => bench::bench(args),
        Chore::Cross(args) => cross::cross(&args),
        Chore::Supply(args) => supply::supply(&args),
        Chore::Release(args) => release::release(&args),
        Chore::Soak(args) => soak::soak(&args),
        Chore::Fuzz(args) => fuzz::fuzz(args),
        Chore::LlamaServer(args) => llama_server::serve(args),
    }
}
