//! `cargo xtask test`: every test of the workspace, those that need the real server included.

use crate::{
    commands::{cargo, root, run, tell},
    llama_server::LlamaServer,
    tools::Tools,
    venv,
};
use anyhow::Result;
use std::path::PathBuf;

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
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
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
    if tools.terminal {
        tests.env("SPILLPOINT_TMUX", "tmux");
    }
    if let Some(folder) = tools.prometheus {
        tests.env("SPILLPOINT_PROMETHEUS", folder);
    }
    if let Some(kernel) = tools.guest_kernel {
        tests.env("SPILLPOINT_QEMU_KERNEL", kernel);
    }
    if let Some(python) = readers() {
        tests.env("SPILLPOINT_TEST_PYTHON_READERS", python);
    }
    run(&mut tests)
}

/// The tools whose forms `export` writes. Their packages come for some versions of Python alone, so
/// that a machine without them leaves that one test out, with a word.
fn readers() -> Option<PathBuf> {
    let requirements = root().join("crates/export/tests/requirements.txt");
    venv::install("readers", &requirements, &[])
        .inspect_err(|error| tell(&format!("left out: exports in their own tools: {error:#}")))
        .ok()
}
