//! Our figures beside those of `iostat` and `mpstat`, over the same interval, under a real mixed
//! load from `fio`.
//!
//! Needs the three tools, so that it runs only where SPILLPOINT_REAL_TOOLS=1 says they are there;
//! `cargo xtask test` does.

use clock::{SessionClock, SessionNs};
use probe::{Probes, Roots, SampleInterval, Sampler, device};
use record::{Column, CoreRow, CpuTimes, Device, TelemetryRow, Value};
use serde_json::Value as Json;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const SECONDS: u64 = 6;

/// What both tools said, and when each was done.
struct Theirs {
    iostat: (Json, SessionNs),
    mpstat: (Json, SessionNs),
}

struct Ours {
    columns: Vec<Column>,
    ticks: Vec<(TelemetryRow, Vec<CoreRow>)>,
}

#[test]
fn our_figures_agree_with_iostat_and_mpstat() {
    if std::env::var("SPILLPOINT_REAL_TOOLS").as_deref() != Ok("1") {
        eprintln!("skipped: SPILLPOINT_REAL_TOOLS=1 would compare with fio, iostat and mpstat");
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let under_test = device::resolve(&Roots::default(), folder.path());
    let Some(disk) = under_test.name.clone() else {
        eprintln!("skipped: {}", under_test.why_not.unwrap_or_default());
        return;
    };
    let clock = SessionClock::start();
    let probes = Probes::open(&Roots::default(), Some(&under_test));
    let columns = probes.columns().to_vec();
    let (send, received) = mpsc::channel();
    let interval = SampleInterval::new(Duration::from_millis(10)).unwrap();
    let mut fio = fio(folder.path());
    // The first seconds lay the file out.
    thread::sleep(Duration::from_secs(3));
    let sampler = Sampler::start(probes, interval, clock, move |row, cores| {
        let _ = send.send((row.clone(), cores.to_vec()));
    })
    .unwrap();
    thread::sleep(Duration::from_millis(100));
    let theirs = run_both(&disk, clock);
    thread::sleep(Duration::from_millis(100));
    sampler.stop();
    fio.kill().unwrap();
    fio.wait().unwrap();
    let ours = Ours {
        columns,
        ticks: received.iter().collect(),
    };
    let mut report = compare_disk(&ours, &theirs.iostat, &disk);
    report.extend(compare_cores(&ours, &theirs.mpstat));
    let table: Vec<_> = report.iter().map(Pair::to_string).collect();
    eprintln!("{}", table.join("\n"));
    assert!(report.iter().all(Pair::agrees), "{}", table.join("\n"));
    let reads = report.iter().find(|pair| pair.what == "r/s").unwrap();
    assert!(reads.ours > 100.0, "the load was real");
}

fn fio(folder: &Path) -> Child {
    let job = [
        "--name=mixed",
        // In one process, which can be ended by its id.
        "--thread",
        "--rw=randrw",
        "--bs=16k",
        "--size=256m",
        "--direct=1",
        "--ioengine=libaio",
        "--iodepth=8",
        "--rate_iops=1500,500",
        "--time_based",
        "--runtime=60",
        "--randseed=1",
    ];
    let mut command = Command::new("fio");
    command.args(job).current_dir(folder).stdout(Stdio::null());
    command.spawn().expect("fio is installed")
}

fn run_both(disk: &str, clock: SessionClock) -> Theirs {
    let seconds = SECONDS.to_string();
    let run = move |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("LC_ALL", "C");
        let output = command.output().expect("sysstat is installed");
        let at = clock.now();
        let json = serde_json::from_slice(&output.stdout).expect("sysstat prints JSON");
        (json, at)
    };
    thread::scope(|scope| {
        let iostat = scope.spawn(|| {
            run(
                "iostat",
                &["-x", "-y", "-d", "-o", "JSON", disk, &seconds, "1"],
            )
        });
        let mpstat = scope.spawn(|| run("mpstat", &["-P", "ALL", "-o", "JSON", &seconds, "1"]));
        Theirs {
            iostat: iostat.join().expect("iostat ran"),
            mpstat: mpstat.join().expect("mpstat ran"),
        }
    })
}

