//! The gates of a run: pure, from what was seen to what it is worth.

use crate::model_cache::{COLD_PCT_MAX, WARM_PCT_MIN};
use plan::{CacheState, GateLimits};
use record::{Effect, Gate};

/// What a run's gates look at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Requests of the measured interval, in all.
    pub requests: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that ended well and whose tokens the server counted.
    pub counted: u64,
    /// Ticks that the schedule asked for.
    pub ticks_due: u64,
    /// Ticks that were taken.
    pub ticks_taken: u64,
    /// The 99th percentile of the client's lag over all chunks, in milliseconds.
    pub client_lag_p99_ms: Option<f64>,
    /// Whether the server's process was the same after the run as before; absent where its
    /// process is not known.
    pub same_server: Option<bool>,
    /// The declared state of the model's files, and their share in the page cache as it was
    /// measured, in percent.
    pub cache: Option<(CacheState, Option<f64>)>,
}

/// The gates of a run that saw this.
pub(crate) fn judge(limits: &GateLimits, seen: &Seen) -> Vec<Gate> {
    let failed = share_pct(seen.failed, seen.requests);
    let covered = share_pct(seen.ticks_taken, seen.ticks_due);
    let counted = share_pct(seen.counted, seen.requests - seen.failed);
    let mut gates = vec![
        at_most(
            "failed_requests",
            "failed requests of the measured interval, %",
            failed,
            limits.failed_requests_pct_max.get(),
        ),
        at_least(
            "telemetry_coverage",
            "telemetry ticks taken of those due, %",
            covered,
            limits.telemetry_coverage_pct_min.get(),
        ),
        // The kernel's stamps are not moved by a client that is late to read them; but a late
        // client also sends late, and a stamp of its own is as wrong as it is late.
        Gate {
            effect: Effect::NotDecisionGrade,
            ..at_most(
                "client_lag",
                "the client's own lag behind the kernel's stamps at the 99th percentile, ms",
                seen.client_lag_p99_ms,
                limits.client_lag_p99_ms_max,
            )
        },
        at_least(
            "token_counts",
            "requests whose tokens the server counted, %",
            counted,
            100.0,
        ),
    ];
    if let Some(same) = seen.same_server {
        gates.push(at_least(
            "same_server",
            "the server's process was the same before and after (1) or not (0)",
            Some(f64::from(u8::from(same))),
            1.0,
        ));
    }
    if let Some((state, resident_pct)) = seen.cache {
        gates.push(cache_state(state, resident_pct));
    }
    gates
}

fn cache_state(state: CacheState, resident_pct: Option<f64>) -> Gate {
    let measures = "the model's files in the page cache before the run, %";
    match state {
        CacheState::Cold => at_most("cache_state", measures, resident_pct, COLD_PCT_MAX),
        CacheState::Warm => at_least("cache_state", measures, resident_pct, WARM_PCT_MIN),
    }
}

fn share_pct(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

fn at_most(name: &str, measures: &str, measured: Option<f64>, limit: f64) -> Gate {
    let passed = measured.is_some_and(|value| value <= limit);
    gate(name, measures, format!("<= {limit}"), measured, passed)
}

fn at_least(name: &str, measures: &str, measured: Option<f64>, limit: f64) -> Gate {
    let passed = measured.is_some_and(|value| value >= limit);
    gate(name, measures, format!(">= {limit}"), measured, passed)
}

fn gate(name: &str, measures: &str, limit: String, measured: Option<f64>, passed: bool) -> Gate {
    Gate {
        name: name.to_owned(),
        measures: measures.to_owned(),
        limit,
        measured,
        passed,
        effect: Effect::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Builtin;

    fn limits() -> GateLimits {
        Builtin::find("h2").unwrap().plan().unwrap().gates
    }

    fn good() -> Seen {
        Seen {
            requests: 200,
            failed: 2,
            counted: 198,
            ticks_due: 100,
            ticks_taken: 95,
            client_lag_p99_ms: Some(0.2),
            same_server: Some(true),
            cache: Some((CacheState::Cold, Some(0.4))),
        }
    }

    fn failed(seen: Seen) -> Vec<String> {
        let gates = judge(&limits(), &seen);
        let failed = gates.into_iter().filter(|gate| !gate.passed);
        failed.map(|gate| gate.name).collect()
    }

    #[test]
    fn a_run_at_its_limits_counts() {
        assert_eq!(failed(good()), [""; 0]);
    }

    #[test]
    fn each_gate_fails_on_its_own() {
        let one = |change: fn(&mut Seen)| {
            let mut seen = good();
            change(&mut seen);
            failed(seen)
        };
        assert_eq!(
            one(|seen| (seen.failed, seen.counted) = (3, 197)),
            ["failed_requests"]
        );
        assert_eq!(one(|seen| seen.ticks_taken = 94), ["telemetry_coverage"]);
        assert_eq!(
            one(|seen| seen.client_lag_p99_ms = Some(1.5)),
            ["client_lag"]
        );
        assert_eq!(one(|seen| seen.counted = 197), ["token_counts"]);
        let cache = |state, pct| Some((state, Some(pct)));
        assert_eq!(
            [CacheState::Cold, CacheState::Warm].map(|state| {
                let seen = Seen {
                    cache: cache(state, 50.0),
                    ..good()
                };
                failed(seen)
            }),
            [["cache_state"], ["cache_state"]]
        );
        assert_eq!(one(|seen| seen.same_server = Some(false)), ["same_server"]);
    }

    #[test]
    fn a_late_client_costs_the_decision_not_the_run() {
        let late = Seen {
            client_lag_p99_ms: Some(3.0),
            ..good()
        };
        let failed = judge(&limits(), &late)
            .into_iter()
            .find(|gate| !gate.passed);
        assert_eq!(failed.unwrap().effect, Effect::NotDecisionGrade);
    }

    #[test]
    fn what_could_not_be_measured_does_not_pass() {
        let gates = failed(Seen::default());
        assert_eq!(
            gates,
            [
                "failed_requests",
                "telemetry_coverage",
                "client_lag",
                "token_counts"
            ]
        );
    }

    #[test]
    fn a_server_whose_process_is_unknown_has_no_such_gate() {
        let gates = judge(
            &limits(),
            &Seen {
                same_server: None,
                ..good()
            },
        );
        assert!(gates.iter().all(|gate| gate.name != "same_server"));
    }
}
