//! The disk queue beside fio: the same file, blocks and depth, in turns.
//!
//! ```text
//! cargo xtask bench disk [--file FILE] [--size 512MiB] [--block 2052KiB] [--depth 32] [--rounds 12]
//! ```
//!
//! Each side moves every block of the file once, in random order, with O_DIRECT. A round runs the
//! three of them forwards and backwards (ABCCBA), so that a disk that becomes slower or faster
//! with time favours none. fio runs without its per-request clocks (`gtod_reduce`), at its leanest.
//! The file is made where cargo puts files of tests, or where `--file` says, and removed
//! afterwards; one that exists is refused.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use anyhow::{Context as _, Result, bail, ensure};
use engine::{
    Bytes,
    storage::disk::{
        Buffer, Completion, Direction, DiskQueue, IoEngine, OnDone, QueueConfig, Request,
    },
};
use nix::{
    libc,
    sys::resource::{UsageWho, getrusage},
};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use report::stats::paired_effect;
use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

/// What is moved, and how.
struct Setup {
    file: PathBuf,
    block: u64,
    blocks: u64,
    depth: u32,
    rounds: u32,
}

/// One pass over the file.
#[derive(Clone, Copy)]
struct Pass {
    bytes: u64,
    wall: Duration,
    cpu: Duration,
}

/// Who does the pass.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Fio,
    Uring,
    Threads,
}

const SIDES: [Side; 3] = [Side::Fio, Side::Uring, Side::Threads];

/// As in the KV tier: while a block is handed over, the next is waiting in the queue, which keeps
/// no more under way than it is deep.
const BUFFERS_PER_DEPTH: u32 = 2;

/// The targets, as ratios to fio.
const LEAST_BANDWIDTH: f64 = 0.95;
const MOST_CPU: f64 = 1.0;

fn main() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    // Without it this is `cargo test --all-targets`, and nothing is to be measured.
    if !args.iter().any(|arg| arg == "--bench") {
        return Ok(());
    }
    args.retain(|arg| arg != "--bench");
    let setup = Setup::parse(&args)?;
    let version = fio_version()?;
    let made = MadeFile::make(&setup)?;
    println!(
        "{}: {} blocks of {}, depth {}, {} rounds, O_DIRECT; {version}\n",
        setup.file.display(),
        setup.blocks,
        Bytes(setup.block),
        setup.depth,
        setup.rounds,
    );
    for direction in [Direction::Read, Direction::Write] {
        compare(&setup, direction)?;
    }
    drop(made);
    Ok(())
}

impl Setup {
    fn parse(args: &[String]) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (mut file, mut size) = (folder.join("bench-disk"), Bytes(512 << 20));
        // A KV block of 16 tokens of llama-3.1-8b, and its frame.
        let (mut block, mut depth, mut rounds) = (Bytes((2 << 20) + 4096), 32, 12);
        for pair in args.chunks(2) {
            let [name, value] = pair else {
                bail!("{} has no value", pair[0]);
            };
            let number = || value.parse::<u32>().with_context(|| name.clone());
            let bytes = || value.parse::<Bytes>().map_err(anyhow::Error::msg);
            match name.as_str() {
                "--file" => file = PathBuf::from(value),
                "--size" => size = bytes()?,
                "--block" => block = bytes()?,
                "--depth" => depth = number()?,
                "--rounds" => rounds = number()?,
                _ => bail!("{name} is none of --file, --size, --block, --depth, --rounds"),
            }
        }
        let whole = block.0 > 0 && block.0.is_multiple_of(4096);
        ensure!(whole, "a block is a multiple of 4096 bytes");
        let blocks = size.0 / block.0;
        let enough = depth > 0 && rounds > 0 && blocks >= u64::from(depth);
        ensure!(enough, "the file is to hold a block for each of the depth");
        Ok(Self {
            file,
            block: block.0,
            blocks,
            depth,
            rounds,
        })
    }
}

/// The file, removed when dropped.
struct MadeFile(PathBuf);

impl MadeFile {
    /// Writes every block once: reads and writes of blocks that are only reserved cost otherwise.
    fn make(setup: &Setup) -> Result<Self> {
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).open(&setup.file);
        let file = opened.with_context(|| format!("can't make {}", setup.file.display()))?;
        let made = Self(setup.file.clone());
        file.set_len(setup.block * setup.blocks)?;
        pass(setup, IoEngine::Auto, Direction::Write, 0)?;
        file.sync_all()?;
        Ok(made)
    }
}

