//! H1 and H6 against the embedded engine, whose storage is real; and sessions that were cut short.

use crate::harness::{Ran, Workplace, free_port, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{Gate, RunManifest, RunState, Session};
use std::{
    collections::{HashMap, HashSet},
    fs,
};

fn manifests(session: &Session) -> Vec<RunManifest> {
    session
        .run_dirs()
        .map(|run| run.read_manifest().unwrap())
        .collect()
}

fn gate<'a>(manifest: &'a RunManifest, name: &str) -> &'a Gate {
    manifest
        .gates
        .iter()
        .find(|gate| gate.name == name)
        .unwrap()
}

#[test]
fn h1_reads_the_model_when_cold_and_proves_the_cache_either_way() {
    let place = Workplace::new();
    let args = ["run", "h1", "--quick", "--repeats", "2", "--duration", "1s"];
    let ran = place.run(&args).ended(0);
    let session = place.latest();
    for manifest in manifests(&session) {
        let load = manifest.model_load.as_ref().unwrap();
        assert!(gate(&manifest, "cache_state").passed, "{manifest:?}");
        assert_eq!(load.model_bytes, 512 << 20);
        // Whether it is back depends on what else runs here.
        let memory = load.memory_back.unwrap();
        assert!(memory.before_start_bytes > 0 && memory.after_stop_bytes > 0);
        let steps = [
            Some(load.started_ns),
            load.process_up_ns,
            load.healthy_ns,
            load.first_token_ns,
        ];
        assert!(
            steps.is_sorted() && steps.iter().all(Option::is_some),
            "{load:?}"
        );
        // Other processes use the drive too, so the bounds are wide; a file system in memory has none.
        if let Some(read) = load.device_read_bytes {
            match manifest.arm.as_deref() {
                Some("cold") => assert!(read >= load.model_bytes, "{load:?}"),
                _ => assert!(read < load.model_bytes / 2, "{load:?}"),
            }
        }
    }
    assert!(ran.out().contains("1 cold"), "{}", ran.out());
    assert!(session.manifest.server_start_ms.is_some_and(|ms| ms > 0.0));
    assert!(session.manifest.memory_back.is_some());
    // The next session knows how long its server takes to start, and says so first.
    let estimated = |told: &str| told.lines().next().unwrap().to_owned();
    let first = estimated(&ran.err());
    assert!(first.contains("5 server starts and ends up to"), "{first}");
    let told = place.run(&args).ended(0).err();
    let second = estimated(&told);
    assert!(second.contains("5 server starts of"), "{second}");
    assert!(second.contains("as its last took"), "{second}");
    assert!(session.dir.figures().join("h1_cold_warm.svg").is_file());
}

#[test]
fn h6_asks_for_the_adapters_that_its_arms_say() {
    let place = Workplace::new();
    place
        .quick("h6", "--repeats 1 --users 4 --duration 2s")
        .ended(0);
    for run in place.latest().run_dirs() {
        let (rows, _) = run.read_requests().unwrap();
        let arm = run.read_manifest().unwrap().arm.unwrap();
        let mut by_user: HashMap<u32, HashSet<Option<String>>> = HashMap::new();
        for row in &rows {
            by_user
                .entry(row.user)
                .or_default()
                .insert(row.adapter.clone());
        }
        let all: HashSet<_> = by_user.values().flatten().collect();
        match arm.as_str() {
            "base" => assert_eq!(all, HashSet::from([&None])),
            "sticky" => assert!(by_user.values().all(|own| own.len() == 1) && all.len() == 4),
            "storm" => assert!(by_user.values().all(|own| own.len() > 1), "{by_user:?}"),
            other => panic!("{other}"),
        }
    }
}

const SWEEP: &[&str] = &[
    "run",
    "h2",
    "--quick",
    "--users",
    "1,2,3",
    "--duration",
    "1s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "8",
];

