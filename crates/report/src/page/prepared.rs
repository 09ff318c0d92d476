//! What was done to the machine for the session, as the page lists it.

use crate::table::ABSENT;
use record::{PrepareOutcome, Prepared, SessionManifest};

/// One step.
pub(super) struct PreparedRow {
    pub(super) what: String,
    pub(super) before: String,
    pub(super) during: String,
    pub(super) outcome: String,
    /// It was left out.
    pub(super) skipped: bool,
}

pub(super) fn rows(session: &SessionManifest) -> Vec<PreparedRow> {
    session.prepared.iter().map(row).collect()
}

fn row(prepared: &Prepared) -> PreparedRow {
    let maybe = |value: &Option<String>| value.clone().unwrap_or_else(|| ABSENT.to_owned());
    let (outcome, skipped) = match &prepared.outcome {
        PrepareOutcome::Done => ("done".to_owned(), false),
        PrepareOutcome::AsWanted => ("it was so before".to_owned(), false),
        PrepareOutcome::Skipped(why) => (format!("left out: {why}"), true),
    };
    PreparedRow {
        what: prepared.what.clone(),
        before: maybe(&prepared.before),
        during: maybe(&prepared.after),
        outcome,
        skipped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_says_why() {
        let skipped = Prepared {
            what: "swap".to_owned(),
            before: None,
            after: None,
            outcome: PrepareOutcome::Skipped("no rights".to_owned()),
        };
        let row = row(&skipped);
        assert!(row.skipped);
        assert_eq!(
            (row.before.as_str(), row.outcome.as_str()),
            (ABSENT, "left out: no rights")
        );
    }
}