impl Drop for MadeFile {
    fn drop(&mut self) {
        // It stays where that fails, and the next run says so.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn fio_version() -> Result<String> {
    match Command::new("fio").arg("--version").output() {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there is no fio on PATH to compare with; install it (apt install fio)")
        }
        Err(error) => Err(error).context("can't start fio"),
    }
}

fn compare(setup: &Setup, direction: Direction) -> Result<()> {
    // A single block: all but starting and ending costs next to nothing.
    let starts: Result<Vec<_>> = (0..5).map(|_| fio(setup, direction, 0, 1)).collect();
    let start = starts?
        .iter()
        .map(|pass| pass.cpu)
        .min()
        .unwrap_or_default();
    let mut passes: [Vec<Pass>; 3] = Default::default();
    for round in 0..setup.rounds {
        for side in SIDES.into_iter().chain(SIDES.into_iter().rev()) {
            let seed = u64::from(round);
            passes[side as usize].push(match side {
                Side::Fio => fio(setup, direction, seed, setup.blocks)?.less(start),
                Side::Uring => pass(setup, IoEngine::Uring, direction, seed)?,
                Side::Threads => pass(setup, IoEngine::Threads, direction, seed)?,
            });
        }
    }
    println!(
        "{direction:?}        GB/s   CPU ms/GB    GB/s of fio's (95 %)          CPU of fio's (95 %)"
    );
    let [fio, ..] = &passes;
    for (side, passes) in SIDES.into_iter().zip(&passes) {
        let all = Pass::sum(passes);
        let (rate, cpu) = (all.gb_per_s(), all.cpu_ms_per_gb());
        print!("  {:9} {rate:6.3} {cpu:11.1}", side.name());
        if side != Side::Fio {
            let rate = Ratio::of(passes, fio, Pass::gb_per_s);
            let cpu = Ratio::of(passes, fio, Pass::cpu_ms_per_gb);
            print!(
                "   {} {:9}",
                rate.text(),
                rate.verdict(|r| r >= LEAST_BANDWIDTH)
            );
            print!("   {} {}", cpu.text(), cpu.verdict(|r| r <= MOST_CPU));
        }
        println!();
    }
    println!("  target                      at least 95 %                 at most 100 %\n");
    Ok(())
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Fio => "fio",
            Side::Uring => "io_uring",
            Side::Threads => "threads",
        }
    }
}

/// Ours by fio's, from the ratio of each round.
struct Ratio {
    estimate: f64,
    interval: Option<[f64; 2]>,
}

impl Ratio {
    fn of(ours: &[Pass], fio: &[Pass], figure: fn(&Pass) -> f64) -> Self {
        // A round has each side twice; the difference of logarithms is the logarithm of the ratio.
        let rounds = ours.chunks(2).zip(fio.chunks(2));
        let ratios: Vec<f64> = rounds
            .map(|(ours, fio)| (figure(&Pass::sum(ours)) / figure(&Pass::sum(fio))).ln())
            .collect();
        let effect = paired_effect(&ratios).expect("there is a round at least");
        Self {
            estimate: effect.estimate.exp(),
            interval: effect.interval.map(|bounds| bounds.map(f64::exp)),
        }
    }

    fn text(&self) -> String {
        let percent = |ratio: f64| ratio * 100.0;
        let interval = match self.interval {
            Some([low, high]) => format!("({:.1}–{:.1})", percent(low), percent(high)),
            None => "(too few rounds)".to_owned(),
        };
        format!("{:5.1} % {interval:14}", percent(self.estimate))
    }

    /// Whether a target is reached by the whole interval, or by none of it.
    fn verdict(&self, reached: impl Fn(f64) -> bool) -> &'static str {
        let bounds = self.interval.unwrap_or([0.0, f64::INFINITY]).map(reached);
        match bounds {
            [true, true] => "reached",
            [false, false] => "missed",
            _ => "undecided",
        }
    }
}

impl Pass {
    fn less(self, cpu: Duration) -> Pass {
        Pass {
            cpu: self.cpu.saturating_sub(cpu),
            ..self
        }
    }

    fn sum(passes: &[Pass]) -> Pass {
        Pass {
            bytes: passes.iter().map(|pass| pass.bytes).sum(),
            wall: passes.iter().map(|pass| pass.wall).sum(),
            cpu: passes.iter().map(|pass| pass.cpu).sum(),
        }
    }

