//! `cargo xtask test`: every test of the workspace, those that need the real server included.

use crate::{
    commands::{cargo, run},
    llama_server::LlamaServer,
    tools::Tools,
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
    let tools = Tools::install();
    // Tests that need more than a checkout are marked `ignore`, or do nothing without the
    // variables below: plain `cargo test` passes without any of it.
    let mut tests = cargo();
    tests
        .args(["test", "--workspace", "--locked"])
        .args(args.filter)
        .args(["--", "--include-ignored"])
        .env("SPILLPOINT_TEST_PYTHON", server.python())
        .env("SPILLPOINT_TEST_LLAMA_SERVER", server.script());
    if tools.measuring {
        tests.env("SPILLPOINT_REAL_TOOLS", "1");
    }
    if tools.browser {
        tests.env("SPILLPOINT_CHROMIUM", "chromium");
    }
    if let Some(kernel) = tools.guest_kernel {
        tests.env("SPILLPOINT_QEMU_KERNEL", kernel);
    }
    run(&mut tests)
}
