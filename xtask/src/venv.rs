//! Python environments of the tests: installed once, into folders that git ignores.

use crate::commands::{root, run};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes an environment that holds these requirements, and no more: none is resolved. Gives its
/// interpreter. Does nothing where it is there already.
pub(crate) fn install(name: &str, requirements: &Path, options: &[&str]) -> Result<PathBuf> {
    let venv = root().join(".realserver").join(name);
    let python = venv.join("bin/python");
    let wanted = fs::read(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let installed = venv.join("installed.txt");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))
    .context("Python 3 with its venv module is needed (Debian: apt-get install python3-venv)")?;
    run(Command::new(venv.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:"])
        .args(options)
        .arg("--requirement")
        .arg(requirements))?;
    // Last, so that an installation that was cut short is made again.
    fs::write(&installed, wanted)
        .with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(python)
}
