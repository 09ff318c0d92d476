//! `cargo xtask test`: every test of the workspace, those that need the real server included.

use crate::{
    commands::{cargo, run},
    llama_server::LlamaServer,
};
use anyhow::Result;

/// Fetch the real server and model, and run all tests.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the tests whose names contain this.
    filter: Option<String>,
}

pub(crate) fn run_tests(args: Args) -> Result<()> {
    let server = LlamaServer::install()?;
    // Tests that need the real server are marked `ignore`: plain `cargo test` passes without it.
    run(cargo()
        .args(["test", "--workspace", "--locked"])
        .args(args.filter)
        .args(["--", "--include-ignored"])
        .env("SPILLPOINT_TEST_PYTHON", server.python())
        .env("SPILLPOINT_TEST_LLAMA_SERVER", server.script()))
}
