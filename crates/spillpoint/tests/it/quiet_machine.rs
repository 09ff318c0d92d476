//! Timers, swap and preconditioning: what a plan stops, and that it runs again whatever ends the
//! session. systemctl, swapon and swapoff are scripts over files here, but for one test of real swap.

use crate::{
    harness::{Ran, Workplace, is_root, wait_for, with_mounts},
    prepare::{Machine, RUN, send},
};
use nix::sys::signal::Signal;
use record::{PrepareOutcome, Prepared};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

const SWAPS: &str = "Filename Type Size Used Priority\n\
                     /swap.img file 1048576 2048 -2\n\
                     /fast\\040one partition 1024 0 5\n";

const TIMERS: [&str; 3] = ["apt-daily.timer", "fstrim.timer", "mine.timer"];

/// What the plan asks beyond the settings.
const QUIET: &str = "stop_timers = [\"apt-daily*\", \"fstrim.timer\"]\nswap_off = true\n";

/// Each timer that is active is a file in `$0/../timers`.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$(dirname "$0")/../timers" || exit 1
verb=
for word; do
  case "$word" in
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; continue; fi
      case "$verb" in
        list-units) for unit in $word; do [ -e "$unit" ] && echo "$unit loaded active waiting Its purpose"; done ;;
        is-active) [ -e "$word" ] || exit 3 ;;
        stop) rm "$word" ;;
        start) touch "$word" ;;
      esac ;;
  esac
done
exit 0
"#;

