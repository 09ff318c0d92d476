//! What sessions of known truth conclude.

use crate::{analyzed, scenario::Scenario};
use record::{TargetKind, VerdictKind};

fn attached(scenario: Scenario) -> Scenario {
    Scenario {
        kind: TargetKind::Attached,
        model: "openai/gpt-oss-120b",
        cores: 4,
        repeats: 3,
        ..scenario
    }
}

fn codes(analysis: &report::Analysis) -> Vec<&str> {
    let reasons = analysis.verdict.reasons.iter();
    reasons.map(|reason| reason.code.as_str()).collect()
}

fn kind(analysis: &report::Analysis) -> VerdictKind {
    analysis.verdict.kind
}

#[test]
fn users_that_wait_for_their_turn_are_queue_bound() {
    let scenario = attached(Scenario {
        users: vec![1, 2, 4, 8, 16, 32, 64],
        measure_s: 30.0,
        iowait: |_| 0.0,
        ..Scenario::default()
    });
    let analysis = analyzed("queue", &scenario);
    assert_eq!(kind(&analysis), VerdictKind::QueueBound);
    // The server completes eight requests a second, each of 0.85 s alone.
    let knee = analysis.knees.queue.expect("the knee is planted");
    assert!(
        knee.interval[0] <= 7.5 && 6.0 <= knee.interval[1],
        "{knee:?}"
    );
    assert_eq!(analysis.knees.storage, None);
}

#[test]
fn a_server_with_room_and_an_idle_device_shows_no_effect_and_its_bound() {
    let scenario = attached(Scenario {
        users: vec![1, 2, 4, 8],
        measure_s: 20.0,
        capacity: 1000.0,
        iowait: |_| 0.0,
        ..Scenario::default()
    });
    let analysis = analyzed("room", &scenario);
    assert_eq!(kind(&analysis), VerdictKind::NoEffect);
    assert!(codes(&analysis).contains(&"BOUND"));
}

/// Half of each second in which the device is read for pages that were evicted.
fn pressed() -> Scenario {
    attached(Scenario {
        users: vec![1, 2, 4, 8],
        measure_s: 30.0,
        pressure: Some(|_, _| 490.0),
        iowait: |_| 0.4,
        stall_s: 1.5,
        smart: true,
        ..Scenario::default()
    })
}

