//! What the lab is asked to do.

use crate::Machine;
use load::{Adapter, ApiKey, BaseUrl, LoraDialect};
use plan::{Lifecycle, PhaseName, Plan, Variant};
use probe::metrics::MetricsUrl;
use record::{CalibrationFacts, TargetKind};
use std::{collections::BTreeMap, path::PathBuf};

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
    /// A session that was cut short, to be gone on with: its plan is the one above.
    pub resume: Option<PathBuf>,
    /// A path on the device under test: the model's files, or where the server spills to. Absent:
    /// the first of the model's files, else the results folder.
    pub storage: Option<PathBuf>,
    /// The instrument's own error on this machine, to be cited.
    pub calibration: Option<CalibrationFacts>,
    /// The machine that the plan may prepare.
    pub machine: Machine,
    /// The version that measures.
    pub version: String,
}

/// The server under test.
#[derive(Debug)]
pub struct Target {
    /// Whose it is.
    pub whose: Whose,
    /// Its base URL.
    pub url: BaseUrl,
    /// The model to ask for; absent: the one that the server names first.
    pub model: Option<String>,
    /// The key to show, if it wants one. Never written to a file.
    pub api_key: Option<ApiKey>,
    /// Files, or folders of files, that hold the model.
    pub model_files: Vec<PathBuf>,
    /// The LoRA adapters that requests may ask for.
    pub adapters: Option<LoraTarget>,
    /// Its other configurations, where it is ours to start.
    pub variants: BTreeMap<PhaseName, Variant>,
    /// Where it counts what it does, beside `/metrics` of its own URL.
    pub metrics: Vec<MetricsUrl>,
    /// Files that it leaves and that nobody needs after the session.
    pub scratch: Vec<PathBuf>,
}

/// Whose the server is, and with it what may be done to it.
#[derive(Clone, Debug)]
pub enum Whose {
    /// The embedded engine.
    Embedded(Lifecycle),
    /// Another server that is ours to start and stop.
    Managed(Lifecycle),
    /// A server that was there before, and stays.
    Attached,
}

impl Whose {
    /// Whose, as it is recorded.
    pub fn kind(&self) -> TargetKind {
        match self {
            Whose::Embedded(_) => TargetKind::Embedded,
            Whose::Managed(_) => TargetKind::Managed,
            Whose::Attached => TargetKind::Attached,
        }
    }

    pub(crate) fn lifecycle(&self) -> Option<&Lifecycle> {
        match self {
            Whose::Embedded(lifecycle) | Whose::Managed(lifecycle) => Some(lifecycle),
            Whose::Attached => None,
        }
    }
}

/// Adapters, and how the server is asked for one.
#[derive(Clone, Debug)]
pub struct LoraTarget {
    /// The adapters.
    pub list: Vec<Adapter>,
    /// How a request names one.
    pub dialect: LoraDialect,
}
