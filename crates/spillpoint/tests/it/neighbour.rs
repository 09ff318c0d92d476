//! H4: a neighbour on the drive, beside the server.

use crate::harness::{Ran, Workplace, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{RunState, Session};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// A quick H4 with a small file, of a few seconds.
fn place() -> Workplace {
    let place = Workplace::new();
    let h4 = place.run(&["plan", "show", "h4"]).ended(0).out();
    let small = h4
        .replace("block_kib = 128", "file_mib = 32, block_kib = 128")
        .replace("rate_mib = 200", "rate_mib = 20");
    fs::write(place.path("my.toml"), small).unwrap();
    place
}

const H4: &[&str] = &[
    "run",
    "my.toml",
    "--quick",
    "--repeats",
    "1",
    "--duration",
    "2s",
    "--max-tokens",
    "4",
];

fn has_fio() -> bool {
    let version = Command::new("fio").arg("--version").output();
    version.is_ok_and(|said| said.status.success())
}

/// The fio processes whose file is below this folder.
fn neighbours(place: &Workplace) -> usize {
    let folder = fs::canonicalize(place.path("")).unwrap();
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
    commands
        .filter(|words| words.starts_with(b"fio"))
        .filter(|words| String::from_utf8_lossy(words).contains(folder))
        .count()
}

#[test]
#[ignore = "needs fio: cargo xtask test"]
fn each_arm_has_its_neighbour_and_nothing_of_it_stays() {
    if !has_fio() {
        return;
    }
    let place = place();
    place.run(H4).ended(0);
    let session = place.latest();
    for run in session.run_dirs() {
        let manifest = run.read_manifest().unwrap();
        assert_eq!(manifest.state, RunState::Complete);
        let log = fs::read_to_string(run.log()).unwrap();
        let neighbour = log.lines().find(|line| line.contains("neighbour:"));
        match manifest.arm.as_deref() {
            Some("none") => assert_eq!(neighbour, None),
            _ => assert!(neighbour.unwrap().contains("0.0 MiB/s written"), "{log}"),
        }
    }
    assert_eq!(neighbours(&place), 0);
    assert!(!session.dir.path().join(".neighbour.bin").exists());
}

#[test]
#[ignore = "needs fio: cargo xtask test"]
fn a_killed_harness_leaves_no_neighbour() {
    if !has_fio() {
        return;
    }
    let place = place();
    let long: Vec<&str> = H4
        .iter()
        .map(|&word| if word == "2s" { "60s" } else { word })
        .collect();
    // Without the arm that has none, which would come first.
    let plan = fs::read_to_string(place.path("my.toml")).unwrap();
    let plan = plan.replace("[[arms]]\nname = \"none\"\n", "");
    fs::write(place.path("my.toml"), plan).unwrap();
    let mut child = place.start(&long);
    wait_for("a neighbour", || (neighbours(&place) > 0).then_some(()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    wait_for("its end", || (neighbours(&place) == 0).then_some(()));
    Session::open(&place.path("results/latest")).unwrap();
}

#[test]
fn a_neighbour_without_fio_or_room_is_refused_before_anything_starts() {
    let place = place();
    let mut command = place.command(H4);
    let refused = Ran(command.env("PATH", "").output().unwrap())
        .ended(2)
        .err();
    assert!(refused.contains("fio is not installed"), "{refused}");
    assert!(!place.path("results/latest").exists());
    if !has_fio() {
        return;
    }
    let plan = fs::read_to_string(place.path("my.toml")).unwrap();
    let large = plan.replace(
        "results_free_mib_min = 256",
        "results_free_mib_min = 1_000_000_000",
    );
    fs::write(place.path("my.toml"), large).unwrap();
    let refused = place.run(H4).ended(2).err();
    assert!(refused.contains("the neighbour's file"), "{refused}");
    assert!(!place.path("results/latest").exists());
}

#[test]
fn a_neighbour_that_ends_early_ends_the_run_at_once_in_its_own_words() {
    let place = place();
    let long = "1h";
    let args: Vec<&str> = H4
        .iter()
        .map(|&word| if word == "2s" { long } else { word })
        .collect();
    let plan = fs::read_to_string(place.path("my.toml")).unwrap();
    let plan = plan.replace("[[arms]]\nname = \"none\"\n", "");
    fs::write(place.path("my.toml"), plan).unwrap();
    fs::create_dir(place.path("bin")).unwrap();
    let fio = "#!/bin/sh\ntest \"$1\" = --version || { echo no such engine >&2; exit 1; }\n";
    fs::write(place.path("bin/fio"), fio).unwrap();
    let runs = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.path("bin/fio"), runs).unwrap();
    let mut command = place.command(&args);
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin", place.path("bin").display()),
    );
    let failed = Ran(command.output().unwrap()).ended(1).err();
    assert!(
        failed.contains("the neighbour ended early: no such engine"),
        "{failed}"
    );
    let run = place.latest().run_dirs().next().unwrap();
    let RunState::Failed(why) = run.read_manifest().unwrap().state else {
        panic!("the run is not what its arm says");
    };
    assert!(why.contains("the neighbour ended early"), "{why}");
}
