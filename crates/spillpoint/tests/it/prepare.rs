//! What a plan changes on the machine is put back, whatever ends the session. The machine is a tree
//! of files here.

use crate::harness::{Ran, Workplace, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::{PrepareOutcome, Prepared, Session};
use std::{
    fs,
    process::{Child, Stdio},
};

const SETTINGS: [(&str, &str); 4] = [
    ("proc/sys/vm/swappiness", "60\n"),
    (
        "sys/kernel/mm/transparent_hugepage/enabled",
        "always [madvise] never\n",
    ),
    (
        "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
        "schedutil\n",
    ),
    (
        "sys/devices/system/cpu/cpufreq/policy4/scaling_governor",
        "performance\n",
    ),
];

const PREPARE: &str = "[prepare]\ngovernor = \"performance\"\ntransparent_hugepage = \"never\"\n\
                       swappiness = 10\ndrop_caches = true\nsettle = { limit = \"1s\" }\n";

const AS_FOUND: [&str; 4] = ["60", "madvise", "schedutil", "performance"];
const PREPARED: [&str; 4] = ["10", "never", "performance", "performance"];

/// A machine of files, and a plan that prepares it.
pub(crate) struct Machine(pub(crate) Workplace);

impl Machine {
    pub(crate) fn new(more: &str) -> Self {
        let place = Workplace::new();
        let others = [
            ("proc/sys/vm/drop_caches", "0\n"),
            ("proc/sys/kernel/random/boot_id", "this-boot\n"),
        ];
        for (file, value) in SETTINGS.iter().chain(&others) {
            let file = place.path("machine").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, value).unwrap();
        }
        let h2 = place.run(&["plan", "show", "h2"]).ended(0).out();
        let plan = h2.replace("[workload]", &format!("{PREPARE}{more}\n[workload]"));
        fs::write(place.path("my.toml"), plan).unwrap();
        Self(place)
    }

    /// The settings as they are now.
    fn settings(&self) -> [String; 4] {
        SETTINGS.map(|(file, _)| {
            let text = fs::read_to_string(self.0.path("machine").join(file)).unwrap();
            let chosen = text.split_once('[').and_then(|it| it.1.split_once(']'));
            chosen.map_or(text.as_str(), |it| it.0).trim().to_owned()
        })
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.0.command(args);
        command.env("SPILLPOINT_SETTINGS_ROOT", self.0.path("machine"));
        // Programs of the test's own come first.
        let bin = self.0.path("bin");
        command.env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display()),
        );
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.start(args).wait_with_output().unwrap())
    }

    /// A session that is being measured, on the machine as the plan wants it.
    pub(crate) fn under_way(&self) -> Child {
        let child = self.start(RUN);
        let session = wait_for("a session", || {
            Session::open(&self.0.path("results/latest")).ok()
        });
        let run = session.run_dirs().next().unwrap();
        wait_for("a run", || run.requests().is_file().then_some(()));
        assert_eq!(self.settings(), PREPARED);
        child
    }

    pub(crate) fn prepared(&self) -> Vec<Prepared> {
        self.0.latest().manifest.prepared
    }
}

pub(crate) const RUN: &[&str] = &[
    "run",
    "my.toml",
    "--quick",
    "--users",
    "1",
    "--duration",
    "2s",
    "--prompt-tokens",
    "32",
    "--max-tokens",
    "4",
];

