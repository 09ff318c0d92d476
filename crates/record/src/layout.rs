//! Where a session's files are.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The name of one run: phase, users, the arm where there are several, and repeat, as
/// `h2-u064-r2`. Also its folder's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no run: it would be no folder of its own below runs/")]
pub struct BadRunId(String);

impl TryFrom<String> for RunId {
    type Error = BadRunId;

    /// A session's file may come from anybody: its runs lie in its own folder.
    fn try_from(name: String) -> Result<Self, BadRunId> {
        let is_foreign = |c: char| c == '/' || c == '\\' || c.is_control();
        match name.is_empty() || name.starts_with('.') || name.contains(is_foreign) {
            true => Err(BadRunId(name)),
            false => Ok(Self(name)),
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl RunId {
    /// The name of the run of `phase` with this many users, in this repeat (from 1).
    pub fn new(phase: &str, users: u32, repeat: u32) -> Self {
        Self(format!("{phase}-u{users:03}-r{repeat}"))
    }

    /// The name of the run of one arm of a comparison: `h6-u008-storm-r2`.
    pub fn of_arm(phase: &str, users: u32, arm: &str, repeat: u32) -> Self {
        Self(format!("{phase}-u{users:03}-{arm}-r{repeat}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDir(PathBuf);

impl SessionDir {
    /// The session in this folder, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The session's name: its folder's.
    pub fn name(&self) -> String {
        self.0
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// `session.json`.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("session.json")
    }

    /// `report.html`.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// The folder of the figures.
    pub fn figures(&self) -> PathBuf {
        self.0.join("figures")
    }

    /// The folder of the runs.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// The folder of one run.
    pub fn run(&self, id: &RunId) -> RunDir {
        RunDir(self.runs().join(id.as_str()))
    }
}

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir(pub(crate) PathBuf);

impl RunDir {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `manifest.json`: what the run was.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("manifest.json")
    }

    /// `requests.csv`: a row a request.
    pub fn requests(&self) -> PathBuf {
        self.0.join("requests.csv")
    }

    /// `tokens.bin`: the arrival time of every token-bearing chunk.
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens.bin")
    }

    /// `telemetry.csv`: a row a tick.
    pub fn telemetry(&self) -> PathBuf {
        self.0.join("telemetry.csv")
    }

    /// `cpu.csv`: a row a core and tick.
    pub fn cpu(&self) -> PathBuf {
        self.0.join("cpu.csv")
    }

    /// `server.csv`: the server's own metrics.
    pub fn server(&self) -> PathBuf {
        self.0.join("server.csv")
    }

    /// `smart_pre.json`: the drive's SMART log before the run.
    pub fn smart_pre(&self) -> PathBuf {
        self.0.join("smart_pre.json")
    }

    /// `smart_post.json`: the drive's SMART log after the run.
    pub fn smart_post(&self) -> PathBuf {
        self.0.join("smart_post.json")
    }

    /// `block_latency.json`: how long requests to block devices took, as histograms; there only
    /// where the kernel could count them.
    pub fn block_latency(&self) -> PathBuf {
        self.0.join("block_latency.json")
    }

    /// `run.log`: what was worth telling, a line each.
    pub fn log(&self) -> PathBuf {
        self.0.join("run.log")
    }

    /// `summary.json`: the run's figures, as other tools read them.
    pub fn summary(&self) -> PathBuf {
        self.0.join("summary.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_names_sort_as_the_sweep_runs() {
        assert_eq!(RunId::new("h2", 64, 2).as_str(), "h2-u064-r2");
        assert!(RunId::new("h2", 8, 1) < RunId::new("h2", 64, 1));
        let storm = RunId::of_arm("h6", 8, "storm", 2);
        assert_eq!(storm.as_str(), "h6-u008-storm-r2");
    }

    #[test]
    fn a_run_lies_in_its_sessions_folder() {
        let read = |json: &str| serde_json::from_str::<RunId>(json);
        assert_eq!(read(r#""h2-u064-r2""#).unwrap(), RunId::new("h2", 64, 2));
        for name in [
            "", ".", "..", "../other", "/tmp/x", "a/../b", r"a\\b", r"a\u0000",
        ] {
            let error = read(&format!("\"{name}\"")).unwrap_err().to_string();
            assert!(error.contains("names no run"), "{error}");
        }
    }
}
