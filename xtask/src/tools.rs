//! Programs that some tests compare Spillpoint with, from Debian's archive.
//!
//! They are installed where that is possible (Debian, root) and the tests that need them are left
//! out, with a word, where it is not.

use crate::commands::{only_file, root, run, tell};
use anyhow::{Context, Result, bail};
use std::{fs, path::PathBuf, process::Command};

/// A program that a chore needs, and its package.
pub(crate) struct Tool {
    program: &'static str,
    package: &'static str,
}

pub(crate) const fn tool(program: &'static str, package: &'static str) -> Tool {
    Tool { program, package }
}

/// What real I/O is made with and sampled by.
const MEASURING: &[Tool] = &[
    tool("fio", "fio"),
    tool("iostat", "sysstat"),
    tool("mpstat", "sysstat"),
];

/// What boots a guest with an NVMe drive.
const GUEST: &[Tool] = &[
    tool("qemu-system-x86_64", "qemu-system-x86"),
    tool("busybox", "busybox-static"),
    tool("cpio", "cpio"),
];

/// What shows a report as its reader sees it.
const BROWSER: &[Tool] = &[tool("chromium", "chromium")];

/// A terminal that says what is on it.
const TERMINAL: &[Tool] = &[tool("tmux", "tmux")];

/// The programs of Debian's Prometheus. It is unpacked, not installed: an installed one starts, and
/// listens to everybody.
const PROMETHEUS: &str = "prometheus";

/// What there is, for the tests' environment.
pub(crate) struct Tools {
    pub(crate) measuring: bool,
    pub(crate) browser: bool,
    pub(crate) terminal: bool,
    /// The folder of Prometheus' programs.
    pub(crate) prometheus: Option<PathBuf>,
    /// An unpacked kernel, and all else that a guest needs.
    pub(crate) guest_kernel: Option<PathBuf>,
}

impl Tools {
    /// Installs what is missing, and says what is still missing.
    pub(crate) fn install() -> Self {
        let mut apt = Apt::default();
        Self {
            measuring: apt.have("comparisons with fio and sysstat", MEASURING),
            browser: apt.have("the report in a browser", BROWSER),
            terminal: apt.have("the dashboard on a terminal", TERMINAL),
            prometheus: apt.prometheus(),
            guest_kernel: apt.guest_kernel(),
        }
    }
}

/// Debian's installer, its lists fetched once.
#[derive(Default)]
pub(crate) struct Apt {
    updated: bool,
}

impl Apt {
    fn have(&mut self, purpose: &str, tools: &[Tool]) -> bool {
        match self.install(tools) {
            Ok(()) => true,
            Err(error) => {
                tell(&format!("left out: {purpose}: {error:#}"));
                false
            }
        }
    }

    /// Installs those that are missing.
    pub(crate) fn install(&mut self, tools: &[Tool]) -> Result<()> {
        let missing: Vec<_> = tools
            .iter()
            .filter(|tool| !is_there(tool.program))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let packages = missing.iter().map(|tool| tool.package);
        self.get(&["install", "--yes", "--no-install-recommends"], packages)?;
        match tools.iter().find(|tool| !is_there(tool.program)) {
            Some(tool) => bail!("{} is still not there", tool.program),
            None => Ok(()),
        }
    }

    fn get<'a>(&mut self, args: &[&str], names: impl Iterator<Item = &'a str>) -> Result<()> {
        self.update()?;
        run(apt().args(args).args(names))
    }

    fn update(&mut self) -> Result<()> {
        if !self.updated {
            run(apt().arg("update")).context("Debian's package lists are needed (as root)")?;
            self.updated = true;
        }
        Ok(())
    }

    fn guest_kernel(&mut self) -> Option<PathBuf> {
        if !self.have("an NVMe drive in a guest", GUEST) {
            return None;
        }
        match self.unpack_kernel() {
            Ok(tree) => Some(tree),
            Err(error) => {
                tell(&format!("left out: an NVMe drive in a guest: {error:#}"));
                None
            }
        }
    }

    fn prometheus(&mut self) -> Option<PathBuf> {
        let unpacked = self
            .update()
            .and_then(|()| unpack(PROMETHEUS, "prometheus", "usr/bin"));
        match unpacked {
            Ok(tree) => Some(tree.join("usr/bin")),
            Err(error) => {
                tell(&format!("left out: a scrape by Prometheus: {error:#}"));
                None
            }
        }
    }

    /// A kernel to boot, unpacked and not installed. Debian's ordinary one: its cloud kernels
    /// lack hwmon.
    fn unpack_kernel(&mut self) -> Result<PathBuf> {
        unpack(&kernel_package()?, "guest-kernel", "boot")
    }
}

/// Unpacks a package into a folder that git ignores, and gives the folder. Does nothing where
/// `made`, a folder of the package, is there already.
fn unpack(package: &str, name: &str, made: &str) -> Result<PathBuf> {
    let tree = root().join(".realserver").join(name);
    if tree.join(made).is_dir() {
        return Ok(tree);
    }
    let fresh = root().join(format!(".realserver/{name}.new"));
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
    run(Command::new("apt-get")
        .args(["--quiet=2", "download", package])
        .current_dir(&fresh))?;
    let archive = only_file(&fresh)?;
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .args([&archive, &fresh]))?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    // Last, so that an unpacking that was cut short is made again.
    fs::rename(&fresh, &tree).with_context(|| format!("cannot make {}", tree.display()))?;
    Ok(tree)
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2")
        .env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// The package that `linux-image-amd64` stands for today.
fn kernel_package() -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", "linux-image-amd64"])
        .output()
        .context("cannot start apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
        .map(|version| format!("linux-image-{version}"))
        .context("Debian's archive names no kernel")
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
