//! Servers that the session starts, and whose they are; how a session ends that was told to.

use crate::harness::{Engine, Ran, Workplace, free_port, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{RunState, Session};
use std::{fs, process::Child, time::Instant};

fn target(place: &Workplace, url: &str, start: &[&str]) {
    let toml = format!("url = \"{url}\"\n[lifecycle]\nstart = {start:?}\n");
    fs::write(place.path("target.toml"), toml).unwrap();
}

const MANAGED: &[&str] = &["run", "h2", "--quick", "--target", "target.toml"];

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn no_server_is_started_where_another_answers() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    target(&place, &engine.url, &["sleep", "600"]);
    let refused = place.run(MANAGED).ended(2).err();
    assert!(refused.contains("something answers at"), "{refused}");
    engine.end();
}

#[test]
fn an_end_is_heard_while_the_first_server_starts() {
    let place = Workplace::new();
    let url = format!("http://127.0.0.1:{}", free_port());
    let begun = place.path("begun");
    let script = format!("touch {}; exec sleep 600", begun.display());
    target(&place, &url, &["sh", "-c", &script]);
    let child = place.start(MANAGED);
    wait_for("the server's start", || begun.exists().then_some(()));
    let asked = Instant::now();
    send(&child, Signal::SIGINT);
    let ended = Ran(child.wait_with_output().unwrap()).ended(1);
    assert!(ended.err().contains("interrupted"), "{}", ended.err());
    // Long before the server's time to become ready is over.
    assert!(asked.elapsed().as_secs() < 60);
}

#[test]
fn a_session_is_resumed_on_its_own_server_alone() {
    let place = Workplace::new();
    let [first, second] = [Engine::start(&place), Engine::start(&place)];
    let args = ["run", "h2", "--quick", "--users", "1,2", "--duration", "2s"];
    let child = place.start(&[&args[..], &["--url", &first.url]].concat());
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let run = session.run_dirs().next().unwrap();
    wait_for("a row", || fs::metadata(run.requests()).ok());
    // As when the connection is lost over which it was begun.
    send(&child, Signal::SIGHUP);
    let ended = Ran(child.wait_with_output().unwrap()).ended(1);
    assert!(ended.err().contains("interrupted"), "{}", ended.err());
    assert!(session.dir.report().is_file());
    let resume = ["run", "--resume", "results/latest"];
    let other = [&resume[..], &["--url", &second.url]].concat();
    let refused = place.run(&other).ended(2).err();
    assert!(refused.contains("the session was against"), "{refused}");
    let refused = place.run(&["run", "h6", "--resume", "results/latest"]);
    let refused = refused.ended(2).err();
    assert!(refused.contains("a session of h2, not of h6"), "{refused}");
    place.run(&["run", "h2", "--resume", "results/latest"]);
    let states = session
        .run_dirs()
        .map(|run| run.read_manifest().unwrap().state);
    assert!(states.eq([RunState::Complete, RunState::Complete]));
    first.end();
    second.end();
}
