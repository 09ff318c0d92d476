//! The whole path, from a session's files to its figures and page.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot write its files must fail"
)]

mod host;
mod scenario;
mod verdicts;

use record::{PrepareOutcome, Prepared};
use report::{HostFigure, IntervalMethod, Metric, Theme, analyze, stats::Percentile};
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
    let text = format!("{text}\n{}", report::verdict_text(analysis));
    std::fs::write(folder.join(format!("{name}.txt")), text).unwrap();
}

fn analyzed(name: &str, scenario: &Scenario) -> report::Analysis {
    let root = tempfile::tempdir().unwrap();
    let analysis = analyze(&scenario.write(root.path()));
    show(name, &analysis);
    analysis
}

/// A session small enough to be analysed in no time.
fn small() -> Scenario {
    Scenario {
        users: vec![4, 16],
        measure_s: 20.0,
        cores: 4,
        ..Scenario::default()
    }
}

#[test]
fn a_sweep_becomes_cells_figures_and_a_page() {
    let analysis = analyzed("seven", &Scenario::default());
    assert_eq!(analysis.notes, []);
    assert_eq!(analysis.cells.len(), 7);
    let names: Vec<&str> = analysis.figures.iter().map(report::Figure::name).collect();
    let expected = [
        "h2_iowait_vs_p99",
        "h2_psi_io_vs_p99",
        "h2_latency_vs_users",
        "h3_eviction",
        "h8_cpu",
        "itl_stall_map",
        "session_overview",
    ];
    assert_eq!(names, expected);
    for figure in &analysis.figures {
        assert!(figure.svg().starts_with("<svg "));
        assert!(!figure.title().is_empty());
    }
}

#[test]
fn repeats_are_pooled_and_their_differences_make_the_interval() {
    let scenario = Scenario {
        repeats: 3,
        cores: 20,
        users: vec![8, 64],
        iowait: |users| 0.0005 * f64::from(users),
        ..Scenario::default()
    };
    let analysis = analyzed("repeats", &scenario);
    let cell = &analysis.cells[0];
    assert_eq!(cell.runs.len(), 3);
    assert_eq!(cell.method, IntervalMethod::Repeats);
    let total: u64 = analysis
        .runs
        .iter()
        .filter(|run| run.id.as_str().starts_with("h2-u008"))
        .filter_map(|run| Some(run.summary.as_ref()?.requests.total))
        .sum();
    assert_eq!(cell.requests.total, total);
    let p99 = cell.spread(Metric::E2e).percentile(Percentile::P99);
    let p99 = p99.expect("over a thousand requests");
    let [low, high] = p99.interval.expect("over a thousand requests");
    assert!(low <= p99.value && p99.value <= high);
    assert!(cell.host_range(HostFigure::IowaitPct).is_some());
}

#[test]
fn one_point_of_a_real_server_is_a_figure() {
    let scenario = Scenario {
        users: vec![8],
        measure_s: 20.0,
        kind: record::TargetKind::Attached,
        ..Scenario::default()
    };
    let analysis = analyzed("one", &scenario);
    assert!(!analysis.html.contains("compute of this server is modelled"));
}

#[test]
fn the_embedded_engine_is_said_to_be_modelled() {
    let analysis = analyzed("small", &small());
    assert!(analysis.html.contains("compute of this server is modelled"));
}

#[test]
fn no_iowait_at_all_is_a_finding() {
    let scenario = Scenario {
        users: vec![1, 2, 4, 5, 6, 7, 8],
        capacity: 1000.0,
        measure_s: 10.0,
        iowait: |_| 0.0,
        ..Scenario::default()
    };
    let analysis = analyzed("zero", &scenario);
    let title = analysis.figures[0].title();
    assert!(title.ends_with("; no iowait at all"), "{title}");
    // Fewer than 100 requests a point: nothing may call itself a p99.
    assert!(
        title.starts_with("p95") || title.starts_with("p90"),
        "{title}"
    );
}

#[test]
fn what_is_missing_or_damaged_is_named_and_the_rest_analysed() {
    let root = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        users: vec![2, 4, 8, 16, 32],
        ..small()
    };
    let session = scenario.write(root.path());
    let runs: Vec<record::RunDir> = session.run_dirs().collect();
    let whole = std::fs::read(runs[0].requests()).unwrap();
    std::fs::write(runs[0].requests(), &whole[..whole.len() - 5]).unwrap();
    std::fs::remove_file(runs[1].telemetry()).unwrap();
    std::fs::remove_dir_all(runs[2].path()).unwrap();
    std::fs::write(runs[3].requests(), "not,ours\n1,2\n").unwrap();
    std::fs::write(runs[4].tokens(), "SPTOKEN").unwrap();
    let analysis = analyze(&session);
    show("damaged", &analysis);
    let notes: Vec<String> = analysis.notes.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"), @r#"
    h2-u008-r1: was planned but not run
    h2-u002-r1: the last row of requests.csv was cut off: 143 bytes are left out
    h2-u004-r1: has no host figures: runs/h2-u004-r1/telemetry.csv: cannot open: No such file or directory (os error 2)
    h2-u016-r1: has no requests and so no latencies: runs/h2-u016-r1/requests.csv:1:1: header field "not" where "request" was expected; the file is damaged or not Spillpoint's
    h2-u032-r1: the last row of tokens.bin was cut off: 7 bytes are left out
    "#);
    let users: Vec<u32> = analysis.cells.iter().map(|cell| cell.users).collect();
    assert_eq!(users, [2, 4, 32]);
    assert_eq!(analysis.cells[1].host.get(HostFigure::IowaitPct), None);
    assert_eq!(analysis.cells[2].output_tokens_per_s, None);
    assert_eq!(analysis.figures.len(), 7);
}

