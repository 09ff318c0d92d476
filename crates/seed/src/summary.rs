//! `*_summary.json`: refused, figure by figure. No row was kept that they could be made from
//! again.

use crate::note::Notes;
use serde_json::Value;

/// A figure, and why nobody can stand behind it.
const FIGURES: [(&str, &str); 6] = [
    (
        "/ttft_ms",
        "summary.json ttft_ms: the time to the first byte of any kind, failures and error bodies among them",
    ),
    (
        "/latency_ms",
        "summary.json latency_ms: what timed out or failed has left it, and no row is kept to count what did",
    ),
    (
        "/latency_ms/p99_ci_low",
        "summary.json p99_ci_low and p99_ci_high: an unseeded bootstrap, over requests as if runs did not differ",
    ),
    (
        "/throughput_rps",
        "summary.json throughput_rps: requests that ended after the deadline are divided by the time until the deadline",
    ),
    (
        "/requests_total",
        "summary.json requests_total and admission_pct: a refused connection is tried again at once and counted each time",
    ),
    (
        "/avg/qu_sz",
        "summary.json avg.qu_sz: the mean of writes a second, not of a queue; io_wait_pct and gpu_util_pct are means over idle and drain too, of one second in three",
    ),
];

pub(crate) fn refuse(run: &str, text: Option<&str>, notes: &mut Notes) {
    let Some(text) = text else {
        return notes.refused(
            run,
            "summary.json is missing: the load generator failed, and the scripts hide that",
        );
    };
    let summary: Value = match serde_json::from_str(text) {
        Ok(summary) => summary,
        Err(error) => return notes.refused(run, format!("summary.json is not JSON: {error}")),
    };
    for (place, why) in FIGURES {
        if summary.pointer(place).is_some_and(|value| !value.is_null()) {
            notes.refused(run, why);
        }
    }
    if summary
        .pointer("/latency_ms/p99")
        .is_some_and(Value::is_null)
    {
        notes.refused(
            run,
            "summary.json: its percentiles are null: no request succeeded (with adapters none could: the body that is sent lacks text_input)",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(text: Option<&str>) -> Vec<String> {
        let mut notes = Notes::default();
        refuse("r", text, &mut notes);
        notes
            .into_sorted()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_figure_is_refused_with_its_own_reason() {
        let text = r#"{"requests_total": 160, "admission_pct": 100.0, "throughput_rps": 0.5,
            "ttft_ms": {"p50": 41.0}, "latency_ms": {"p99": 118700.0, "p99_ci_low": 1.0},
            "avg": {"qu_sz": 12.0}}"#;
        let notes = notes(Some(text));
        assert_eq!(notes.len(), FIGURES.len());
        assert!(notes.iter().any(|it| it.contains("first byte of any kind")));
    }

    #[test]
    fn null_percentiles_say_that_nothing_succeeded() {
        let text = r#"{"requests_total": 9, "latency_ms": {"p99": null, "p99_ci_low": null}}"#;
        assert!(
            notes(Some(text))
                .iter()
                .any(|it| it.contains("no request succeeded"))
        );
        assert!(notes(None)[0].contains("missing"));
        assert!(notes(Some("{\"reque"))[0].contains("not JSON"));
    }
}