/// The last word is the device, as the kernel's list escapes it, and the first number its priority.
const SWAPON: &str = r#"#!/bin/sh
priority=-3
for word; do case "$word" in [0-9]*) priority=$word ;; /*) device=$word ;; esac; done
printf '%s file 1024 0 %s\n' "$(echo "$device" | sed 's/ /\\040/g')" "$priority" >>"$(dirname "$0")/../machine/proc/swaps"
"#;

const SWAPOFF: &str = r#"#!/bin/sh
for word; do device=$(echo "$word" | sed 's/ /\\\\040/g'); done
swaps=$(dirname "$0")/../machine/proc/swaps
grep -v "^$device " "$swaps" >"$swaps.new"; cat "$swaps.new" >"$swaps"
"#;

fn program(place: &Workplace, name: &str, script: &str) {
    let file = place.path("bin").join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, script).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A machine with timers and swap, and a plan that stops both.
fn machine(more: &str, available_kib: u64) -> Machine {
    let machine = Machine::new(&format!("{QUIET}{more}"));
    let place = &machine.0;
    fs::write(place.path("machine/proc/swaps"), SWAPS).unwrap();
    let memory = format!("MemTotal: 16000000 kB\nMemAvailable: {available_kib} kB\n");
    fs::write(place.path("machine/proc/meminfo"), memory).unwrap();
    fs::create_dir(place.path("timers")).unwrap();
    for timer in TIMERS {
        fs::write(place.path("timers").join(timer), "").unwrap();
    }
    program(place, "systemctl", SYSTEMCTL);
    program(place, "swapon", SWAPON);
    program(place, "swapoff", SWAPOFF);
    machine
}

const ENOUGH_KIB: u64 = 8_000_000;

fn active(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(machine.0.path("timers")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// The swaps, each with its priority, in the order in which they were switched on.
fn swaps(machine: &Machine) -> Vec<(String, String)> {
    let text = fs::read_to_string(machine.0.path("machine/proc/swaps")).unwrap();
    let words = text.lines().skip(1).map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].to_owned(), words[4].to_owned())
    });
    words.collect()
}

fn assert_as_it_was(machine: &Machine) {
    assert_eq!(active(machine), TIMERS);
    let swap = |device: &str, priority: &str| (device.to_owned(), priority.to_owned());
    let again = [swap("/fast\\040one", "5"), swap("/swap.img", "-3")];
    assert_eq!(swaps(machine), again);
}

fn of<'a>(prepared: &'a [Prepared], what: &str) -> &'a Prepared {
    prepared.iter().find(|it| it.what == what).unwrap()
}

#[test]
fn active_timers_and_swap_stop_for_the_session_and_run_again_after() {
    let machine = machine("", ENOUGH_KIB);
    let child = machine.under_way();
    assert_eq!(active(&machine), ["mine.timer"]);
    assert_eq!(swaps(&machine), []);
    Ran(child.wait_with_output().unwrap()).ended(0);
    assert_as_it_was(&machine);
    let prepared = machine.prepared();
    let swap = of(&prepared, "swap on /swap.img");
    assert_eq!(swap.before.as_deref(), Some("on (priority -2), 2 MiB used"));
    assert_eq!(swap.after.as_deref(), Some("off"));
    for timer in ["timer apt-daily.timer", "timer fstrim.timer"] {
        let timer = of(&prepared, timer);
        assert_eq!(timer.after.as_deref(), Some("stopped"));
        assert_eq!(timer.outcome, PrepareOutcome::Done);
    }
    assert!(prepared.iter().all(|it| !it.what.contains("mine")));
}

#[test]
fn after_ctrl_c_or_a_kill_timers_and_swap_run_again() {
    let interrupted = machine("", ENOUGH_KIB);
    let child = interrupted.under_way();
    send(&child, Signal::SIGINT);
    Ran(child.wait_with_output().unwrap()).ended(1);
    assert_as_it_was(&interrupted);

    let killed = machine("", ENOUGH_KIB);
    let mut child = killed.under_way();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert_eq!(swaps(&killed), []);
    // A timer that someone has started since is no change of ours any more.
    fs::write(killed.0.path("timers/fstrim.timer"), "").unwrap();
    let told = killed.run(&["restore"]).ended(0).out();
    assert!(told.contains("apt-daily.timer is active again"), "{told}");
    assert!(told.contains("swap on /swap.img is on"), "{told}");
    assert!(!told.contains("fstrim.timer is"), "{told}");
    assert_as_it_was(&killed);
}

#[test]
fn swap_that_memory_cannot_hold_stays_on_and_what_is_missing_is_told() {
    let machine = machine("", 200_000);
    fs::remove_file(machine.0.path("bin/systemctl")).unwrap();
    program(
        &machine.0,
        "systemctl",
        "#!/bin/sh\necho no systemd here >&2; exit 1\n",
    );
    let told = machine.run(RUN).ended(0).err();
    assert!(
        told.contains("timers is left as it is: no systemd here"),
        "{told}"
    );
    assert!(told.contains("2 MiB are swapped out"), "{told}");
    assert_eq!(swaps(&machine).len(), 2);
    let prepared = machine.prepared();
    for what in ["timers", "swap"] {
        let outcome = &of(&prepared, what).outcome;
        assert!(matches!(outcome, PrepareOutcome::Skipped(_)), "{outcome:?}");
    }
}

#[test]
fn required_timers_that_cannot_be_stopped_end_the_session_before_it_begins() {
    let machine = machine("required = true\n", ENOUGH_KIB);
    program(
        &machine.0,
        "swapoff",
        "#!/bin/sh\necho Operation not permitted >&2; exit 255\n",
    );
    let refused = machine.run(RUN).ended(2).err();
    assert!(
        refused.contains("swap on /swap.img can't be done"),
        "{refused}"
    );
    assert!(refused.contains("Operation not permitted"), "{refused}");
    assert_eq!(active(&machine), TIMERS, "what was done before is undone");
    assert!(!machine.0.path("results/latest").exists());
}

/// The swaps of this very machine.
fn real_swaps() -> String {
    fs::read_to_string("/proc/swaps").unwrap()
}

/// A swap of 16 MiB on a loop device, off and gone when it is dropped.
struct RealSwap(String);

impl RealSwap {
    fn new(place: &Workplace) -> Self {
        let image = place.path("image");
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        said(Command::new("mkswap").arg("--quiet").arg(&image));
        let device = said(
            Command::new("losetup")
                .args(["--find", "--show"])
                .arg(&image),
        );
        let swap = Self(device.trim().to_owned());
        said(Command::new("swapon").args(["--priority", "7", &swap.0]));
        swap
    }
}

impl Drop for RealSwap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).output();
        let _ = Command::new("losetup").args(["--detach", &self.0]).output();
    }
}

fn said(command: &mut Command) -> String {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let ran = command.env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{command:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
#[ignore = "switches real swap off and on: cargo xtask test, as root, on a machine without swap of its own"]
fn real_swap_goes_off_and_comes_on_again_with_its_priority() {
    // Swap of this machine's own is nobody's to switch off in a test.
    if !is_root() || real_swaps().lines().count() > 1 {
        return;
    }
    let machine = Machine::new("swap_off = true\n");
    let swap = RealSwap::new(&machine.0);
    for file in ["swaps", "meminfo"] {
        let ours = machine.0.path("machine/proc").join(file);
        symlink(Path::new("/proc").join(file), ours).unwrap();
    }
    let before = real_swaps();
    assert!(before.contains(&swap.0), "{before}");
    let mut child = machine.under_way();
    assert!(!real_swaps().contains(&swap.0));
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let told = machine.run(&["restore"]).ended(0).out();
    assert!(told.contains("is on (priority 7) again"), "{told}");
    assert_eq!(real_swaps(), before);
    machine.run(RUN).ended(0);
    assert_eq!(real_swaps(), before);
}

/// A quick plan that preconditions, and a script's beginning: a device of its own, for the results.
fn precondition(place: &Workplace, more: &str) -> &'static str {
    let h2 = place.run(&["plan", "show", "h2"]).ended(0).out();
    let prepare = format!(
        "[prepare]\nprecondition = {{ size_mib = 64, limit = \"30s\" }}\n{more}\n[workload]"
    );
    let plan = h2
        .replace("[workload]", &prepare)
        .replace("results_free_mib_min = 256", "results_free_mib_min = 64");
    fs::write(place.path("my.toml"), plan).unwrap();
    "set -e; truncate -s 1200M image; mkfs.ext4 -q -m 0 image; mkdir results
     loop=$(losetup --find --show --direct-io=on image)
     mount \"$loop\" results; losetup --detach \"$loop\"
     run=\"$SPILLPOINT run my.toml --quick --users 1 --duration 2s --prompt-tokens 32 --max-tokens 4\"\n"
}

fn has_fio() -> bool {
    let version = Command::new("fio").arg("--version").output();
    version.is_ok_and(|said| said.status.success())
}

#[test]
#[ignore = "needs fio and a device of its own: cargo xtask test, as root"]
fn a_drive_is_written_to_before_and_the_file_is_gone_after_also_after_a_kill() {
    if !is_root() || !has_fio() {
        return;
    }
    let place = Workplace::new();
    let script = format!(
        "{} $run
         cp results/latest/session.json first.json
         ls -A results >left; rm -r results/latest results/2*
         $run & spillpoint=$!
         for try in $(seq 1200); do [ -e results/latest/runs/*/requests.csv ] && [ -e results/.spillpoint-precondition-$spillpoint.bin ] && break; sleep 0.05; done
         stat --format %s results/.spillpoint-precondition-$spillpoint.bin >size
         kill -KILL $spillpoint; wait $spillpoint || true
         \"$SPILLPOINT\" restore >restored
         ls -A results >left_after_kill",
        precondition(&place, "required = true")
    );
    with_mounts(&place, &script).ended(0);
    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    let session: serde_json::Value = serde_json::from_str(&read("first.json")).unwrap();
    let prepared: Vec<Prepared> = serde_json::from_value(session["prepared"].clone()).unwrap();
    let written = of(&prepared, "precondition");
    assert_eq!(written.outcome, PrepareOutcome::Done);
    let words = written.after.as_deref().unwrap();
    assert!(words.starts_with("64 MiB written in"), "{words}");
    assert_eq!(read("size").trim(), (64 << 20).to_string());
    assert!(
        read("restored").contains("is absent again"),
        "{}",
        read("restored")
    );
    for left in ["left", "left_after_kill"] {
        assert!(!read(left).contains("precondition"), "{}", read(left));
    }
}

#[test]
#[ignore = "needs fio and a device of its own: cargo xtask test, as root"]
fn a_drive_without_room_is_not_written_to() {
    if !is_root() || !has_fio() {
        return;
    }
    let place = Workplace::new();
    let script = precondition(&place, "").to_owned() + "$run";
    let plan = fs::read_to_string(place.path("my.toml")).unwrap();
    fs::write(
        place.path("my.toml"),
        plan.replace("size_mib = 64", "size_mib = 4000"),
    )
    .unwrap();
    let told = with_mounts(&place, &script).ended(0).err();
    assert!(told.contains("precondition is left as it is"), "{told}");
    assert!(told.contains("MiB are free"), "{told}");
}

#[test]
fn results_on_another_device_are_no_place_to_precondition() {
    let place = Workplace::new();
    precondition(&place, "required = true");
    let mut command = place.command(RUN);
    command.args(["--storage", "/proc/self/status"]);
    let refused = Ran(command.output().unwrap()).ended(2).err();
    assert!(refused.contains("precondition can't be done"), "{refused}");
    wait_for("no session", || {
        (!place.path("results/latest").exists()).then_some(())
    });
}
