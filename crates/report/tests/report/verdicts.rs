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

/// Arms that replay in so much of the first time, and read so much of it from the device.
fn tiers(again: fn(&str) -> f64, reads: fn(&str, u32) -> f64) -> report::Analysis {
    let scenario = attached(Scenario {
        experiment: "tiers",
        users: vec![4],
        arms: vec!["none", "cpu-disk"],
        phases: vec!["populate", "pressure", "replay"],
        measure_s: 30.0,
        again,
        pressure: Some(reads),
        ..Scenario::default()
    });
    analyzed("tiers", &scenario)
}

#[test]
fn a_tier_that_reads_back_sooner_saves_compute_and_one_that_reads_later_costs_storage() {
    let reads = |arm: &str, _| if arm == "none" { 0.2 } else { 300.0 };
    let of_disk = |factor: fn(&str) -> f64| tiers(factor, reads);
    let gain = of_disk(|arm| if arm == "none" { 1.0 } else { 0.3 });
    assert_eq!(kind(&gain), VerdictKind::ComputeBound);
    let paragraph = &gain.verdict.paragraph;
    assert!(
        paragraph.contains("reads from the drive instead"),
        "{paragraph}"
    );
    let disk = gain
        .tiers
        .iter()
        .find(|it| it.arm.as_deref() == Some("cpu-disk"));
    let ratio = disk.unwrap().ratio.unwrap();
    assert!((0.25..0.35).contains(&ratio.ratio), "{ratio:?}");
    assert!(disk.unwrap().replay.server_read_bytes.unwrap() > 1e9);
    // All but the replays are alike: only they are compared.
    assert!(gain.effects.iter().all(|it| it.effect.pairs == 3));
    let table = report::tier_table(&gain).unwrap().to_text();
    assert!(table.contains("4 cpu-disk"), "{table}");

    let cost = of_disk(|arm| if arm == "none" { 1.0 } else { 3.0 });
    assert_eq!(kind(&cost), VerdictKind::StorageBound);
}

#[test]
fn replays_that_nothing_pushed_out_leave_the_tiers_nothing_to_do() {
    let kept = tiers(|_| 0.2, |_, _| 0.0);
    assert_eq!(kind(&kept), VerdictKind::NoEffect);
    let paragraph = &kept.verdict.paragraph;
    assert!(paragraph.contains("Nothing was pushed out"), "{paragraph}");
}

/// A neighbour that slows the server, which itself reads so much.
fn h4(own: f64) -> report::Analysis {
    let scenario = attached(Scenario {
        experiment: "h4",
        users: vec![4],
        arms: vec!["none", "heavy"],
        measure_s: 30.0,
        slower: |arm| if arm == "none" { 1.0 } else { 1.5 },
        pressure: Some(|arm, _| if arm == "none" { 10.0 } else { 400.0 }),
        server_share: own,
        ..Scenario::default()
    });
    analyzed("h4", &scenario)
}

#[test]
fn reads_beyond_the_servers_own_are_the_neighbours() {
    let beside = h4(0.05);
    assert_eq!(kind(&beside), VerdictKind::StorageBound);
    assert!(codes(&beside).contains(&"OTHERS_READ"));
    let paragraph = &beside.verdict.paragraph;
    assert!(
        paragraph.contains("the neighbour’s requests read the device"),
        "{paragraph}"
    );
    // A server that reads nothing can't wait for the device.
    let alone = h4(0.0);
    assert_eq!(kind(&alone), VerdictKind::ComputeBound);
    assert!(!alone.verdict.paragraph.contains("not recorded"));
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
    assert!(text.contains("They differ in model: these are two different questions"));
    let same = report::compare(&before, &before);
    assert_eq!(same.differences, []);
    assert!(same.to_text().contains("Both are the same session"));
    let fewer = analyzed(
        "fewer",
        &Scenario {
            users: vec![4, 32],
            ..sweep(8.0, "model-a")
        },
    );
    let text = report::compare(&before, &fewer).to_text();
    assert!(
        text.contains("Only the first session has: 16 users."),
        "{text}"
    );
    assert!(
        text.contains("Only the second session has: 32 users."),
        "{text}"
    );
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
