//! What watching a host costs: CPU time and lateness at 1, 10 and 100 ticks a second, with every
//! sensor on that this host has and a server's metrics polled, all rows written as a run's are;
//! beside it the CPU time of `iostat 1`, `mpstat -P ALL 1` and `vmstat 1` over the same seconds.
//!
//! Each rate is measured twice: on this host, and on the /proc and /sys of a machine of 20 cores,
//! which lie in plain files: what the kernel does to make the text of its own is not in these.
//! Block latency is measured apart: it costs per request to a drive, not per tick.
//!
//! `cargo xtask bench probe [SECONDS]`

use clock::{MonoNs, SessionClock};
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};
use probe::{
    Probes, Roots, SampleInterval, Sampled, Sampler,
    block_latency::BlockLatency,
    device, gpu,
    metrics::{Format, Poller, Source},
    page_cache::Files,
    server,
};
use record::{Host, ServerWriter, TelemetryWriter, Value};
use std::{
    error::Error,
    fs::OpenOptions,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A machine of 20 cores.
const TWENTY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gb10");
/// What a server of today answers: some hundred series.
const ANSWER: &str = include_str!("../tests/fixtures/metrics/vllm.txt");

#[expect(clippy::print_stdout, reason = "a bench's output is what it is for")]
fn main() -> Outcome<()> {
    // `cargo bench` adds a flag of its own.
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let seconds: u32 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let tools = tools();
    println!(
        "tree        hz  ticks missed  CPU/tick  of a core  late p50    p99    max  beside   host busy"
    );
    for (name, roots) in [
        ("this host", Roots::default()),
        ("20 cores", Roots::under(Path::new(TWENTY))),
    ] {
        for hz in [1, 10, 100] {
            let cost = measure(&roots, hz, seconds, &tools)?;
            println!("{name:10} {}", cost.line(hz));
        }
    }
    println!("{}", block_latency());
    println!(
        "targets: under 0.5 % of a core at 10 Hz and under 3 % at 100 Hz, p99 under 1000 us on an \
         idle machine\nbeside: {} together, of a core, their start included",
        match &tools[..] {
            [] => "no iostat, mpstat or vmstat is installed: nothing".to_owned(),
            tools => tools
                .iter()
                .map(|words| words.join(" "))
                .collect::<Vec<_>>()
                .join(", "),
        }
    );
    Ok(())
}

/// One measured rate.
struct Cost {
    sampled: Sampled,
    cpu: Duration,
    wall: Duration,
    /// How late each tick was, sorted.
    late_us: Vec<u64>,
    /// The CPU time of the other tools.
    beside: Option<Duration>,
    /// What all CPUs did meanwhile: a late tick of a busy host says little of the sampler.
    busy_pct: f64,
}

impl Cost {
    fn line(&self, hz: u32) -> String {
        let facts = &self.sampled.facts;
        let ticks = self.late_us.len();
        let of_a_core = |cpu: Duration| 100.0 * cpu.as_secs_f64() / self.wall.as_secs_f64();
        let late = |percent: usize| {
            // By nearest rank.
            let rank = (self.late_us.len() * percent).div_ceil(100).max(1);
            self.late_us.get(rank - 1).copied().unwrap_or_default()
        };
        let beside = self
            .beside
            .map_or("-".to_owned(), |cpu| format!("{:.3} %", of_a_core(cpu)));
        format!(
            "{hz:3} {ticks:6} {:6} {:6.1} us {:8.3} % {:6} us {:6} {:6}  {beside:7}  {:5.1} %  ({:?})",
            facts.ticks_due - facts.ticks_taken,
            self.cpu.as_secs_f64() * 1e6 / ticks as f64,
            of_a_core(self.cpu),
            late(50),
            late(99),
            late(100),
            self.busy_pct,
            self.sampled.urgency,
        )
    }
}

fn measure(roots: &Roots, hz: u32, seconds: u32, tools: &[Vec<String>]) -> Outcome<Cost> {
    let folder = tempfile::tempdir()?;
    let probes = every_sensor(roots)?;
    let mut writer = TelemetryWriter::create(folder.path(), probes.columns())?;
    let mut answers = ServerWriter::create(folder.path())?;
    let interval = SampleInterval::new(Duration::from_secs(1) / hz)?;
    let clock = SessionClock::start();
    let late = Arc::new(Mutex::new(Vec::with_capacity(
        (hz * (seconds + 3)) as usize,
    )));
    let seen = Arc::clone(&late);
    let (source, serving) = serve()?;

    let sampler = Sampler::start(probes, interval, clock, move |row, cores| {
        // A full disk shows in the count of rows.
        let _ = writer.tick(row, cores);
        if let (Value::Int(late), Ok(mut seen)) = (row.values[Host::LateUs as usize], seen.lock()) {
            seen.push(late);
        }
    })?;
    let poller = Poller::start(vec![source], Duration::from_secs(1), clock, move |answer| {
        let _ = answers.answer(&answer.rows());
    })?;
    // What is done once, such as loading the GPU's driver, is no part of a second's cost.
    thread::sleep(Duration::from_secs(2));
    let host = idle_and_all()?;
    let children = start(tools, seconds)?;
    let others = children_time()?;
    late.lock().map_err(|_| "the sink panicked")?.clear();
    let (cpu, began, served) = (cpu_time()?, MonoNs::now(), serving.load(Ordering::Relaxed));
    thread::sleep(Duration::from_secs(seconds.into()));
    let served = Duration::from_nanos(serving.load(Ordering::Relaxed) - served);
    let (cpu, wall) = (cpu_time()? - cpu - served, MonoNs::now().since(began));
    let mut late_us = late.lock().map_err(|_| "the sink panicked")?.clone();
    let sampled = sampler.stop();
    poller.stop();

    let (idle, all) = idle_and_all()?;
    let busy_pct = 100.0 - 100.0 * (idle - host.0) as f64 / (all - host.1).max(1) as f64;
    for mut child in children {
        child.wait()?;
    }
    let beside = children_time()? - others;
    late_us.sort_unstable();
    Ok(Cost {
        sampled,
        cpu,
        wall,
        late_us,
        beside: (!tools.is_empty()).then_some(beside),
        busy_pct,
    })
}

fn every_sensor(roots: &Roots) -> Outcome<Probes> {
    let program = std::env::current_exe()?;
    let under_test = device::resolve(roots, &program);
    let myself = server::by_pid(&Roots::default(), std::process::id())?;
    let probes = Probes::open(roots, Some(&under_test))
        .with_server(&Roots::default(), myself)
        .with_files(Files::open(&program)?);
    Ok(match gpu::find() {
        Ok(gpus) => probes.with_gpus(&gpus),
        Err(_) => probes,
    })
}

/// What timing every request to the drive costs: nothing but its programs in the kernel.
fn block_latency() -> String {
    let measured = || -> Outcome<String> {
        let watch = BlockLatency::start(&Roots::default())?;
        let (began, reads) = (MonoNs::now(), read_around_the_cache()?);
        let wall = MonoNs::now().since(began);
        let cost = watch.cost().ok_or("the kernel counts no programs' cost")?;
        Ok(format!(
            "{:.0} ns a program, {:.1} a request; {reads} reads of 4 KiB at {:.0} reads/s",
            cost.time.as_nanos() as f64 / cost.runs as f64,
            cost.runs as f64 / f64::from(reads),
            f64::from(reads) / wall.as_secs_f64(),
        ))
    };
    match measured() {
        Ok(cost) => format!("block latency: {cost}"),
        Err(why_not) => format!("block latency: off: {why_not}"),
    }
}

/// Reads this program from its drive, several times over; gives the number of reads.
fn read_around_the_cache() -> Outcome<u32> {
    const BLOCK: usize = 4096;
    const READS: u32 = 20_000;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_DIRECT);
    let file = options.open(std::env::current_exe()?)?;
    let blocks = file.metadata()?.len() / BLOCK as u64;
    // Direct reads need aligned memory.
    let mut room = vec![0; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK);
    for number in 0..READS {
        let at = u64::from(number) % blocks * BLOCK as u64;
        file.read_exact_at(&mut room[start..start + BLOCK], at)?;
    }
    Ok(READS)
}

