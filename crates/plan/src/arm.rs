//! The arms of a comparison: what differs between runs that are otherwise alike.

use crate::{Experiment, Neighbour, PhaseName, Plan, PlanError, PlanPhase, TokenCount};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// One arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Its name: `cold`.
    pub name: PhaseName,
    /// What the page cache holds of the model's files when the run begins. Where the server may be
    /// restarted, it is stopped before, and started after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheState>,
    /// Which user asks for which LoRA adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapters: Option<AdapterUse>,
    /// Who uses the drive beside the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<Neighbour>,
    /// The length of a prompt, in place of the workload's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<TokenCount>,
    /// The target's configuration that the server is started in, by its name there. Absent: as the
    /// target is started otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<PhaseName>,
}

/// What the page cache holds of the model's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheState {
    /// Next to nothing.
    Cold,
    /// Next to all.
    Warm,
}

/// Which user asks for which adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterUse {
    /// None: the model itself.
    None,
    /// Each user one, always the same.
    Sticky,
    /// Each user all, one after the other.
    RoundRobin,
    /// Any, each as often.
    Uniform,
    /// Another with every request, over all users.
    Storm,
}

/// The phase that the arms of `tiers` are compared by.
fn is_replay(phase: &PlanPhase) -> bool {
    let again = phase.again.as_ref().map(PhaseName::as_str);
    phase.name.as_str() == "replay" && again == Some("populate")
}

/// What the types can't say.
pub(crate) fn check(plan: &Plan) -> Result<(), PlanError> {
    let wrong = |what: &'static str| {
        Err(PlanError::Inconsistent {
            plan: plan.name.clone(),
            what,
        })
    };
    let names: HashSet<_> = plan.arms.iter().map(|arm| arm.name.as_str()).collect();
    if names.len() < plan.arms.len() {
        return wrong("two arms have one name: name each");
    }
    let wears = |it: Neighbour| it.pattern.writes() && it.rate_mib.is_none();
    if plan.arms.iter().any(|arm| arm.neighbour.is_some_and(wears)) {
        return wrong("a neighbour that writes wears the drive: limit it with `rate_mib`");
    }
    let all = |has: fn(&Arm) -> bool| plan.arms.len() > 1 && plan.arms.iter().all(has);
    match plan.experiment {
        Experiment::H1 if !all(|arm| arm.cache.is_some()) => {
            wrong("h1 compares cache states: give it two arms with `cache = \"cold\"` and \"warm\"")
        }
        Experiment::H4
            if plan.arms.len() < 2 || plan.arms.iter().all(|it| it.neighbour.is_none()) =>
        {
            wrong("h4 compares neighbours: give it an arm without one, and others with `neighbour`")
        }
        Experiment::H5 if !all(|arm| arm.prompt_tokens.is_some()) => {
            wrong("h5 compares lengths: give it two arms or more with `prompt_tokens`")
        }
        Experiment::H6 if !all(|arm| arm.adapters.is_some()) => {
            wrong("h6 compares uses of adapters: give it two arms or more with `adapters`")
        }
        Experiment::Tiers if !plan.phases.iter().any(is_replay) => wrong(
            "tiers replays prompts: give it a phase `replay` that asks for those of `populate` `again`",
        ),
        Experiment::Tiers
            if !plan.arms.is_empty() && plan.arms.iter().all(|it| it.variant.is_none()) =>
        {
            wrong(
                "tiers compares configurations of the server: give arms a `variant`, or take them out",
            )
        }
        _ => Ok(()),
    }
}