#[test]
fn a_session_that_was_cut_is_gone_on_with_and_keeps_the_evidence() {
    let place = Workplace::new();
    let mut child = place.start(SWEEP);
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let runs: Vec<_> = session.run_dirs().collect();
    wait_for("the second run", || {
        runs[1].requests().is_file().then_some(())
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    let first = fs::read(runs[0].requests()).unwrap();
    assert_eq!(runs[1].read_manifest().unwrap().state, RunState::Running);

    place.run(&["run", "--resume", "results/latest"]).ended(0);
    assert_eq!(place.latest().dir, session.dir);
    assert!(
        manifests(&session)
            .iter()
            .all(|run| run.state == RunState::Complete)
    );
    assert_eq!(
        fs::read(runs[0].requests()).unwrap(),
        first,
        "a whole run is left alone"
    );
    let cut = format!("{}.cut-1", runs[1].path().display());
    assert!(fs::exists(cut).unwrap());
}

#[test]
fn two_sessions_on_one_target_are_refused() {
    let place = Workplace::new();
    let port = free_port();
    let mut engine = place.start(&["engine", "--port", &port.to_string()]);
    let url = format!("http://127.0.0.1:{port}");
    wait_for("the engine", || crate::harness::listens(&url).then_some(()));
    let sweep = [SWEEP, &["--url", &url]].concat();
    let first = place.start(&sweep);
    wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let refused = place.run(&sweep).ended(2).err();
    assert!(refused.contains("another session"), "{refused}");
    Ran(first.wait_with_output().unwrap()).ended(0);
    engine.kill().unwrap();
    engine.wait().unwrap();
}

#[test]
fn a_server_of_our_own_that_does_not_come_up_is_told_with_its_last_words() {
    let place = Workplace::new();
    let toml = "url = \"http://127.0.0.1:9\"\n[lifecycle]\n\
                start = [\"sh\", \"-c\", \"echo no such model; exit 3\"]\n";
    fs::write(place.path("target.toml"), toml).unwrap();
    let args = ["run", "h2", "--quick", "--target", "target.toml"];
    let failed = place.run(&args).ended(1).err();
    assert!(failed.contains("no such model"), "{failed}");
}

#[test]
fn a_plan_that_needs_more_than_a_url_says_what() {
    let place = Workplace::new();
    let url = ["--url", "http://127.0.0.1:9"];
    let refused = |plan| {
        place
            .run(&[&["run", plan][..], &url].concat())
            .ended(2)
            .err()
    };
    assert!(refused("h1").contains("--model-files"));
    assert!(refused("h6").contains("--adapters"));
}

#[test]
fn a_server_that_dies_is_noticed_and_its_last_words_are_kept() {
    let place = Workplace::new();
    let binary = env!("CARGO_BIN_EXE_spillpoint");
    let port = free_port();
    let toml = format!(
        "url = \"http://127.0.0.1:{port}\"\n[lifecycle]\n\
         start = [\"{binary}\", \"engine\", \"--port\", \"{port}\"]\n"
    );
    fs::write(place.path("target.toml"), toml).unwrap();
    let args = [
        "run",
        "h2",
        "--quick",
        "--users",
        "2",
        "--target",
        "target.toml",
    ];
    let child = place.start(&args);
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let run = session.run_dirs().next().unwrap();
    wait_for("the run", || run.requests().is_file().then_some(()));
    let server = wait_for("the server", || listener(port));
    kill(server, Signal::SIGKILL).unwrap();
    let failed = Ran(child.wait_with_output().unwrap()).ended(1).err();
    assert!(
        failed.contains("the server ended during the run"),
        "{failed}"
    );
    // One goes to standard output, one to standard error: either may have come last.
    let words = ["compute modelled", "ready http://"];
    assert!(
        words.iter().any(|words| failed.contains(words)),
        "its last words: {failed}"
    );
    assert!(matches!(
        run.read_manifest().unwrap().state,
        RunState::Failed(_)
    ));
}

/// The process that listens there.
fn listener(port: u16) -> Option<Pid> {
    let found = probe::server::listening_on(&probe::Roots::default(), port).ok()?;
    Some(Pid::from_raw(found.pid.cast_signed()))
}
