//! The sampler on this machine: its schedule, its rows as `record` keeps them, its end.

use clock::SessionClock;
use probe::{Probes, Roots, SampleInterval, Sampler, device, server};
use record::{Column, Device, Host, Server, TelemetryWriter, Value};
use std::{
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

fn interval(ms: u64) -> SampleInterval {
    SampleInterval::new(Duration::from_millis(ms)).expect("in range")
}

fn this_host() -> Probes {
    Probes::open(&Roots::default(), None)
}

#[test]
fn rows_are_on_the_schedule_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = device::resolve(&Roots::default(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let probes = Probes::open(&Roots::default(), Some(&here));
    let mut writer = TelemetryWriter::create(folder.path(), probes.columns()).unwrap();
    let sampler = Sampler::start(
        probes,
        interval(20),
        SessionClock::start(),
        move |row, cores| {
            writer.tick(row, cores).unwrap();
        },
    )
    .unwrap();
    thread::sleep(Duration::from_millis(500));
    let live = sampler.live();
    let sampled = sampler.stop();
    assert!(live.mem_available_bytes.is_some_and(|bytes| bytes > 0));
    assert_eq!(live.device_read_mb_s.is_some(), here.name.is_some());

    let telemetry = folder.path().join("telemetry.csv");
    let lines = std::fs::read_to_string(telemetry).unwrap();
    assert_eq!(lines.lines().count() as u64, 1 + sampled.facts.ticks_taken);
    assert!(sampled.facts.ticks_due >= 24, "{:?}", sampled.facts);
    assert_eq!(sampled.facts.interval_ms, 20.0);
    assert!(sampled.facts.late_p99_us.is_some());
}

#[test]
fn a_sink_that_stalls_costs_no_tick_and_moves_no_deadline() {
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        this_host(),
        interval(50),
        SessionClock::start(),
        move |row, _| {
            let _ = send.send((row.tick, row.t));
            if row.tick == 2 {
                // Until the next ticks must have been taken.
                thread::sleep(Duration::from_millis(230));
            }
        },
    )
    .unwrap();
    let mut ticks: Vec<_> = received.iter().take(5).collect();
    let sampled = sampler.stop();
    // What had been taken when it was stopped has arrived, too.
    ticks.extend(received);
    assert_eq!(ticks.len() as u64, sampled.facts.ticks_taken);
    for (tick, t) in &ticks {
        let since_first = *t - ticks[0].1;
        // A millisecond of grace: the first tick may itself have been late.
        assert!(
            since_first >= 50_000_000 * *tick as i64 - 1_000_000,
            "{ticks:?}"
        );
    }
}

#[test]
fn counters_do_not_fall_and_cores_sum_to_the_whole() {
    let probes = this_host();
    let place = |column: Column| {
        let columns = probes.columns();
        columns.iter().position(|other| *other == column)
    };
    let disk = probes.columns().iter().find_map(|column| match column {
        Column::Device(name, _) => Some(name.clone()),
        _ => None,
    });
    let mut places = vec![
        place(Column::Host(Host::CpuUsrMs)),
        place(Column::Host(Host::PgmajfaultCount)),
    ];
    places.extend(disk.map(|disk| place(Column::Device(disk, Device::ReadBytes))));
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        probes,
        interval(20),
        SessionClock::start(),
        move |row, cores| {
            let _ = send.send((row.clone(), cores.to_vec()));
        },
    )
    .unwrap();
    let ticks: Vec<_> = received.iter().take(10).collect();
    sampler.stop();
    for pair in ticks.windows(2) {
        for place in places.iter().flatten() {
            let of = |tick: usize| match pair[tick].0.values[*place] {
                record::Value::Int(value) => value,
                other => panic!("{other:?}"),
            };
            assert!(of(0) <= of(1));
        }
    }
    for (row, cores) in &ticks {
        assert!(cores.iter().all(|core| core.t == row.t));
        assert!(!cores.is_empty());
    }
}

