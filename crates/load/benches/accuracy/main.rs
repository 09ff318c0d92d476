//! The load generator's own error and cost, against a server that knows the truth.
//!
//! The truth server (`engine::truth`) has one CPU to itself, the client another. Each point runs in
//! a process of its own, so that its memory is its own, followed by a client that does next to
//! nothing (`bare`): what a token costs on this machine however it is read.

#![expect(clippy::print_stdout, reason = "a bench prints")]

mod bare;
mod measured;
mod open;
mod table;
mod truth;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, stdin},
    process::{Command, Stdio},
    time::Duration,
};

/// The load generator's error and cost, against a server that knows the truth.
#[derive(Parser)]
#[command(name = "accuracy")]
struct Args {
    /// How long each point is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Only one point: so many users.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    users: Option<u32>,
    /// Only one point: so many tokens a second for each user.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: Option<u32>,
    /// What this process is to be; the bench starts itself.
    #[arg(long, hide = true)]
    role: Option<String>,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One load.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Point {
    users: u32,
    /// Tokens a second for each user.
    rate: u32,
    seconds: u64,
    server_cpu: usize,
    client_cpu: usize,
}

impl Point {
    /// Users join over this time.
    const RAMP: Duration = Duration::from_secs(2);
    /// And have so long to settle.
    const WARMUP: Duration = Duration::from_secs(1);

    /// Tokens in an answer: four seconds of them.
    fn tokens(self) -> u32 {
        4 * self.rate
    }

    fn token_gap(self) -> Duration {
        Duration::from_secs(1) / self.rate
    }

    fn measure(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The loads whose limits the project sets itself.
const LOADS: [(u32, u32); 3] = [(192, 50), (1_000, 50), (4_000, 10)];

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.role {
        None => measure_all(&args),
        Some(role) => play(role),
    }
}

fn measure_all(args: &Args) -> Result<()> {
    let cpus = allowed_cpus()?;
    let (&server_cpu, &client_cpu) = cpus
        .first()
        .zip(cpus.last())
        .context("this process may run on no CPU")?;
    let loads = match (args.users, args.rate) {
        (None, None) => LOADS.to_vec(),
        (users, rate) => vec![(users.unwrap_or(LOADS[0].0), rate.unwrap_or(LOADS[0].1))],
    };
    table::print_head(server_cpu, client_cpu, args.seconds);
    let point = |users, rate| Point {
        users,
        rate,
        seconds: args.seconds,
        server_cpu,
        client_cpu,
    };
    for &(users, rate) in &loads {
        let point = point(users, rate);
        let measured: measured::Measured = in_own_process("load", &point)?;
        let bare: bare::Bare = in_own_process("bare", &point)?;
        table::print_point(&point, &measured, &bare);
    }
    if loads == LOADS {
        table::print_open(&in_own_process("open", &point(1, 50))?);
    }
    table::print_foot();
    Ok(())
}

/// What a child process does; its point comes as a line of JSON.
fn play(role: &str) -> Result<()> {
    let point: Point = serde_json::from_str(&read_line(&mut stdin().lock())?)?;
    match role {
        "truth" => truth::serve(point),
        "load" => {
            pin(point.client_cpu)?;
            print_json(&measured::measure(point)?)
        }
        "open" => {
            pin(point.client_cpu)?;
            print_json(&open::measure(point)?)
        }
        "bare" => {
            pin(point.client_cpu)?;
            print_json(&bare::measure(point)?)
        }
        other => bail!("no role {other:?}"),
    }
}

fn read_line(input: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line)
}

fn print_json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// This program once more, in that role.
fn myself(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", role]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

fn in_own_process<T: DeserializeOwned>(role: &str, point: &Point) -> Result<T> {
    let mut child = myself(role)?.spawn()?;
    let mut input = child.stdin.take().context("no pipe to the child")?;
    serde_json::to_writer(&mut input, point)?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{role} ended with {}",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn allowed_cpus() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// CPU time of this process so far, and the most memory that it has had.
fn own_usage() -> Result<(Duration, u64)> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    // Neither is ever negative.
    let [cpu, kib] = [cpu, usage.max_rss()].map(|value| u64::try_from(value).unwrap_or_default());
    Ok((Duration::from_micros(cpu), kib * 1_024))
}