#[test]
fn what_stands_twice_is_counted_once() {
    let root = tempfile::tempdir().unwrap();
    let mut session = small().write(root.path());
    let once = analyze(&session);
    let run = session.run_dirs().next().unwrap();
    let rows = std::fs::read_to_string(run.requests()).unwrap();
    let last = rows.lines().last().unwrap();
    std::fs::write(run.requests(), format!("{rows}{last}\n")).unwrap();
    let id = session.manifest.runs[0].clone();
    session.manifest.runs.push(id);
    let twice = analyze(&session);
    let notes: Vec<String> = twice.notes.iter().map(ToString::to_string).collect();
    for words in [
        "stands twice in session.json; it is counted once",
        "1 rows of requests.csv repeat a request’s number: they are left out",
    ] {
        assert!(notes.iter().any(|note| note.contains(words)), "{notes:?}");
    }
    assert_eq!(twice.runs.len(), once.runs.len());
    let requests = |analysis: &report::Analysis| -> Vec<_> {
        let runs = analysis.runs.iter();
        let counts = runs.filter_map(|run| Some(run.summary.as_ref()?.requests));
        counts.collect()
    };
    assert_eq!(requests(&twice), requests(&once));
}

#[test]
fn without_telemetry_the_requests_are_still_drawn() {
    let root = tempfile::tempdir().unwrap();
    let session = small().write(root.path());
    for run in session.run_dirs() {
        std::fs::remove_file(run.telemetry()).unwrap();
    }
    let analysis = analyze(&session);
    let overview = analysis.figures.iter();
    let overview = overview.filter(|it| it.name() == "session_overview");
    assert_eq!(overview.count(), 1, "{:?}", analysis.notes);
}

#[test]
fn a_session_without_runs_is_a_page_that_says_so() {
    let scenario = Scenario {
        users: vec![],
        ..small()
    };
    let analysis = analyzed("empty", &scenario);
    assert!(analysis.figures.is_empty());
    assert!(analysis.html.contains("there are no figures"));
    assert_eq!(analysis.notes.len(), 7);
}

#[test]
fn the_page_says_what_was_done_to_the_machine_and_what_was_not() {
    let root = tempfile::tempdir().unwrap();
    let mut session = small().write(root.path());
    assert!(
        analyze(&session)
            .html
            .contains("the plan asked for no preparation")
    );
    let prepared = |what: &str, before: &str, after: &str, outcome| Prepared {
        what: what.to_owned(),
        before: Some(before.to_owned()),
        after: Some(after.to_owned()),
        outcome,
    };
    let refused = PrepareOutcome::Skipped("900 MiB are <swapped> out".to_owned());
    session.manifest.prepared = vec![
        prepared("swappiness", "60", "10", PrepareOutcome::Done),
        prepared("swap", "on", "on", refused),
    ];
    let html = analyze(&session).html;
    for row in [
        r#"<tr><td class="left">swappiness</td><td class="left words">60</td><td class="left words">10</td><td class="left words">done</td></tr>"#,
        r#"<span class="failed">left out: 900 MiB are &#60;swapped&#62; out</span>"#,
    ] {
        assert!(html.contains(row), "{row}");
    }
}

#[test]
fn a_hostile_name_runs_nothing_and_the_page_asks_for_nothing() {
    let scenario = Scenario {
        model: "</style><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u{202e}",
        ..small()
    };
    let html = analyzed("hostile", &scenario).html;
    // The page's own script, and no other.
    assert_eq!(html.matches("<script").count(), 1);
    assert!(!html.contains("<img"));
    assert!(!html.contains(['\x1b', '\u{202e}']));
    assert!(html.contains("&lt;script") || html.contains("&#60;script"));
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    // The only address is the name of SVG's vocabulary, which nothing fetches, and the target's.
    let addresses: std::collections::BTreeSet<&str> = html
        .match_indices("http")
        .map(|(at, _)| {
            html[at..]
                .split(['"', '<', '\''])
                .next()
                .unwrap_or_default()
        })
        .filter(|address| !address.starts_with("http-equiv"))
        .collect();
    let expected = ["http://127.0.0.1:8355", "http://www.w3.org/2000/svg"];
    assert!(addresses.iter().copied().eq(expected), "{addresses:?}");
}

#[test]
fn the_table_is_aligned_and_fits_a_terminal() {
    let text = report::table(&analyzed("small", &small())).to_text();
    assert!(text.lines().all(|line| line.chars().count() <= 120));
    insta::assert_snapshot!(text, @"
    users  requests  failed  TTFT p50  TTFT p99           e2e p50    e2e p99  tokens  iowait  PSI io  read
                                   ms        ms         ms [95 %]  ms [95 %]      /s       %       %  MB/s
        4        95       0      51.6         –     837 [824–848]          –     192    0.24     1.2  3.21
       16       154       2      1242      2429  2029 [1979–2092]       3273     304     1.8     4.8  12.3
    ");
}

#[test]
fn the_same_records_give_the_same_page() {
    let root = tempfile::tempdir().unwrap();
    let session = small().write(root.path());
    assert_eq!(analyze(&session).html, analyze(&session).html);
}

#[test]
fn a_png_is_drawn_from_the_figures_own_fonts() {
    let analysis = analyzed("small", &small());
    let png = analysis.figures[0].png(Theme::Light).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n"));
}
