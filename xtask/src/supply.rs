//! `cargo xtask supply`: what the binary is made of.

use crate::{
    commands::{root, run, tell},
    crates_io::{Program, program},
};
use anyhow::{Context, Result};
use std::{fs, process::Command};

const DENY: Program = program("cargo-deny", "0.20.2");
const MACHETE: Program = program("cargo-machete", "0.9.2");
const CYCLONEDX: Program = program("cargo-cyclonedx", "0.5.9");

/// Check the dependencies' licences, sources and use, and the oldest Rust that is promised.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the binary's bill of materials, target/spillpoint.cdx.json (CycloneDX).
    #[arg(long)]
    sbom: bool,
}

pub(crate) fn supply(args: &Args) -> Result<()> {
    for tool in [DENY, MACHETE, CYCLONEDX] {
        tool.install()?;
    }
    oldest_rust()?;
    deny()?;
    run(MACHETE.command().current_dir(root()))?;
    if args.sbom {
        bill_of_materials()?;
    }
    Ok(())
}

fn bill_of_materials() -> Result<()> {
    let mut sbom = CYCLONEDX.command();
    sbom.args(["cyclonedx", "--format", "json", "--describe", "binaries"]);
    // Without the moment in it, the same tree gives the same bill.
    run(sbom.env("SOURCE_DATE_EPOCH", "0").current_dir(root()))?;
    // It writes one beside the manifest of each crate that has a binary: the chores' own is not wanted.
    let chores = root().join("xtask/xtask_bin.cdx.json");
    fs::remove_file(&chores).with_context(|| format!("cannot remove {}", chores.display()))?;
    let written = root().join("crates/spillpoint/spillpoint_bin.cdx.json");
    let place = root().join("target/spillpoint.cdx.json");
    let bill = fs::read_to_string(&written)
        .with_context(|| format!("cannot read {}", written.display()))?;
    // Where the tree lay is nobody's business.
    let bill = bill.replace(
        &format!("file://{}", root().display()),
        "file:///spillpoint",
    );
    fs::write(&place, bill).with_context(|| format!("cannot write {}", place.display()))?;
    fs::remove_file(&written).with_context(|| format!("cannot remove {}", written.display()))?;
    tell(&place.display().to_string());
    Ok(())
}

/// Licences, bans and sources always; advisories where their database can be had.
fn deny() -> Result<()> {
    let check = |what: &[&str]| {
        let mut deny = DENY.command();
        deny.args(["--workspace", "--locked", "check", "--hide-inclusion-graph"]);
        run(deny.args(what).current_dir(root()))
    };
    check(&["licenses", "bans", "sources"])?;
    let mut fetch = DENY.command();
    match run(fetch.args(["fetch", "db"]).current_dir(root())) {
        Ok(()) => check(&["advisories"]),
        Err(error) => {
            tell(&format!("left out: known vulnerabilities: {error:#}"));
            Ok(())
        }
    }
}

/// The workspace compiles with the version that `rust-version` promises.
fn oldest_rust() -> Result<()> {
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let said = Command::new("rustc").arg("--version").output();
    let said = String::from_utf8(said.context("cannot start rustc")?.stdout)?;
    let ours = said.split(' ').nth(1).unwrap_or_default();
    if ours.starts_with(&format!("{promised}.")) {
        // Every build and test is made by it.
        return Ok(());
    }
    let toolchain = format!("+{promised}");
    let check = ["check", "--workspace", "--locked", "--all-targets"];
    let mut rustup = Command::new("cargo");
    run(rustup.arg(toolchain).args(check).current_dir(root()))
        .with_context(|| format!("rust-version says {promised}, and that can't build it"))
}
