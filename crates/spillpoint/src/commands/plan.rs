//! `spillpoint plan`: list, show, check.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    named_file::read_text,
};
use anyhow::{Context, anyhow};
use plan::{BUILTIN, Builtin, Plan};
use std::{
    io::{self, Write},
    path::Path,
};

pub(crate) fn run(command: cli::Plan) -> Result {
    match command {
        cli::Plan::List => list(),
        cli::Plan::Show { name } => {
            io::stdout().write_all(named(&name)?.toml.as_bytes())?;
            Ok(Exit::Done)
        }
        cli::Plan::Check { file } => {
            let plan = read(&file)?;
            let runs = plan.schedule().len();
            writeln!(io::stdout(), "{}: {runs} runs, good", file.display())?;
            Ok(Exit::Done)
        }
    }
}

fn list() -> Result {
    let mut out = io::stdout();
    for builtin in BUILTIN {
        let plan = builtin.plan().or_failed()?;
        writeln!(out, "{:<6} {}", builtin.name, plan.title)?;
    }
    Ok(Exit::Done)
}

/// The plan that a person named: a built-in one, or a file.
pub(crate) fn find(name: &str) -> Result<Plan> {
    if name.ends_with(".toml") {
        return read(Path::new(name));
    }
    named(name)?.plan().or_failed()
}

fn named(name: &str) -> Result<Builtin> {
    let names: Vec<_> = BUILTIN.iter().map(|plan| plan.name).collect();
    Builtin::find(name)
        .ok_or_else(|| {
            anyhow!(
                "no plan is called {name:?}: name one of {}, or a file that ends in .toml",
                names.join(", ")
            )
        })
        .or_usage()
}

fn read(file: &Path) -> Result<Plan> {
    let toml = read_text(file)
        .with_context(|| format!("{}: cannot read the plan", file.display()))
        .or_usage()?;
    Plan::parse(&toml)
        .with_context(|| file.display().to_string())
        .or_usage()
}
