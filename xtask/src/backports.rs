//! Packages of Debian's backports, downloaded and not installed.
//!
//! Backports need not be among this machine's sources, and are not added to them: apt gets lists and
//! a cache of its own.

use crate::commands::run;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The release whose backports are looked into. What is taken is source, which fits any.
const RELEASE: &str = "trixie-backports";

/// Downloads the package in the version that begins so into the folder, which is empty.
pub(crate) fn download(package: &str, version: &str, folder: &Path) -> Result<()> {
    let apt = Apt::beside(folder)?;
    run(apt.command("apt-get").args(["--quiet=2", "update"]))?;
    let found = apt.command("apt-cache").args(["madison", package]).output();
    let found = found.context("cannot start apt-cache")?.stdout;
    let found = String::from_utf8_lossy(&found);
    let wanted = of_version(&found, version)
        .with_context(|| format!("{RELEASE} has no {package} {version}"))?;
    let mut download = apt.command("apt-get");
    download.args(["--quiet=2", "download", &format!("{package}={wanted}")]);
    run(download.current_dir(folder))
}

/// Of lines like `rust-src | 1.95.0+dfsg1-2~bpo13+1 | …`.
fn of_version<'a>(madison: &'a str, version: &str) -> Option<&'a str> {
    let versions = madison.lines().filter_map(|line| line.split('|').nth(1));
    versions.map(str::trim).find(|it| {
        let rest = it.strip_prefix(version);
        rest.is_some_and(|rest| rest.starts_with(['+', '-']))
    })
}

struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn beside(folder: &Path) -> Result<Self> {
        let sources = fs::read_to_string(SOURCES).with_context(|| SOURCES.to_owned())?;
        let mirror = sources.lines().find_map(|line| line.strip_prefix("URIs:"));
        let mirror = mirror.with_context(|| format!("{SOURCES} names no archive"))?;
        let folder = folder.with_extension("apt");
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(name))
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let list = format!("deb [signed-by={KEYS}] {} {RELEASE} main\n", mirror.trim());
        fs::write(folder.join("sources.list"), list)
            .with_context(|| format!("cannot write {}", folder.display()))?;
        Ok(Self { folder })
    }

    fn command(&self, program: &str) -> Command {
        let place = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={}", place("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", place("lists")),
            format!("Dir::Cache={}", place("cache")),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_meant_is_found() {
        let madison = " rust-src | 1.95.10+dfsg1-1 | x\n rust-src | 1.95.1+dfsg1-2~bpo13+1 | x\n";
        assert_eq!(
            of_version(madison, "1.95.1"),
            Some("1.95.1+dfsg1-2~bpo13+1")
        );
        assert_eq!(of_version(madison, "1.95"), None);
    }
}
