//! Programs from crates.io that chores use, kept beside the tests' real server.

use crate::commands::{cargo, root, run};
use anyhow::Result;
use std::{path::PathBuf, process::Command};

/// A program in the version that is known to work.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    name: &'static str,
    version: &'static str,
}

pub(crate) const fn program(name: &'static str, version: &'static str) -> Program {
    Program { name, version }
}

impl Program {
    /// Does nothing where that version is there.
    pub(crate) fn install(self) -> Result<()> {
        let Self { name, version } = self;
        let mut install = cargo();
        install
            .args(["install", "--quiet", "--locked", name, "--version", version])
            .arg("--root")
            .arg(folder())
            // They run for seconds: optimising them takes minutes.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        run(&mut install)
    }

    pub(crate) fn command(self) -> Command {
        Command::new(folder().join("bin").join(self.name))
    }
}

fn folder() -> PathBuf {
    root().join(".realserver/tools")
}
