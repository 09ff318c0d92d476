//! The server's key: sent, and found nowhere else.

use crate::{
    bad_server::{self, Fault},
    harness::{Ran, Workplace},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

// Lower case, as the test's server repeats it.
const KEY: &str = "sk-never-to-be-seen-0123456789";

const RUN: &[&str] = &[
    "run",
    "h2",
    "--quick",
    "--users",
    "3",
    "--duration",
    "2s",
    "--repeats",
    "1",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "8",
];

/// Every file below the folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let below = entries.map(|entry| entry.unwrap()).flat_map(|entry| {
        match entry.file_type().unwrap().is_dir() {
            true => files_in(&entry.path()),
            false => vec![entry.path()],
        }
    });
    below.collect()
}

/// Nothing said and nothing kept holds the key; gives how many files were looked into.
#[track_caller]
fn nowhere(place: &Workplace, ran: &Ran) -> usize {
    let holds = |bytes: &[u8]| {
        bytes
            .windows(KEY.len())
            .any(|window| window == KEY.as_bytes())
    };
    assert!(!holds(&ran.0.stdout), "{}", ran.out());
    assert!(!holds(&ran.0.stderr), "{}", ran.err());
    let files = files_in(&place.path("results"));
    for file in &files {
        // A link that leads nowhere holds nothing.
        let bytes = fs::read(file).unwrap_or_default();
        assert!(!holds(&bytes), "{}", file.display());
    }
    files.len()
}

#[test]
fn a_key_that_the_server_repeats_in_its_refusals_is_kept_nowhere() {
    let place = Workplace::new();
    let url = bad_server::start(Fault::RepeatsTheKey);
    let mut command = place.command(&[RUN, &["--url", &url]].concat());
    let ran = Ran(command.env("OPENAI_API_KEY", KEY).output().unwrap()).ended(3);
    assert!(nowhere(&place, &ran) > 10);
    let run = place.latest().run_dirs().next().unwrap();
    let (rows, _) = run.read_requests().unwrap();
    let words: Vec<_> = rows.iter().filter_map(|row| row.error.as_deref()).collect();
    let told = |words: &&str| words.contains("bearer (the API key) is tired");
    assert!(words.iter().any(told), "the server was sent it: {words:?}");
    // All that is made of a session afterwards is made of the same files.
    let exported = place.run(&[
        "export",
        "results/latest",
        "--to",
        "aiperf",
        "results/aiperf",
    ]);
    nowhere(&place, &exported.ended(0));
}

#[test]
fn a_key_of_a_file_that_a_server_of_ours_logs_is_not_in_its_log() {
    let place = Workplace::new();
    fs::write(place.path("key"), format!("{KEY}\n")).unwrap();
    let binary = env!("CARGO_BIN_EXE_spillpoint");
    let script = format!("echo key=$(cat key); exec {binary} engine --port 18766 --speed 20");
    fs::write(
        place.path("server.toml"),
        format!(
            "url = \"http://127.0.0.1:18766\"\n[lifecycle]\nstart = [\"sh\", \"-c\", \"{script}\"]\n"
        ),
    )
    .unwrap();
    let named = ["--target", "server.toml", "--api-key-file", "key"];
    let ran = place.run(&[RUN, &named].concat());
    assert!(nowhere(&place, &ran.ended(0)) > 10);
    let logs = files_in(&place.path("results"));
    let said = |file: &PathBuf| {
        fs::read_to_string(file).is_ok_and(|text| text.contains("key=(the API key)"))
    };
    assert!(logs.iter().any(said), "what the server said is kept");
}

#[test]
fn a_key_in_a_servers_start_command_is_refused() {
    let place = Workplace::new();
    let target = format!(
        "url = \"http://127.0.0.1:1\"\n[lifecycle]\nstart = [\"true\", \"--api-key={KEY}\"]\n"
    );
    fs::write(place.path("server.toml"), target).unwrap();
    let mut command = place.command(&[RUN, &["--target", "server.toml"]].concat());
    let ran = Ran(command.env("OPENAI_API_KEY", KEY).output().unwrap()).ended(2);
    assert!(ran.err().contains("holds the API key"), "{}", ran.err());
    assert!(!ran.err().contains(KEY));
    assert!(!place.path("results").exists());
}

#[test]
fn a_key_file_that_is_no_key_is_told_by_its_name() {
    let place = Workplace::new();
    fs::write(place.path("key"), "two words\n").unwrap();
    let named = ["--url", "http://127.0.0.1:1", "--api-key-file"];
    let bad = place.run(&[RUN, &named, &["key"]].concat()).ended(2).err();
    assert!(bad.contains("key holds what can't be sent"), "{bad}");
    let none = place
        .run(&[RUN, &named, &["nothing"]].concat())
        .ended(2)
        .err();
    assert!(none.contains("nothing: cannot read the key"), "{none}");
}
