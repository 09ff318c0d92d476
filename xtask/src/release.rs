//! `cargo xtask release`: the binary as it is given away, the same bytes wherever it is built.

use crate::commands::{cargo, root, run, tell};
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Build the release, the same bytes wherever it is built.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the committed tree a second time, in another folder, and compare.
    #[arg(long)]
    twice: bool,
}

pub(crate) fn release(args: &Args) -> Result<()> {
    if args.twice {
        all_committed()?;
    }
    let binary = build(&root(), &root().join("target/reproducible"))?;
    tell(&format!("{}", binary.display()));
    if args.twice {
        compare(&binary, &again()?)?;
        tell("the same bytes as a second build, in another folder");
    }
    Ok(())
}

/// What is not committed would be in the first build alone.
fn all_committed() -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["status", "--porcelain"]);
    let changed = git.output().context("cannot start git")?.stdout;
    match changed.is_empty() {
        true => Ok(()),
        false => bail!(
            "there are changes that are not committed, and only what is can be built twice:\n{}",
            String::from_utf8_lossy(&changed)
        ),
    }
}

/// Builds the tree, no path of this machine being left in the binary.
fn build(tree: &Path, target: &Path) -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let places = [
        (tree, "/spillpoint"),
        (&home, "/cargo"),
        (target, "/target"),
    ];
    let remap = |flag: &str| {
        let of = |(from, to): &(&Path, &str)| format!("{flag}={}={to}", from.display());
        places.iter().map(of).collect::<Vec<_>>()
    };
    let mut build = cargo();
    build
        .current_dir(tree)
        .args(["build", "--release", "--locked", "--package", "spillpoint"])
        .arg("--target-dir")
        .arg(target)
        // The unit separator keeps paths with spaces whole.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            remap("--remap-path-prefix").join("\u{1f}"),
        )
        // The same for what is C or assembly (ring).
        .env("CFLAGS", remap("-ffile-prefix-map").join(" "));
    run(&mut build)?;
    Ok(target.join("release/spillpoint"))
}

/// The committed tree, in a folder whose path is another, and longer.
fn again() -> Result<PathBuf> {
    let folder = root().join("target/reproducible-again/in/another/place");
    let _ = fs::remove_dir_all(&folder);
    let tree = folder.join("tree");
    run(Command::new("git")
        .args(["clone", "--quiet", "--no-hardlinks"])
        .args([&root(), &tree]))?;
    build(&tree, &folder.join("target"))
}

fn compare(a: &Path, b: &Path) -> Result<()> {
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let (left, right) = (read(a)?, read(b)?);
    let differing = left
        .iter()
        .zip(&right)
        .position(|(left, right)| left != right);
    match differing {
        None if left.len() == right.len() => Ok(()),
        None => bail!(
            "{} has {} bytes, {} has {}",
            a.display(),
            left.len(),
            b.display(),
            right.len()
        ),
        Some(at) => bail!(
            "{} and {} differ from byte {at} on",
            a.display(),
            b.display()
        ),
    }
}
