//! `cargo xtask fuzz`: every parser of a stranger's bytes, one after the other, under a fuzzer.
//!
//! What it finds lies in `fuzz/artifacts/`; a seed that shows a fault that is mended belongs into
//! `fuzz/corpus/`, where an ordinary test reads it from then on. What else the fuzzer learnt lies in
//! `fuzz/grown/`, and the next time begins with it.

use crate::{
    commands::{root, run, tell},
    crates_io::{Program, program},
};
use anyhow::{Context, Result, bail};
use std::{fs, path::PathBuf, process::Command};

const CARGO_FUZZ: Program = program("cargo-fuzz", "0.13.2");

/// The fuzzer's instruments are the compiler's unstable options.
const TOOLCHAIN: &str = "nightly";

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
    have_compiler()?;
    CARGO_FUZZ.install()?;
    for target in &targets {
        run(cargo_fuzz("build").arg(target))?;
    }
    let mut faults = Vec::new();
    for target in targets {
        tell(&format!("fuzzing {target} for {} s", args.seconds));
        if let Err(error) = try_one(&target, args.seconds) {
            tell(&format!("{error:#}"));
            faults.push(target);
        }
    }
    if !faults.is_empty() {
        bail!(
            "a fault in: {}; the bytes that show it lie in fuzz/artifacts/",
            faults.join(", ")
        );
    }
    Ok(())
}

/// A `rustc +nightly` that can be started: a message of rustup's would name no remedy.
fn have_compiler() -> Result<()> {
    run(Command::new("rustc").args([&format!("+{TOOLCHAIN}"), "--version"])).context(
        "fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal",
    )
}

fn try_one(target: &str, seconds: u32) -> Result<()> {
    let grown = folder().join("grown").join(target);
    fs::create_dir_all(&grown).with_context(|| format!("cannot make {grown:?}"))?;
    let mut fuzz = cargo_fuzz("run");
    // It adds to the first folder, and only reads the other.
    fuzz.arg(target).arg(grown).arg(seeds().join(target));
    run(fuzz.arg("--").arg(format!("-max_total_time={seconds}")))
}

fn cargo_fuzz(what: &str) -> Command {
    let mut command = CARGO_FUZZ.command();
    command
        .args(["fuzz", what, "--fuzz-dir", "."])
        .current_dir(folder())
        .env("RUSTUP_TOOLCHAIN", TOOLCHAIN)
        // The cargo that runs us is of another toolchain.
        .env_remove("CARGO");
    command
}

fn folder() -> PathBuf {
    root().join("fuzz")
}

fn seeds() -> PathBuf {
    folder().join("corpus")
}

/// A corpus a parser.
fn targets() -> Result<Vec<String>> {
    let corpus = seeds();
    let entries = fs::read_dir(&corpus).with_context(|| format!("cannot list {corpus:?}"))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}