    fn gb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e9 / self.wall.as_secs_f64()
    }

    fn cpu_ms_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / (self.bytes as f64 / 1e9)
    }
}

/// A pass by the engine's queue. The CPU time is the process's: caller, queue and kernel workers.
fn pass(setup: &Setup, io: IoEngine, direction: Direction, seed: u64) -> Result<Pass> {
    let (queue, completions) = start(setup, io)?;
    let mut order: Vec<u64> = (0..setup.blocks).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut order = order.into_iter();
    let mut idle = Vec::new();
    for fill in 0..BUFFERS_PER_DEPTH * setup.depth {
        let mut buffer = Buffer::new(setup.block as usize)?;
        buffer.bytes_mut().fill(fill as u8 | 1);
        idle.push(buffer);
    }
    let (cpu, began) = (cpu_of(UsageWho::RUSAGE_SELF)?, Instant::now());
    let mut under_way = 0;
    loop {
        while let Some(buffer) = idle.pop() {
            let Some(block) = order.next() else { break };
            let offset = block * setup.block;
            let ticket = block;
            under_way += 1;
            let accepted = queue.submit(Request {
                ticket,
                direction,
                offset,
                buffer,
            });
            ensure!(accepted, "the queue's threads have died");
        }
        if under_way == 0 {
            break;
        }
        let done = completions.recv()?;
        under_way -= 1;
        done.result?;
        idle.extend(done.buffer);
    }
    Ok(Pass {
        bytes: setup.blocks * setup.block,
        wall: began.elapsed(),
        cpu: cpu_of(UsageWho::RUSAGE_SELF)?.saturating_sub(cpu),
    })
}

fn start(setup: &Setup, io: IoEngine) -> Result<(DiskQueue, mpsc::Receiver<Completion>)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT);
    let file: File = options.open(&setup.file)?;
    let (sender, completions) = mpsc::channel();
    // Err: nobody waits any more, because something else failed.
    let on_done: OnDone = Box::new(move |completion| drop(sender.send(completion)));
    let config = QueueConfig {
        io,
        depth: setup.depth,
        ..QueueConfig::default()
    };
    let queue = DiskQueue::start(file, &setup.file, config, on_done)?;
    Ok((queue, completions))
}

fn cpu_of(who: UsageWho) -> Result<Duration> {
    let usage = getrusage(who)?;
    let micros = |time: nix::sys::time::TimeVal| {
        // CPU times are not negative.
        Duration::from_micros(time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64)
    };
    Ok(micros(usage.user_time()) + micros(usage.system_time()))
}

/// A pass over so many blocks by fio's io_uring engine. The wall time is its own, without its start.
/// The CPU time is its processes', with their start: the percentages that fio prints leave out the
/// kernel's workers, to which every write goes that has to update the file's time.
fn fio(setup: &Setup, direction: Direction, seed: u64, blocks: u64) -> Result<Pass> {
    let kind = match direction {
        Direction::Read => "read",
        Direction::Write => "write",
    };
    let before = cpu_of(UsageWho::RUSAGE_CHILDREN)?;
    let output = Command::new("fio")
        .args(["--name=beside", "--direct=1", "--ioengine=io_uring"])
        .args(["--gtod_reduce=1", "--output-format=json"])
        .arg(format!("--filename={}", escaped(&setup.file)))
        .arg(format!("--rw=rand{kind}"))
        .arg(format!("--bs={}", setup.block))
        .arg(format!("--size={}", setup.block * setup.blocks))
        .arg(format!("--io_size={}", setup.block * blocks))
        .arg(format!("--iodepth={}", setup.depth))
        .arg(format!("--randseed={seed}"))
        .output()
        .context("can't start fio")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "fio failed: {said}");
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("fio's answer is no JSON")?;
    let job = &report["jobs"][0];
    let figure = |value: &serde_json::Value| value.as_f64().context("fio's answer lacks a figure");
    Ok(Pass {
        bytes: figure(&job[kind]["io_bytes"])? as u64,
        wall: Duration::from_secs_f64(figure(&job[kind]["runtime"])? / 1e3),
        cpu: cpu_of(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(before),
    })
}

/// fio takes a colon for the end of a file's name.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(':', "\\:")
}
