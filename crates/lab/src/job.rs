//! What the lab is asked to do.

use crate::EngineCommand;
use load::{ApiKey, BaseUrl};
use plan::Plan;
use std::path::PathBuf;

/// A plan to run, and where.
#[derive(Debug)]
pub struct Job {
    /// The plan as it is to be run, its quick variant and overrides applied.
    pub plan: Plan,
    /// Whether it is the quick variant.
    pub quick: bool,
    /// The server under test.
    pub target: Target,
    /// The folder in which the session's folder is made.
    pub results: PathBuf,
    /// A path on the device under test: the model's files, or where the server spills to. Absent:
    /// the results folder.
    pub storage: Option<PathBuf>,
    /// The version that measures.
    pub version: String,
}

/// The server under test.
#[derive(Debug)]
pub enum Target {
    /// The engine, started for this session.
    Embedded(EngineCommand),
    /// A server that is there.
    Attached {
        /// Its base URL.
        url: BaseUrl,
        /// The model to ask for; absent: the one that the server names first.
        model: Option<String>,
        /// The key to show, if it wants one. Never written to a file.
        api_key: Option<ApiKey>,
    },
}