impl Ours {
    /// How far a counter came in the `SECONDS` before `end`, on a straight line between ticks.
    fn growth(&self, end: SessionNs, value: impl Fn(&(TelemetryRow, Vec<CoreRow>)) -> u64) -> f64 {
        let at = |time: i64| {
            let after = self.ticks.partition_point(|(row, _)| row.t.0 <= time);
            let (first, last) = (&self.ticks[after - 1], &self.ticks[after]);
            let share = (time - first.0.t.0) as f64 / (last.0.t - first.0.t) as f64;
            value(first) as f64 + share * (value(last) as f64 - value(first) as f64)
        };
        at(end.0) - at(end.0 - SECONDS as i64 * 1_000_000_000)
    }
}

/// One figure as both have it.
struct Pair {
    what: String,
    ours: f64,
    theirs: f64,
    /// Differences up to this are the tool's own rounding.
    floor: f64,
}

impl Pair {
    fn agrees(&self) -> bool {
        let difference = (self.ours - self.theirs).abs();
        difference <= self.floor.max(0.02 * self.theirs.abs())
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.agrees() { "" } else { "   <-- differs" };
        let Self {
            what, ours, theirs, ..
        } = self;
        write!(f, "{what:12} ours {ours:12.3}   theirs {theirs:12.3}{mark}")
    }
}

fn compare_disk(ours: &Ours, (json, end): &(Json, SessionNs), disk: &str) -> Vec<Pair> {
    let theirs = json
        .pointer("/sysstat/hosts/0/statistics/0/disk/0")
        .expect("iostat shows the disk");
    let growth = |field: Device| {
        let column = Column::Device(disk.to_owned(), field);
        let place = ours.columns.iter().position(|other| *other == column);
        let place = place.expect("every disk has every column");
        ours.growth(*end, |(row, _)| match row.values[place] {
            Value::Int(count) => count,
            other => panic!("{column} is {other:?}"),
        })
    };
    let per_second = |field| growth(field) / SECONDS as f64;
    let pairs = [
        ("r/s", per_second(Device::ReadsCount), 0.5),
        ("w/s", per_second(Device::WritesCount), 0.5),
        ("rkB/s", per_second(Device::ReadBytes) / 1024.0, 1.0),
        ("wkB/s", per_second(Device::WriteBytes) / 1024.0, 1.0),
        ("rrqm/s", per_second(Device::ReadMergesCount), 0.5),
        (
            "r_await",
            growth(Device::ReadTimeMs) / growth(Device::ReadsCount),
            0.01,
        ),
        (
            "w_await",
            growth(Device::WriteTimeMs) / growth(Device::WritesCount),
            0.01,
        ),
        ("aqu-sz", per_second(Device::WeightedIoTimeMs) / 1e3, 0.01),
        // iostat has a hundredth of a percent, the kernel a tick of up to 10 ms at each end.
        ("util", per_second(Device::IoTimeMs) / 10.0, 0.2),
    ];
    let pair = |(what, ours, floor): (&str, f64, f64)| Pair {
        what: what.to_owned(),
        ours,
        theirs: theirs[what].as_f64().expect("iostat prints a number"),
        floor,
    };
    pairs.into_iter().map(pair).collect()
}

fn compare_cores(ours: &Ours, (json, end): &(Json, SessionNs)) -> Vec<Pair> {
    const NAMES: [&str; 8] = [
        "usr", "nice", "sys", "iowait", "irq", "soft", "steal", "idle",
    ];
    let cores = json
        .pointer("/sysstat/hosts/0/statistics/0/cpu-load")
        .and_then(Json::as_array)
        .expect("mpstat shows the cores");
    let single = cores.iter().filter_map(|core| {
        let number: u32 = core["cpu"].as_str()?.parse().ok()?;
        Some((number, core))
    });
    single
        .flat_map(|(number, theirs)| {
            let times = |cores: &[CoreRow]| {
                let core = cores.iter().find(|core| core.core == number);
                core.map_or_else(CpuTimes::default, |core| core.times)
                    .fields()
            };
            let spent: [f64; 8] =
                std::array::from_fn(|index| ours.growth(*end, |(_, cores)| times(cores)[index]));
            let all: f64 = spent.iter().sum();
            NAMES.into_iter().zip(spent).map(move |(name, spent)| Pair {
                what: format!("cpu{number} {name}"),
                ours: 100.0 * spent / all,
                theirs: theirs[name].as_f64().expect("mpstat prints a number"),
                // Percent of a core.
                floor: 2.0,
            })
        })
        .collect()
}
