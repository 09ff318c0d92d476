//! Why a plan is refused.

use crate::PhaseName;

/// A plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The text is not a plan. The message shows the line and what is allowed there.
    #[error("{0}")]
    Toml(toml::de::Error),
    /// `--quick` was asked of a plan that has no quick variant.
    #[error(
        "plan {plan} has no [quick] table, so it has no quick variant: add one, or run it without --quick"
    )]
    NoQuick {
        /// The plan.
        plan: PhaseName,
    },
    /// Its parts don't fit each other, or the experiment.
    #[error("plan {plan}: {what}")]
    Inconsistent {
        /// The plan.
        plan: PhaseName,
        /// What is wrong, and what to do.
        what: &'static str,
    },
    /// A lifecycle without a program.
    #[error(
        "the target's `start` names no program: write it as a list, [\"server\", \"--port\", \"8000\"]"
    )]
    NoProgram,
    /// Variants of a server that is not ours to start.
    #[error(
        "the target has variants and no lifecycle: say how it is started ([lifecycle] start), or take \
         them out"
    )]
    NoLifecycle,
}