/// A server that answers with its metrics, and the CPU time of its own thread, in nanoseconds.
fn serve() -> Outcome<(Source, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/metrics", listener.local_addr()?);
    let spent = Arc::new(AtomicU64::new(0));
    let own = Arc::clone(&spent);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A poller that goes away is no concern of this server's.
            let _ = answer(stream);
            if let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) {
                let time = Duration::from(time).as_nanos();
                own.store(u64::try_from(time).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        }
    });
    let source = Source {
        url: url.parse()?,
        format: Format::Prometheus,
    };
    Ok((source, spent))
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    let length = ANSWER.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + ANSWER).as_bytes())
}

/// The other tools that are installed, as they would be run.
fn tools() -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let all = ["iostat 1", "mpstat -P ALL 1", "vmstat 1"].map(words);
    let answers = |words: &Vec<String>| {
        let mut command = Command::new(&words[0]);
        command
            .arg("-V")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok()
    };
    all.into_iter().filter(answers).collect()
}

fn start(tools: &[Vec<String>], seconds: u32) -> Outcome<Vec<Child>> {
    let child = |words: &Vec<String>| {
        // The first report of iostat and vmstat is of the time since boot.
        let reports = if words[0] == "mpstat" {
            seconds
        } else {
            seconds + 1
        };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(reports.to_string());
        Ok(command.stdout(Stdio::null()).spawn()?)
    };
    tools.iter().map(child).collect()
}

/// The ticks that this host's CPUs were idle, and all their ticks.
fn idle_and_all() -> Outcome<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // user nice system idle iowait irq softirq steal; the guests' are in user.
    let ticks = stat.split_whitespace().skip(1).take(8).map(str::parse);
    let ticks: Vec<u64> = ticks.collect::<Result<_, _>>()?;
    Ok((ticks.iter().skip(3).take(2).sum(), ticks.iter().sum()))
}

/// The CPU time of all threads of this process.
fn cpu_time() -> nix::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// The CPU time of all children that have ended.
fn children_time() -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let times = [usage.user_time(), usage.system_time()];
    let micros: i64 = times
        .iter()
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .sum();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}
