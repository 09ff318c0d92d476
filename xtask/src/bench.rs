//! `cargo xtask bench`: speed, memory and accuracy, measured side by side in one run.
//!
//! A bench is a `benches/*.rs` of the crate that it measures. It prints; it asserts nothing: these
//! figures belong to a machine and a moment.

use crate::commands::{cargo, run};
use anyhow::Result;
use std::ffi::OsString;

/// Measure one part.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The part.
    #[arg(value_enum)]
    part: Part,
    /// What the bench itself takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// The load generator's own error and cost, against a server that knows the truth.
    Load,
    /// The sampler's cost and jitter, beside iostat, mpstat and vmstat.
    Probe,
    /// The engine's disk queue, beside fio.
    Disk,
    /// Analysis, figures and page of a full session.
    Report,
}

impl Part {
    /// The crate and its bench.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Part::Load => ("load", "accuracy"),
            Part::Probe => ("probe", "cost"),
            Part::Disk => ("engine", "disk"),
            Part::Report => ("report", "session"),
        }
    }
}

pub(crate) fn bench(args: Args) -> Result<()> {
    let (package, name) = args.part.place();
    run(cargo()
        .args(["bench", "--locked", "--package", package, "--bench", name])
        .arg("--")
        .args(args.rest))
}
