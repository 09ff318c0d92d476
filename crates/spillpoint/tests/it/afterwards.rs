//! What is done with sessions afterwards, and the instrument's own error.

use crate::harness::Workplace;
use std::fs;

const SWEEP: &[&str] = &[
    "run",
    "h2",
    "--quick",
    "--users",
    "1,2",
    "--duration",
    "1s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "4",
];

#[test]
fn two_sessions_are_compared_and_one_is_exported() {
    let place = Workplace::new();
    for folder in ["before", "after"] {
        let args = [SWEEP, &["--results", folder]].concat();
        place.run(&args).ended(0);
    }
    let told = place
        .run(&["compare", "before/latest", "after/latest"])
        .ended(0)
        .out();
    assert!(told.contains("TTFT"), "{told}");
    for (form, file) in [
        ("parquet", "parquet/requests/host="),
        ("vllm", ""),
        ("aiperf", ""),
        ("guidellm", ""),
    ] {
        let written = place
            .run(&["export", "before/latest", "--to", form, form])
            .ended(0)
            .out();
        assert!(written.lines().count() > 0, "{form}");
        for path in written.lines() {
            assert!(fs::metadata(place.path(path)).unwrap().len() > 0, "{path}");
        }
        assert!(written.contains(file), "{written}");
    }
}

#[test]
fn figures_are_drawn_by_name_when_they_are_named() {
    let place = Workplace::new();
    place.run(SWEEP).ended(0);
    let figures = place.latest().dir.figures();
    fs::remove_dir_all(&figures).unwrap();
    place.run(&["analyze", "H8"]).ended(0);
    assert!(figures.join("h8_cpu.svg").is_file());
    assert!(!figures.join("h2_iowait_vs_p99.svg").exists());
    place.run(&["analyze", "results/latest", "ALL"]).ended(0);
    assert!(figures.join("h2_iowait_vs_p99.svg").is_file());
}

#[test]
fn a_calibration_is_kept_and_cited_by_the_next_session() {
    let place = Workplace::new();
    let state = place.path("state");
    let with_state = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("XDG_STATE_HOME", &state);
        crate::harness::Ran(command.output().unwrap()).ended(0)
    };
    let told = with_state(&["calibrate", "--quick"]).out();
    assert!(told.contains("users"), "{told}");
    assert!(state.join("spillpoint/calibration.json").is_file());
    with_state(SWEEP);
    let cited = place.latest().manifest.calibration.unwrap();
    assert_eq!(cited.level_users, Some(16), "the next level that was tried");
    let html = fs::read_to_string(place.latest().dir.report()).unwrap();
    assert!(html.contains("calibrated 20"), "the report says so");
}
