//! Rust's standard library for aarch64, built of its source by the compiler that is here.
//!
//! Where no library can be downloaded for the compiler, Debian's archive has the source of each of its
//! versions (package `rust-src`, in backports for the newest), its dependencies with it.

use super::TARGET;
use crate::{
    backports,
    commands::{cargo, only_file, root, run},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The sysroot that holds it; made if it is not there.
pub(super) fn built() -> Result<PathBuf> {
    let version = compiler_version()?;
    let kept = root().join(format!(".realserver/std-{version}"));
    let sysroot = kept.join("sysroot");
    if sysroot.is_dir() {
        return Ok(sysroot);
    }
    let source = source(&version, &kept)?;
    let libraries = compile(&source, &kept)?;
    // Last, so that a build that was cut short is made again.
    let fresh = kept.join("sysroot.new");
    let folder = fresh.join("lib/rustlib").join(TARGET).join("lib");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for library in libraries {
        let name = library.file_name().unwrap_or_default();
        fs::copy(&library, folder.join(name))
            .with_context(|| format!("cannot copy {}", library.display()))?;
    }
    fs::rename(&fresh, &sysroot).with_context(|| format!("cannot make {}", sysroot.display()))?;
    Ok(sysroot)
}

/// `1.95.0`.
fn compiler_version() -> Result<String> {
    let said = Command::new("rustc").arg("--version").output();
    let said = said.context("cannot start rustc")?.stdout;
    let said = String::from_utf8_lossy(&said);
    let version = said.split(' ').nth(1).map(str::to_owned);
    version.context("rustc does not say its version")
}

/// `library/` of the compiler's source.
fn source(version: &str, kept: &Path) -> Result<PathBuf> {
    let unpacked = kept.join("source");
    let library = unpacked.join(format!("usr/src/rustc-{version}/library"));
    if !library.is_dir() {
        let fetched = kept.join("package");
        let _ = fs::remove_dir_all(&fetched);
        fs::create_dir_all(&fetched)
            .with_context(|| format!("cannot make {}", fetched.display()))?;
        backports::download("rust-src", version, &fetched)?;
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .args([&only_file(&fetched)?, &unpacked]))?;
    }
    if !library.is_dir() {
        bail!("rust-src holds no {}", library.display());
    }
    Ok(library)
}

/// Builds it, and gives its `.rlib` files.
fn compile(source: &Path, kept: &Path) -> Result<Vec<PathBuf>> {
    let package = kept.join("empty");
    let write = |name: &str, text: &str| {
        let file = package.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    fs::create_dir_all(package.join("src"))
        .with_context(|| format!("cannot make {}", package.display()))?;
    let manifest =
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    write("Cargo.toml", manifest)?;
    write("src/lib.rs", "")?;
    let target = kept.join("target");
    let mut build = cargo();
    build
        .current_dir(&package)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort,panic_unwind,test")
        // A released compiler builds its own library only when told that it is building itself.
        .env("RUSTC_BOOTSTRAP", "1")
        // Where cargo finds the source that is no component of the toolchain.
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", source)
        .env("CARGO_TARGET_DIR", &target);
    run(&mut build)?;
    let folder = target.join(TARGET).join("release/deps");
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_library = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".rlib") && !name.starts_with("libempty")
    };
    Ok(files.filter(is_library).collect())
}