#[test]
fn pages_read_back_while_all_wait_are_memory_pressure() {
    let analysis = analyzed("pressure", &pressed());
    assert_eq!(kind(&analysis), VerdictKind::MemoryPressure);
    assert!(!analysis.verdict.decision_grade, "a sweep proves no cause");
    let cause = &analysis.causes[0];
    let storage = cause.storage.expect("there are stalls and pressure");
    assert!(
        storage.share > 0.8 && storage.by_chance < 0.5,
        "{storage:?}"
    );
    assert!(cause.storage_is_clear());
    let text = report::verdict_text(&analysis);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn the_embedded_engines_verdict_says_that_compute_is_modelled() {
    let scenario = Scenario {
        users: vec![1, 2, 4, 8, 16, 32],
        measure_s: 20.0,
        iowait: |_| 0.0,
        ..Scenario::default()
    };
    let analysis = analyzed("modelled", &scenario);
    assert!(
        analysis
            .verdict
            .paragraph
            .contains("compute of this server is modelled")
    );
    assert!(!analysis.verdict.decision_grade);
    assert!(codes(&analysis).contains(&"COMPUTE_MODELLED"));
}

fn h1() -> Scenario {
    attached(Scenario {
        experiment: "h1",
        users: vec![1],
        arms: vec!["cold", "warm"],
        measure_s: 10.0,
        loads: Some(61_000_000_000),
        iowait: |_| 0.001,
        ..Scenario::default()
    })
}

#[test]
fn a_cold_load_that_reads_the_model_is_storage_bound() {
    let analysis = analyzed("h1", &h1());
    assert_eq!(kind(&analysis), VerdictKind::StorageBound);
    assert!(codes(&analysis).contains(&"COLD_OVER_WARM"));
}

#[test]
fn two_pairs_decide_nothing() {
    let scenario = Scenario { repeats: 2, ..h1() };
    let analysis = analyzed("h1-two", &scenario);
    assert_eq!(kind(&analysis), VerdictKind::Inconclusive);
}

#[test]
fn eviction_under_a_server_that_reads_nothing_has_no_effect() {
    let scenario = Scenario {
        loads: None,
        pressure: Some(|_, _| 0.0),
        ..h1()
    };
    let analysis = analyzed("h1-attached", &scenario);
    assert_eq!(kind(&analysis), VerdictKind::NoEffect);
    assert!(analysis.verdict.paragraph.contains("bytes read = 0 MB"));
}

fn h6(slower: fn(&str) -> f64, pressure: fn(&str, u32) -> f64) -> Scenario {
    attached(Scenario {
        experiment: "h6",
        users: vec![4, 8],
        arms: vec!["base", "sticky", "storm"],
        measure_s: 30.0,
        slower,
        pressure: Some(pressure),
        smart: true,
        ..Scenario::default()
    })
}

#[test]
fn arms_alike_have_no_effect_and_a_smallest_one_that_would_have_shown() {
    let analysis = analyzed("h6-alike", &h6(|_| 1.0, |_, _| 0.2));
    assert_eq!(kind(&analysis), VerdictKind::NoEffect);
    assert!(analysis.verdict.paragraph.contains("would have been seen"));
}

#[test]
fn a_storm_that_reads_and_slows_is_storage_bound_and_one_that_only_slows_is_not() {
    let slower = |arm: &str| if arm == "storm" { 1.4 } else { 1.0 };
    let reads = |arm: &str, _| if arm == "storm" { 300.0 } else { 0.2 };
    let analysis = analyzed("h6-storm", &h6(slower, reads));
    assert_eq!(kind(&analysis), VerdictKind::StorageBound);
    let analysis = analyzed("h6-compute", &h6(slower, |_, _| 0.2));
    assert_eq!(kind(&analysis), VerdictKind::ComputeBound);
}

#[test]
fn failed_gates_make_it_invalid() {
    let root = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        users: vec![2],
        measure_s: 5.0,
        ..Scenario::default()
    };
    let session = scenario.write(root.path());
    for run in session.run_dirs() {
        let mut manifest = run.read_manifest().unwrap();
        manifest.gates[0].passed = false;
        run.write_manifest(&manifest).unwrap();
    }
    let analysis = report::analyze(&session);
    assert_eq!(kind(&analysis), VerdictKind::Invalid);
    assert!(codes(&analysis).contains(&"GATE_INVALID"));
}

#[test]
fn two_sessions_are_compared_cell_by_cell_and_by_their_manifests() {
    let sweep = |capacity, model| Scenario {
        model,
        ..attached(Scenario {
            users: vec![4, 16],
            measure_s: 30.0,
            capacity,
            ..Scenario::default()
        })
    };
    let before = analyzed("before", &sweep(8.0, "model-a"));
    let after = analyzed("after", &sweep(6.0, "model-b"));
    let comparison = report::compare(&before, &after);
    let slower = comparison
        .cells
        .iter()
        .filter(|it| it.cell.1 == 16 && it.change.interval.is_some_and(|[low, _]| low > 1.0));
    assert!(slower.count() >= 2, "{}", comparison.to_text());
    let fields: Vec<&str> = comparison
        .differences
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(fields, ["target.model"]);
    let text = comparison.to_text();
    assert!(text.contains("target.model: model-a → model-b"), "{text}");
    let same = report::compare(&before, &before);
    assert_eq!(same.differences, []);
    assert!(same.cells.iter().all(|it| it.change.ratio == 1.0));
}

#[test]
fn damaged_snapshots_and_server_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        users: vec![2],
        measure_s: 5.0,
        smart: true,
        ..Scenario::default()
    };
    let session = scenario.write(root.path());
    let run = session.run_dirs().next().unwrap();
    std::fs::write(run.smart_post(), "{").unwrap();
    std::fs::write(run.server(), "t_ns,source,series,value\n5,a,b,much\n").unwrap();
    let analysis = report::analyze(&session);
    let notes: Vec<String> = analysis.notes.iter().map(ToString::to_string).collect();
    let named = |what: &str| notes.iter().any(|note| note.contains(what));
    assert!(named("smart_post.json:1:"), "{notes:?}");
    assert!(named("server.csv:2:4"), "{notes:?}");
    assert_eq!(analysis.runs[0].smart, None);
    assert!(analysis.runs[0].summary.is_some());
}
