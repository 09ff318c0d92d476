//! Timers of systemd's: which are active, and stopping and starting them, by systemctl(1).

use super::{
    Preparation,
    change::{self, Change},
};
use crate::{LabError, server};
use plan::TimerPattern;
use record::{PrepareOutcome, Prepared};
use std::{io, process::Stdio};

/// The active timers that these patterns name.
fn active(patterns: &[TimerPattern]) -> io::Result<Vec<String>> {
    let mut words = vec![
        "systemctl",
        "list-units",
        "--type=timer",
        "--state=active",
        "--full",
        "--plain",
        "--no-legend",
        "--no-pager",
    ];
    words.extend(patterns.iter().map(TimerPattern::as_str));
    change::run(&words).map(|said| names(&said))
}

/// The units of a list: the first word of each line.
fn names(said: &str) -> Vec<String> {
    let first = said
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let timers = first.filter(|word| word.ends_with(".timer"));
    timers.map(str::to_owned).collect()
}

/// Whether it runs.
pub(super) fn is_active(unit: &str) -> io::Result<bool> {
    let words = ["systemctl", "is-active", "--quiet", unit].map(str::to_owned);
    let asked = server::command(&words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(asked.success())
}

pub(super) fn start(unit: &str) -> io::Result<()> {
    change::run(&["systemctl", "--no-ask-password", "start", unit]).map(drop)
}

fn stop(unit: &str) -> io::Result<()> {
    change::run(&["systemctl", "--no-ask-password", "stop", unit]).map(drop)
}

impl Preparation {
    /// Stops those that are active.
    pub(super) fn stop_timers(&mut self, patterns: &[TimerPattern]) -> Result<(), LabError> {
        let units = match active(patterns) {
            Ok(units) => units,
            Err(error) => {
                self.skip("timers", &error.to_string());
                return Ok(());
            }
        };
        if units.is_empty() {
            self.done
                .push(prepared("timers", "none active", PrepareOutcome::AsWanted));
        }
        for unit in units {
            let what = format!("timer {unit}");
            if !self.note(&what, &Change::Timer { unit: unit.clone() })? {
                continue;
            }
            let outcome = match stop(&unit) {
                Ok(()) => PrepareOutcome::Done,
                Err(error) => PrepareOutcome::Skipped(error.to_string()),
            };
            self.done.push(prepared(&what, "active", outcome));
        }
        Ok(())
    }
}

fn prepared(what: &str, before: &str, outcome: PrepareOutcome) -> Prepared {
    let after = match outcome {
        PrepareOutcome::Done => "stopped",
        PrepareOutcome::AsWanted | PrepareOutcome::Skipped(_) => before,
    };
    Prepared {
        what: what.to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_units_is_read_by_its_first_words() {
        let said = "apt-daily.timer loaded active waiting Daily apt download activities\n\
                    fstrim.timer    loaded active waiting Discard unused blocks once a week\n\n";
        assert_eq!(names(said), ["apt-daily.timer", "fstrim.timer"]);
        assert_eq!(names("0 loaded units listed.\n"), [""; 0]);
    }
}
