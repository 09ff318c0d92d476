//! The phases of a run whose parts build on one another: on one start of the server, one after the
//! other.

use crate::{PhaseName, Plan, PlanError, values::whole_number};
use serde::{Deserialize, Serialize};

/// One phase. It is over once each user has asked for each of its prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPhase {
    /// Its name: `populate`. Names its runs.
    pub name: PhaseName,
    /// Each user's own prompts, asked for once each.
    pub prompts: PromptCount,
    /// The earlier phase whose prompts these are again. Absent: they are new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<PhaseName>,
}

whole_number! {
    /// How many prompts a user has.
    PromptCount, "a user's prompts", 1..=100_000
}

/// What the types can't say.
pub(crate) fn check(plan: &Plan) -> Result<(), PlanError> {
    let phases = &plan.phases;
    let wrong = |what| {
        Err(PlanError::Inconsistent {
            plan: plan.name.clone(),
            what,
        })
    };
    let timing = &plan.timing;
    if !phases.is_empty() && !(timing.ramp.0 + timing.warmup.0).is_zero() {
        return wrong(
            "phases are measured from their first prompt on: set `ramp` and `warmup` to \"0s\"",
        );
    }
    for (place, phase) in phases.iter().enumerate() {
        let earlier = &phases[..place];
        if earlier.iter().any(|it| it.name == phase.name) {
            return wrong("two phases have one name: name each");
        }
        let Some(again) = &phase.again else { continue };
        match earlier.iter().find(|it| it.name == *again) {
            None => return wrong("`again` names no phase before: name one that comes earlier"),
            Some(first) if first.prompts < phase.prompts => {
                return wrong(
                    "a phase asks for more prompts `again` than there were: ask for fewer",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}
