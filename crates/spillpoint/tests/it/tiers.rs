//! `tiers`: what was said before, and where its KV cache lies when it is asked for again.

use crate::harness::{Engine, Workplace, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{Metric, Outcome, RunDir, RunState, Session, VerdictKind};
use std::fs;

const TIERS: &[&str] = &[
    "run",
    "tiers",
    "--quick",
    "--repeats",
    "1",
    "--users",
    "2",
    "--prompt-tokens",
    "64",
    "--max-tokens",
    "4",
];

/// Each user's prompts, as the plan has them.
const PROMPTS: usize = 4;
/// Whole blocks before a prompt's last token: that one is always computed.
const KEPT_TOKENS: u32 = 48;

fn run(session: &Session, phase: &str, arm: &str) -> RunDir {
    let mut runs = session.run_dirs();
    let is_it = |run: &RunDir| {
        let manifest = run.read_manifest().unwrap();
        manifest.phase == phase && manifest.arm.as_deref() == Some(arm)
    };
    runs.find(is_it).unwrap()
}

/// By how much a counter of the server grew in a run; 0 where the server has none of that name.
fn grew(run: &RunDir, name: &str) -> f64 {
    let (rows, _) = run.read_server().unwrap();
    let is_it = |metric: &Metric| matches!(metric, Metric::Own(series) if series.contains(name));
    let counted = rows.iter().filter(|row| is_it(&row.metric));
    let counted: Vec<f64> = counted.map(|row| row.value).collect();
    match &counted[..] {
        [first, .., last] => last - first,
        _ => 0.0,
    }
}

/// The tokens that were there already, request by request.
fn cached(run: &RunDir) -> Vec<u32> {
    let (rows, _) = run.read_requests().unwrap();
    assert_eq!(rows.len(), 2 * PROMPTS, "each prompt once");
    assert!(rows.iter().all(|row| row.outcome == Outcome::Ok));
    rows.iter()
        .map(|row| row.cached_tokens.unwrap_or(0))
        .collect()
}

#[test]
fn what_comes_again_is_read_from_the_disk_tier_where_there_is_one() {
    let place = Workplace::new();
    let told = place.run(TIERS).ended(0).out();
    let session = place.latest();
    let disk = run(&session, "replay", "cpu-disk");
    // All that can be: every whole block of every prompt.
    assert!(cached(&disk).iter().all(|&it| it >= KEPT_TOKENS));
    let prompts = 2.0 * PROMPTS as f64;
    assert!(grew(&disk, "external_prefix_cache_hits") >= prompts * f64::from(KEPT_TOKENS));
    assert!(grew(&disk, "kv_disk_read_bytes") > 0.0);
    for (phase, arm) in [
        ("populate", "none"),
        ("pressure", "none"),
        ("populate", "cpu"),
        ("populate", "cpu-disk"),
        ("pressure", "cpu-disk"),
    ] {
        let run = run(&session, phase, arm);
        assert!(cached(&run).iter().all(|&it| it == 0), "{phase} {arm}");
        assert_eq!(grew(&run, "kv_disk_read_bytes"), 0.0, "{phase} {arm}");
    }
    let log = fs::read_to_string(run(&session, "populate", "cpu").log()).unwrap();
    assert!(
        log.contains("started anew") && log.contains("--kv-host"),
        "{log}"
    );
    assert!(told.contains("replay/populate"), "{told}");
    assert!(told.contains("kv_disk_read_blocks_total"), "{told}");
    let page = fs::read_to_string(session.dir.report()).unwrap();
    assert!(page.contains("What comes again, by configuration"));
    let left = place.path("results/engine-files/kv-tier.bin");
    assert!(!left.exists(), "the tier's file goes with the session");
}

#[test]
fn an_arm_that_was_cut_is_made_again_from_its_first_phase() {
    let place = Workplace::new();
    let mut child = place.start(TIERS);
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    // The pressure of the first arm.
    let runs: Vec<_> = session.run_dirs().collect();
    wait_for("the second phase", || {
        runs[1].requests().is_file().then_some(())
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert_eq!(runs[0].read_manifest().unwrap().state, RunState::Complete);

    place.run(&["run", "--resume", "results/latest"]).ended(0);
    for run in &runs {
        assert_eq!(run.read_manifest().unwrap().state, RunState::Complete);
    }
    let cut = format!("{}.cut-1", runs[0].path().display());
    assert!(
        fs::exists(cut).unwrap(),
        "what a populate left is gone with its server"
    );
}

#[test]
fn a_server_that_is_not_ours_is_told_and_measured_as_it_runs() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    let url = ["--url", engine.url.as_str()];
    let refused = place.run(&[TIERS, &url].concat()).ended(2).err();
    assert!(
        refused.contains("take the arms out of the plan"),
        "{refused}"
    );

    let plan = place.run(&["plan", "show", "tiers"]).ended(0).out();
    let (head, rest) = plan.split_once("[[arms]]").unwrap();
    let (_, phases) = rest.split_once("[[phases]]").unwrap();
    fs::write(place.path("my.toml"), format!("{head}[[phases]]{phases}")).unwrap();
    let args: Vec<&str> = TIERS
        .iter()
        .map(|&word| match word {
            "tiers" => "my.toml",
            "1" => "3",
            // So that a phase of a fast server has ticks enough.
            "4" => "256",
            word => word,
        })
        .collect();
    let told = place.run(&[&args, &url[..]].concat()).ended(0).out();
    let verdict = place.latest().manifest.verdict.unwrap();
    // Its pool holds all, and it has no tier: nothing is read.
    assert_ne!(verdict.kind, VerdictKind::StorageBound, "{told}");
    assert!(told.contains("as it runs"), "{told}");
    engine.end();
}

#[test]
fn a_variant_that_the_target_lacks_is_named_before_anything_starts() {
    let place = Workplace::new();
    let toml = "url = \"http://127.0.0.1:9\"\n[lifecycle]\nstart = [\"false\"]\n\
                [variants.cpu]\nargs = [\"--cpu\"]\n";
    fs::write(place.path("target.toml"), toml).unwrap();
    let refused = place
        .run(&[TIERS, &["--target", "target.toml"]].concat())
        .ended(2);
    let refused = refused.err();
    assert!(
        refused.contains("[variants.cpu-disk] (it has cpu)"),
        "{refused}"
    );
    assert!(!place.path("results/latest").exists());
}
