//! `cargo xtask cross`: the product for aarch64 (a DGX Spark's CPU), built on another machine, and
//! its tests run there by QEMU's user emulation.

mod std_of_source;

use crate::{
    commands::{cargo, root, run, tell},
    tools::{Apt, tool},
};
use anyhow::{Context, Result};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const ARCHIVER: &str = "aarch64-linux-gnu-ar";
/// Emulates a program of that processor, with that processor's C library.
const RUNNER: &str = "qemu-aarch64-static -L /usr/aarch64-linux-gnu";

/// The crates whose tests are of values alone, or of files and loopback sockets. Left out are those
/// that need what the emulator has not: io_uring (engine), receive timestamps (load, calibrate), a
/// process tree and cgroups of the target's own kind (lab, spillpoint).
const TESTED: &[&str] = &[
    "clock", "export", "plan", "probe", "record", "report", "seed",
];

/// Build for aarch64, and run its tests there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the release, and run no tests.
    #[arg(long)]
    release: bool,
}

pub(crate) fn cross(args: &Args) -> Result<()> {
    let tools = [
        tool(LINKER, "gcc-aarch64-linux-gnu"),
        tool(ARCHIVER, "binutils-aarch64-linux-gnu"),
        tool("qemu-aarch64-static", "qemu-user-static"),
    ];
    Apt::default()
        .install(&tools)
        .context("a compiler and an emulator for aarch64 are needed")?;
    let std = standard_library()?;
    if args.release {
        let mut build = for_aarch64("build", std.as_deref());
        return run(build.args(["--release", "--package", "spillpoint"]));
    }
    let mut build = for_aarch64("build", std.as_deref());
    run(build.args(["--package", "spillpoint"]))?;
    says_its_version()?;
    let mut tests = for_aarch64("test", std.as_deref());
    tests.args(TESTED.iter().flat_map(|name| ["--package", name]));
    run(&mut tests)
}

/// Rust's own library for the target: rustup's, where it is or can be had; None then. Else it is built
/// of its source, once.
fn standard_library() -> Result<Option<PathBuf>> {
    let installed = || {
        let mut rustc = Command::new("rustc");
        rustc.args(["--target", TARGET, "--print", "target-libdir"]);
        let folder = rustc.output().context("cannot start rustc")?.stdout;
        let folder = String::from_utf8_lossy(&folder).trim().to_owned();
        anyhow::Ok(Path::new(&folder).is_dir())
    };
    if installed()? {
        return Ok(None);
    }
    let added = run(Command::new("rustup").args(["target", "add", TARGET]));
    if added.is_ok() && installed()? {
        return Ok(None);
    }
    tell("rustup has no library for aarch64 here: it is built of its source");
    std_of_source::built().map(Some)
}

fn for_aarch64(what: &str, std: Option<&Path>) -> Command {
    let mut command = cargo();
    command
        .args([what, "--locked", "--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", RUNNER)
        .env("CC_aarch64_unknown_linux_gnu", LINKER)
        .env("AR_aarch64_unknown_linux_gnu", ARCHIVER)
        // No debugger is run on it, and it is half of the size.
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    if let Some(sysroot) = std {
        let flags = format!("--sysroot={}", sysroot.display());
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags);
    }
    command
}

/// The whole binary starts.
fn says_its_version() -> Result<()> {
    let binary = root().join("target").join(TARGET).join("debug/spillpoint");
    let mut words = RUNNER.split(' ');
    let mut emulator = Command::new(words.next().unwrap_or_default());
    run(emulator.args(words).arg(binary).arg("--version"))
}
