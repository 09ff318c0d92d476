//! A target's file: the server under test, and how to start and stop it if we may.

use crate::{Api, PlanError, Span};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// The server under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// Its base URL.
    pub url: String,
    /// The model to ask for; absent: the one that the server names first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The API to speak, in place of the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// A path on the device under test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<PathBuf>,
    /// Files, or folders of files, that hold the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub model_files: Vec<PathBuf>,
    /// How to start and stop it. Absent: it runs, and is not ours to restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// How to start and stop a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// The program and its arguments, in the foreground. No shell reads them: what is to be one
    /// argument is one string.
    pub start: Vec<String>,
    /// The program and its arguments that end it. Absent: SIGTERM to what was started, and to all
    /// that it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Vec<String>>,
    /// How long it may take until it answers.
    #[serde(default = "ready_limit")]
    pub ready_limit: Span,
    /// How long it may take to end.
    #[serde(default = "stop_limit")]
    pub stop_limit: Span,
    /// How long it is waited, after its end, until its memory is available again.
    #[serde(default = "memory_limit")]
    pub memory_limit: Span,
}

fn ready_limit() -> Span {
    Span(Duration::from_secs(1800))
}

fn stop_limit() -> Span {
    Span(Duration::from_secs(60))
}

fn memory_limit() -> Span {
    Span(Duration::from_secs(60))
}

impl TargetFile {
    /// Reads a target's file. The error names line, column and what is allowed there.
    pub fn parse(toml: &str) -> Result<Self, PlanError> {
        let target: Self = toml::from_str(toml).map_err(PlanError::Toml)?;
        match &target.lifecycle {
            Some(lifecycle) if lifecycle.start.is_empty() => Err(PlanError::NoProgram),
            _ => Ok(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_runs_needs_no_more_than_its_url() {
        let target = TargetFile::parse("url = \"http://127.0.0.1:8355\"").unwrap();
        assert_eq!(target.lifecycle, None);
    }

    #[test]
    fn a_command_is_a_list_and_never_empty() {
        let with = |start: &str| {
            TargetFile::parse(&format!(
                "url = \"http://127.0.0.1:8355\"\n[lifecycle]\nstart = {start}"
            ))
        };
        let lifecycle = with(r#"["serve", "--name", "two words"]"#)
            .unwrap()
            .lifecycle
            .unwrap();
        assert_eq!(lifecycle.start, ["serve", "--name", "two words"]);
        assert_eq!(lifecycle.stop_limit, Span(Duration::from_secs(60)));
        assert!(
            with("[]")
                .unwrap_err()
                .to_string()
                .contains("names no program")
        );
        let shell = with("\"serve --port 8355\"").unwrap_err().to_string();
        assert!(shell.contains("line 3"), "{shell}");
    }
}