pub(crate) fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn the_machine_is_prepared_for_the_session_and_then_as_it_was() {
    let machine = Machine::new("");
    Ran(machine.under_way().wait_with_output().unwrap()).ended(0);
    assert_eq!(machine.settings(), AS_FOUND);
    let dropped = machine.0.path("machine/proc/sys/vm/drop_caches");
    assert_eq!(fs::read_to_string(dropped).unwrap(), "3\n");
    let told: Vec<_> = machine
        .prepared()
        .into_iter()
        .map(|it| (it.what, it.before, it.after, it.outcome))
        .collect();
    let value = |text: &str| Some(text.to_owned());
    let expected = [
        ("governor of policy0", "schedutil", "performance"),
        ("governor of policy4", "performance", "performance"),
        ("transparent_hugepage", "madvise", "never"),
        ("swappiness", "60", "10"),
    ];
    for (told, (what, before, after)) in told.iter().zip(expected) {
        let outcome = match before == after {
            true => PrepareOutcome::AsWanted,
            false => PrepareOutcome::Done,
        };
        assert_eq!(
            *told,
            (what.to_owned(), value(before), value(after), outcome)
        );
    }
    assert_eq!(told[4].3, PrepareOutcome::Done, "drop_caches");
    let run = machine.0.latest().run_dirs().next().unwrap();
    let log = fs::read_to_string(run.log()).unwrap();
    assert!(log.contains("quiet"), "{log}");
}

#[test]
fn ctrl_c_puts_the_machine_back() {
    let machine = Machine::new("");
    let child = machine.under_way();
    send(&child, Signal::SIGINT);
    Ran(child.wait_with_output().unwrap()).ended(1);
    assert_eq!(machine.settings(), AS_FOUND);
}

#[test]
fn after_a_kill_restore_puts_the_machine_back() {
    let machine = Machine::new("");
    let mut child = machine.under_way();
    let busy = machine.run(&["restore"]).ended(2).err();
    assert!(busy.contains("still runs"), "{busy}");
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert_eq!(machine.settings(), PREPARED);
    // Someone else's change since is left alone.
    let swappiness = machine.0.path("machine/proc/sys/vm/swappiness");
    fs::write(&swappiness, "33\n").unwrap();
    let told = machine.run(&["restore"]).ended(0).out();
    assert!(
        told.contains("scaling_governor is schedutil again"),
        "{told}"
    );
    assert!(
        told.contains("swappiness was 60 before, and is 33"),
        "{told}"
    );
    assert_eq!(
        machine.settings(),
        ["33", "madvise", "schedutil", "performance"]
    );
    let told = machine.run(&["restore"]).ended(0).out();
    assert!(told.contains("nothing to restore"), "{told}");
}

#[test]
fn after_a_kill_the_next_start_puts_the_machine_back() {
    let machine = Machine::new("");
    let mut child = machine.under_way();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // It fails for another reason, and puts back all the same.
    let args = ["run", "h2", "--quick", "--url", "http://127.0.0.1:9"];
    let told = machine.run(&args).ended(2).err();
    assert!(told.contains("a session was killed"), "{told}");
    assert_eq!(machine.settings(), AS_FOUND);
}

#[test]
fn a_setting_does_not_outlive_a_boot_and_is_not_put_back_after_it() {
    let machine = Machine::new("");
    let mut child = machine.under_way();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let boot = machine.0.path("machine/proc/sys/kernel/random/boot_id");
    fs::write(boot, "another-boot\n").unwrap();
    machine.run(&["restore"]).ended(0);
    assert_eq!(machine.settings(), PREPARED);
}

#[test]
fn what_cannot_be_done_is_left_out_with_a_word_or_refused_where_it_is_required() {
    let machine = Machine::new("");
    fs::remove_file(machine.0.path("machine/proc/sys/vm/swappiness")).unwrap();
    let told = machine.run(RUN).ended(0).err();
    assert!(told.contains("swappiness is left as it is"), "{told}");
    let prepared = machine.prepared();
    let swappiness = prepared.iter().find(|it| it.what == "swappiness").unwrap();
    assert!(matches!(swappiness.outcome, PrepareOutcome::Skipped(_)));

    let machine = Machine::new("required = true\n");
    fs::remove_dir_all(machine.0.path("machine/proc/sys/vm")).unwrap();
    let refused = machine.run(RUN).ended(2).err();
    assert!(refused.contains("requires"), "{refused}");
    let governor = machine.0.path("machine").join(SETTINGS[2].0);
    assert_eq!(
        fs::read_to_string(governor).unwrap().trim(),
        "schedutil",
        "what was done before is undone"
    );
    assert!(!machine.0.path("results/latest").exists());
}
