//! A process that runs beside us, ended with us.

use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The process. Dropping it ends it.
pub(super) struct Daemon(Child);

/// What a process holds at one moment.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) rss_kib: u64,
    pub(super) descriptors: u64,
}

/// How long a process may take to begin.
const BEGIN: Duration = Duration::from_secs(120);

impl Daemon {
    /// Starts it; all that it says goes to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn();
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self(child))
    }

    /// Waits until something has happened, as long as the process runs.
    pub(super) fn wait_for(&mut self, what: &str, happened: impl Fn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !happened() {
            if let Some(status) = self.0.try_wait()? {
                bail!("process {} ended before {what}, with {status}", self.0.id());
            }
            if began.elapsed() > BEGIN {
                bail!("process {}: waited in vain for {what}", self.0.id());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > limit {
                bail!("process {} has not ended after {limit:?}", self.0.id());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What it holds now.
    pub(super) fn read(&self) -> Result<Reading> {
        let process = Path::new("/proc").join(self.0.id().to_string());
        let status = fs::read_to_string(process.join("status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rss| rss.trim().strip_suffix(" kB"));
        Ok(Reading {
            rss_kib: rss.context("it has ended")?.trim().parse()?,
            descriptors: fs::read_dir(process.join("fd"))?.count() as u64,
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