#[test]
fn a_slow_sampler_stops_soon() {
    let sampler = Sampler::start(
        this_host(),
        interval(1000),
        SessionClock::start(),
        |_, _| {},
    )
    .unwrap();
    thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    let sampled = sampler.stop();
    assert!(asked.elapsed() < Duration::from_millis(500));
    assert_eq!((sampled.facts.ticks_due, sampled.facts.ticks_taken), (1, 1));
}

#[test]
fn a_child_descends_from_its_parent_and_not_the_other_way() {
    let roots = Roots::default();
    let child = Waiting::start();
    let child = server::by_pid(&roots, child.0.id()).unwrap();
    let parent = server::by_pid(&roots, std::process::id()).unwrap();
    assert!(child.descends_from(&roots, child));
    assert!(!parent.descends_from(&roots, child));
}

#[test]
fn a_sensor_that_is_read_once_a_second_is_read_once_more_at_the_end() {
    let roots = Roots::default();
    let server = Waiting::start();
    let root = server::by_pid(&roots, server.0.id()).unwrap();
    let probes = this_host().with_server(&roots, root);
    let threads = Column::Server(Server::ThreadsCount);
    let threads = probes.columns().iter().position(|it| *it == threads);
    let threads = threads.unwrap();
    let clock = SessionClock::start();
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(probes, interval(50), clock, move |row, _| {
        if row.values[threads] != Value::Absent {
            let _ = send.send(row.t);
        }
    })
    .unwrap();
    received.recv_timeout(Duration::from_secs(10)).unwrap();
    let asked = clock.now();
    sampler.stop();
    assert!(received.iter().any(|read| read > asked));
}

#[test]
fn dropping_ends_the_thread_and_the_sink() {
    let ticks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ticks);
    let sampler = Sampler::start(
        this_host(),
        interval(10),
        SessionClock::start(),
        move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
        },
    )
    .unwrap();
    drop(sampler);
    assert_eq!(Arc::strong_count(&ticks), 1);
}

#[test]
fn this_path_has_a_device_or_a_reason() {
    let device = device::resolve(&Roots::default(), Path::new(env!("CARGO_MANIFEST_DIR")));
    assert_ne!(
        device.name.is_some(),
        device.why_not.is_some(),
        "{device:?}"
    );
    assert!(device.file_system.is_some(), "{device:?}");
    let memory = device::resolve(&Roots::default(), Path::new("/dev/shm/not-there-yet"));
    if memory.file_system.as_deref() == Some("tmpfs") {
        assert_eq!(memory.name, None);
    }
}

/// A process of ours that waits, ended and reaped when dropped.
struct Waiting(Child);

impl Waiting {
    fn start() -> Self {
        let sleep = Command::new("sleep").arg("60").spawn();
        Self(sleep.expect("sleep can be started"))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// Not this process itself: of that, QEMU's user emulation tells each thread another start
// (its own), so that the thread that samples would take it for another of its number.
#[test]
fn a_process_is_sampled_as_a_server() {
    let roots = Roots::default();
    let server = Waiting::start();
    let root = server::by_pid(&roots, server.0.id()).unwrap();
    let probes = this_host().with_server(&roots, root);
    let columns = probes.columns().to_vec();
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        probes,
        interval(100),
        SessionClock::start(),
        move |row, _| {
            let _ = send.send(row.values.clone());
        },
    )
    .unwrap();
    let value = |values: &[Value], field| {
        let column = Column::Server(field);
        let place = columns.iter().position(|other| *other == column);
        values[place.unwrap()]
    };
    let taken = |values: &Vec<Value>| value(values, Server::ThreadsCount) != Value::Absent;
    let row = received.iter().take(20).find(taken).unwrap();
    sampler.stop();
    assert_eq!(value(&row, Server::ProcessesCount), Value::Int(1));
    let Value::Int(resident) = value(&row, Server::RssAnonBytes) else {
        panic!("every process has memory");
    };
    assert!(resident > 4096);
}
