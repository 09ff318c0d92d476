//! How a run's gates stand while it goes on: for people; the run is judged when it has ended.

use crate::{
    gates::{self, Seen},
    tally::Tally,
};
use clock::MonoNs;
use plan::Plan;
use record::Gate;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How often the one who counts shows what it counted.
const SHOW: Duration = Duration::from_millis(250);

/// What was counted so far, where the watcher can look at it.
#[derive(Default)]
pub(crate) struct Standing(Mutex<Seen>);

impl Standing {
    /// Shows the tally, if that was not done just now and nobody is looking. Never waits.
    pub(crate) fn show(&self, tally: &Tally, shown: &mut Option<MonoNs>) {
        let now = MonoNs::now();
        if shown.is_some_and(|shown| now.since(shown) < SHOW) {
            return;
        }
        if let Ok(mut seen) = self.0.try_lock() {
            *seen = tally.seen();
            *shown = Some(now);
        }
    }

    /// The gates as they would be judged now, but for those that can be judged only at the end. What
    /// is not counted here is in `beside`.
    pub(crate) fn gates(&self, plan: &Plan, beside: Seen) -> Vec<Gate> {
        let counted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Seen {
            ticks_due: beside.ticks_due,
            ticks_taken: beside.ticks_taken,
            same_server: beside.same_server,
            cache: beside.cache,
            device_known: beside.device_known,
            common_head_tokens: beside.common_head_tokens,
            ..counted
        };
        let gates = gates::judge(plan, &seen).into_iter();
        gates.filter(|gate| gate.measured.is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Builtin;

    #[test]
    fn ticks_that_were_missed_show_at_once() {
        let plan = Builtin::find("h2").unwrap().plan().unwrap();
        let coverage = |ticks_due, ticks_taken| {
            let beside = Seen {
                ticks_due,
                ticks_taken,
                ..Seen::default()
            };
            let gates = Standing::default().gates(&plan, beside);
            let found = gates
                .into_iter()
                .find(|gate| gate.name == "telemetry_coverage");
            found.map(|gate| (gate.measured, gate.passed))
        };
        assert_eq!(coverage(0, 0), None, "no tick is due yet");
        assert_eq!(coverage(1, 1), Some((Some(100.0), true)));
        assert_eq!(coverage(4, 2), Some((Some(50.0), false)));
    }
}
