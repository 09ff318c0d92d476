//! `cargo xtask cross`: the product for aarch64 (a DGX Spark's CPU), built on another machine, and
//! its tests run there by QEMU's user emulation.

use crate::{
    commands::{cargo, root, run, tell},
    tools::{Apt, tool},
};
use anyhow::{Context, Result};
use std::{env, path::Path, process::Command};

const TARGET: &str = "aarch64-unknown-linux-gnu";
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

/// Tests of those crates that need a system call that the emulator has not: cachestat and mincore.
const NOT_EMULATED: &[&str] = &["page_cache::"];

/// Build for aarch64, and run its tests there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the release, and run no tests.
    #[arg(long)]
    release: bool,
    /// Where the compiler or the emulator can't be had, say so and do nothing.
    #[arg(long)]
    if_possible: bool,
}

pub(crate) fn cross(args: &Args) -> Result<()> {
    match install() {
        Err(error) if args.if_possible => {
            tell(&format!("left out: aarch64: {error:#}"));
            return Ok(());
        }
        installed => installed?,
    }
    if args.release {
        return run(for_aarch64("build").args(["--release", "--package", "spillpoint"]));
    }
    run(for_aarch64("build").args(["--package", "spillpoint"]))?;
    says_its_version()?;
    let packages = TESTED.iter().flat_map(|name| ["--package", name]);
    let mut tests = for_aarch64("test");
    tests.args(packages).args(["--no-fail-fast", "--"]);
    run(tests.args(NOT_EMULATED.iter().flat_map(|name| ["--skip", name])))
}

/// A linker, an emulator, and Rust's own library for the target.
fn install() -> Result<()> {
    let tools = [
        tool(LINKER, "gcc-aarch64-linux-gnu"),
        tool(ARCHIVER, "binutils-aarch64-linux-gnu"),
        tool("qemu-aarch64-static", "qemu-user-static"),
    ];
    Apt::default().install(&tools)?;
    let mut rustc = Command::new("rustc");
    rustc.args(["--target", TARGET, "--print", "target-libdir"]);
    let folder = rustc.output().context("cannot start rustc")?.stdout;
    let folder = String::from_utf8_lossy(&folder).trim().to_owned();
    match Path::new(&folder).is_dir() {
        true => Ok(()),
        false => run(Command::new("rustup").args(["target", "add", TARGET])),
    }
}

fn for_aarch64(what: &str) -> Command {
    let mut command = cargo();
    command
        .args([what, "--locked", "--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", RUNNER)
        .env("CC_aarch64_unknown_linux_gnu", LINKER)
        .env("AR_aarch64_unknown_linux_gnu", ARCHIVER)
        // No debugger is run on it, and it is half of the size.
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

/// The whole binary starts.
fn says_its_version() -> Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let binary = root().join(target).join(TARGET).join("debug/spillpoint");
    let mut words = RUNNER.split(' ');
    let mut emulator = Command::new(words.next().unwrap_or_default());
    run(emulator.args(words).arg(binary).arg("--version"))
}
