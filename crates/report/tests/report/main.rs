//! The whole path, from a session's files to its figures and page.

mod scenario;

use report::{Theme, analyze};
use scenario::Scenario;
use std::path::Path;

/// Writes figures and pages where SPILLPOINT_LOOK_AT names a folder, for people to look at.
fn show(name: &str, analysis: &report::Analysis) {
    let Ok(folder) = std::env::var("SPILLPOINT_LOOK_AT") else {
        return;
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).unwrap();
    for figure in &analysis.figures {
        for (theme, suffix) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
            let file = format!("{name}-{}-{suffix}.png", figure.name());
            std::fs::write(folder.join(file), figure.png(theme).unwrap()).unwrap();
        }
        let file = format!("{name}-{}.svg", figure.name());
        std::fs::write(folder.join(file), figure.svg()).unwrap();
    }
    std::fs::write(folder.join(format!("{name}.html")), &analysis.html).unwrap();
    let text = report::table(analysis).to_text();
    std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
}

fn analyzed(name: &str, scenario: &Scenario) -> report::Analysis {
    let root = tempfile::tempdir().unwrap();
    let analysis = analyze(&scenario.write(root.path()));
    show(name, &analysis);
    analysis
}

#[test]
fn a_sweep_of_seven() {
    let analysis = analyzed("seven", &Scenario::default());
    assert_eq!(analysis.cells.len(), 7);
    assert_eq!(analysis.figures.len(), 2);
}

#[test]
fn repeats() {
    let scenario = Scenario {
        repeats: 3,
        cores: 20,
        users: vec![8, 16, 32, 64, 128, 192],
        iowait: |users| 0.0005 * f64::from(users),
        ..Scenario::default()
    };
    analyzed("repeats", &scenario);
}

#[test]
fn one_point() {
    let scenario = Scenario {
        users: vec![8],
        measure_s: 20.0,
        kind: record::TargetKind::Attached,
        ..Scenario::default()
    };
    analyzed("one", &scenario);
}

#[test]
fn no_iowait_at_all() {
    let scenario = Scenario {
        users: vec![1, 2, 4, 5, 6, 7, 8],
        capacity: 1000.0,
        measure_s: 10.0,
        iowait: |_| 0.0,
        ..Scenario::default()
    };
    analyzed("zero", &scenario);
}
