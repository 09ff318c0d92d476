//! `cargo xtask fuzz`: every parser of a stranger's bytes, one after the other, under a fuzzer.
//!
//! What it finds lies in `fuzz/artifacts/`; a seed that shows a fault that is mended belongs into
//! `fuzz/corpus/`, where an ordinary test reads it from then on.

use crate::commands::{root, run, tell};
use anyhow::{Context, Result, bail};
use std::{fs, process::Command};

/// Try the parsers with any bytes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long, for each parser.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
    /// The parsers, by the names of their corpora; all of them where none is named.
    targets: Vec<String>,
}

pub(crate) fn fuzz(args: Args) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !known.contains(name)) {
        bail!(
            "no parser is called {unknown:?}: there are {}",
            known.join(", ")
        );
    }
    let targets = if args.targets.is_empty() {
        known
    } else {
        args.targets
    };
    for target in targets {
        tell(&format!("fuzzing {target} for {} s", args.seconds));
        run(Command::new("cargo")
            .args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", &target, "--"])
            .arg(format!("-max_total_time={}", args.seconds))
            .current_dir(root().join("fuzz")))
        .context("cargo-fuzz found a fault, or is not there: rustup toolchain install nightly, cargo install cargo-fuzz")?;
    }
    Ok(())
}

/// A corpus a parser.
fn targets() -> Result<Vec<String>> {
    let corpus = root().join("fuzz/corpus");
    let entries = fs::read_dir(&corpus).with_context(|| format!("cannot list {corpus:?}"))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}
