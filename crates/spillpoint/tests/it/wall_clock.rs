//! The wall clock is stepped while a run goes on: no time of ours is its.

use crate::harness::{Ran, Workplace, wait_for};
use record::{Outcome, RunDir, Session, Stage, StampSource};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

/// A clock that can be stepped, for a process of ours and its children alone.
struct WallClock {
    library: String,
    step: String,
}

impl WallClock {
    fn build(place: &Workplace) -> Self {
        let library = place.path("wall_clock.so").display().to_string();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/wall_clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o", &library, source, "-ldl"])
            .status();
        assert!(built.unwrap().success());
        let step = place.path("step");
        fs::write(&step, [0; 16]).unwrap();
        let step = step.display().to_string();
        Self { library, step }
    }

    /// From now on it is off by so many seconds.
    fn step(&self, seconds: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let from = i64::try_from(now.unwrap().as_nanos()).unwrap();
        let by = seconds * 1_000_000_000;
        // In place, and in one write: the file is mapped.
        let mut file = fs::File::options().write(true).open(&self.step).unwrap();
        let both = [from.to_ne_bytes(), by.to_ne_bytes()].concat();
        file.write_all(&both).unwrap();
    }
}

/// Whether the gate says that the wall clock held.
fn held(run: &RunDir) -> bool {
    let manifest = run.read_manifest().unwrap();
    let mut gates = manifest.gates.iter();
    let gate = gates.find(|gate| gate.name == "wall_clock").unwrap();
    assert!(gate.measured.is_some());
    gate.passed
}

/// All times of a run lie within it and in order, whatever the wall clock did.
fn undisturbed(run: &RunDir) {
    let manifest = run.read_manifest().unwrap();
    let stages = manifest.stages.unwrap();
    let (rows, torn) = run.read_requests().unwrap();
    assert!(torn.is_none() && rows.len() > 10);
    for row in rows.iter().filter(|row| row.stage == Stage::Measure) {
        assert_eq!(row.outcome, Outcome::Ok, "{row:?}");
        assert!(stages.ramp.start_ns <= row.intended, "{row:?}");
        assert!(row.intended <= row.sent && row.sent <= row.ended, "{row:?}");
        assert!(row.ended <= stages.drain.end_ns, "{row:?}");
        assert!(row.ttfb <= row.ttft && row.ttft <= row.e2e, "{row:?}");
        let whole = Duration::from_nanos((row.ended - row.sent) as u64);
        assert!(row.e2e.unwrap() <= whole, "{row:?}");
    }
    // The kernel's stamps are believed again after a step.
    let last = rows
        .iter()
        .rfind(|row| row.stage == Stage::Measure)
        .unwrap();
    assert_eq!(last.clock, StampSource::Kernel);
    let (telemetry, _) = run.read_telemetry().unwrap();
    assert!(telemetry.times().is_sorted());
    // An hour has 36000 ticks: none were skipped, and none made up.
    let sampling = manifest.sampling.unwrap();
    let sampled_s = sampling.ticks_due as f64 * sampling.interval_ms / 1e3;
    let run_s = (stages.drain.end_ns - stages.ramp.start_ns) as f64 / 1e9;
    assert!(sampled_s >= run_s - 1.0, "{sampling:?}");
    assert!(sampled_s < run_s + 600.0, "{sampling:?}");
}

#[test]
fn a_wall_clock_that_is_stepped_disturbs_nothing_and_is_told() {
    let place = Workplace::new();
    let clock = WallClock::build(&place);
    let args = [
        "run",
        "h2",
        "--quick",
        "--users",
        "2",
        "--repeats",
        "3",
        "--duration",
        "3s",
        "--prompt-tokens",
        "32",
        "--max-tokens",
        "8",
    ];
    let mut command = place.command(&args);
    command.env("LD_PRELOAD", &clock.library);
    command.env("WALL_CLOCK_STEP", &clock.step);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let session = wait_for("a session", || {
        Session::open(&place.path("results/latest")).ok()
    });
    let runs: Vec<RunDir> = session.run_dirs().collect();
    // Back by more than any lag is believed, and then forward by a little.
    for (run, seconds) in runs.iter().zip([-3600, -3595]) {
        wait_for("a measured request", || {
            let (rows, _) = run.read_requests().ok()?;
            rows.iter()
                .any(|row| row.stage == Stage::Measure)
                .then_some(())
        });
        clock.step(seconds);
    }
    let told = Ran(child.wait_with_output().unwrap()).ended(0).out();
    for run in &runs {
        undisturbed(run);
    }
    assert_eq!(
        runs.iter().map(held).collect::<Vec<_>>(),
        [false, false, true]
    );
    assert!(told.contains("gate wall_clock failed in 2 runs"), "{told}");
}
