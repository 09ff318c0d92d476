//! Why a plan is refused.

use crate::PhaseName;

/// A plan that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The text is not a plan. The message shows the line and what is allowed there.
    #[error("{}", in_words(.0))]
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

/// What was expected, in the file's words and not in the program's.
fn in_words(error: &toml::de::Error) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("expected i64", "expected a whole number"),
        ("expected u64", "expected a whole number, not below zero"),
        ("expected u32", "expected a whole number, not below zero"),
        ("expected f64", "expected a number"),
        (
            "expected a string",
            "expected a text in quotes, as \"300s\" or \"1k\"",
        ),
        ("expected a boolean", "expected true or false"),
    ];
    let mut words = error.to_string();
    for (program, file) in WORDS {
        words = words.replace(program, file);
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::Plan;

    #[test]
    fn a_value_of_another_kind_is_told_in_the_files_words() {
        let plan = crate::BUILTIN[0].toml;
        let line = |start: &str| {
            let mut lines = plan.lines();
            lines
                .find(|line| line.starts_with(start))
                .unwrap()
                .to_owned()
        };
        for (from, to, words) in [
            (
                line("repeats = "),
                "repeats = 3.5",
                "expected a whole number",
            ),
            (
                line("duration = "),
                "duration = 30",
                "a text in quotes, as \"300s\"",
            ),
        ] {
            let error = Plan::parse(&plan.replacen(&from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
