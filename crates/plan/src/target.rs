//! A target's file: the server under test, and how to start and stop it if we may.

use crate::{Api, PhaseName, PlanError, Span};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

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
    /// Where it counts what it does, beside `/metrics` of its own URL: a KV block manager's port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// How to start and stop it. Absent: it runs, and is not ours to restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
    /// Its other configurations, by name: what an arm's `variant` names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<PhaseName, Variant>,
}

/// Another configuration of a server: what is different at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variant {
    /// Arguments that follow the lifecycle's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables, beside the lifecycle's or in their place.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// How to start and stop a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifecycle {
    /// The program and its arguments, in the foreground. No shell reads them: what is to be one
    /// argument is one string.
    pub start: Vec<String>,
    /// Environment variables that it is started with, beside ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
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

impl Lifecycle {
    /// The lifecycle of a variant.
    pub fn varied(&self, variant: &Variant) -> Self {
        let mut varied = self.clone();
        varied.start.extend(variant.args.iter().cloned());
        varied.env.extend(variant.env.clone());
        varied
    }
}

impl TargetFile {
    /// Reads a target's file. The error names line, column and what is allowed there.
    pub fn parse(toml: &str) -> Result<Self, PlanError> {
        let target: Self = toml::from_str(toml).map_err(PlanError::Toml)?;
        match &target.lifecycle {
            Some(lifecycle) if lifecycle.start.is_empty() => Err(PlanError::NoProgram),
            None if !target.variants.is_empty() => Err(PlanError::NoLifecycle),
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
    fn a_variant_adds_arguments_and_variables() {
        let toml = "url = \"http://127.0.0.1:8355\"\n[variants.cpu]\nargs = [\"--cpu\", \"8\"]\n\
                    env = { GB = \"8\", A = \"2\" }\n";
        let alone = TargetFile::parse(toml).unwrap_err().to_string();
        assert!(alone.contains("no lifecycle"), "{alone}");
        let lifecycle = "[lifecycle]\nstart = [\"serve\"]\nenv = { A = \"1\", B = \"1\" }\n";
        let target = TargetFile::parse(&format!("{toml}{lifecycle}")).unwrap();
        let varied = target
            .lifecycle
            .unwrap()
            .varied(target.variants.values().next().unwrap());
        assert_eq!(varied.start, ["serve", "--cpu", "8"]);
        let env: Vec<_> = varied
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(env, ["A=2", "B=1", "GB=8"]);
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
