//! How long a full session takes to analyse, beside its target: 38 runs of five minutes (six
//! numbers of users, three repeats, two arms, and two runs of H1) on a machine of twenty cores,
//! all figures and the page, in under one second on one core.
//!
//! `cargo bench --package report --bench session [-- REQUESTS]`: with a number, a session of about
//! so many requests in six runs, analysed once.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../tests/report/scenario.rs"]
mod scenario;

use nix::time::{ClockId, clock_gettime};
use report::{Theme, analyze};
use scenario::Scenario;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const TARGET_S: f64 = 1.0;

/// Of ten million requests with their tokens.
const MANY_TARGET_S: f64 = 20.0;
const MANY_TARGET_MIB: f64 = 2000.0 / 1.048_576;

fn storm() -> Scenario {
    Scenario {
        experiment: "h6",
        users: vec![8, 16, 32, 64, 128, 192],
        arms: vec!["base", "storm"],
        repeats: 3,
        measure_s: 300.0,
        cores: 20,
        slower: |arm| if arm == "storm" { 1.1 } else { 1.0 },
        smart: true,
        ..Scenario::default()
    }
}

fn loads() -> Scenario {
    Scenario {
        experiment: "h1",
        users: vec![1],
        arms: vec!["cold", "warm"],
        measure_s: 300.0,
        cores: 20,
        loads: Some(61_000_000_000),
        ..Scenario::default()
    }
}

/// Six runs of as many users as do `requests` of them, at 240 a second.
fn many(requests: f64) -> Scenario {
    Scenario {
        users: vec![192],
        capacity: 1e9,
        measure_s: requests / (6.0 * 240.0),
        ..storm()
    }
}

fn bench_many(requests: f64) {
    let folder = tempfile::tempdir().unwrap();
    let session = many(requests).write(folder.path());
    let bytes = bytes_under(folder.path()) as f64 / 1e6;
    forget_peak();
    let before = peak_mib().unwrap_or(f64::NAN);
    let (start, spent) = (Instant::now(), cpu_s().unwrap_or(f64::NAN));
    let analysis = analyze(&session);
    let summaries = analysis.runs.iter().filter_map(|run| run.summary.as_ref());
    let counted: u64 = summaries.map(|summary| summary.requests.total).sum();
    let spent = cpu_s().unwrap_or(f64::NAN) - spent;
    let took = start.elapsed().as_secs_f64();
    let held = peak_mib().unwrap_or(f64::NAN);
    let of_ten_million = counted as f64 / 10e6;
    println!(
        "{counted} requests, {bytes:.0} MB of records: {took:.2} s in all, {spent:.2} s of CPU; {:.2} and {:.2} of the target",
        took / (MANY_TARGET_S * of_ten_million),
        spent / (MANY_TARGET_S * of_ten_million)
    );
    println!(
        "memory: {before:.0} MiB before, {held:.0} MiB at most; {:.2} of the target for ten million",
        held / MANY_TARGET_MIB
    );
}

/// What the writing of the records took is not the analysis's.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory that this process has held, from the kernel.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The time that all threads of this process have spent on CPUs: what others do on the machine is
/// not in it.
fn cpu_s() -> Option<f64> {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    Some(Duration::from(spent).as_secs_f64())
}

fn bytes_under(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_under(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

fn main() {
    if let Some(requests) = std::env::args().find_map(|it| it.parse().ok()) {
        return bench_many(requests);
    }
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sessions = [
        storm().write(folders[0].path()),
        loads().write(folders[1].path()),
    ];
    let bytes: u64 = folders
        .iter()
        .map(|folder| bytes_under(folder.path()))
        .sum();
    println!(
        "38 runs of 300 s, 20 cores: {:.0} MB of records",
        bytes as f64 / 1e6
    );
    println!("memory before: {:.0} MiB", peak_mib().unwrap_or(f64::NAN));
    let mut best = f64::INFINITY;
    let cpu = || cpu_s().unwrap_or(f64::NAN);
    for _ in 0..3 {
        let (start, spent) = (Instant::now(), cpu());
        let analyses = sessions.each_ref().map(analyze);
        let spent = cpu() - spent;
        best = best.min(spent);
        let pages: usize = analyses.iter().map(|it| it.html.len()).sum();
        let figures: usize = analyses.iter().map(|it| it.figures.len()).sum();
        println!(
            "analysed, {figures} figures, pages of {:.2} MB together: {spent:.2} s of CPU, {:.2} s in all",
            pages as f64 / 1e6,
            start.elapsed().as_secs_f64()
        );
    }
    println!("best of three: {best:.2} of {TARGET_S} s of CPU");
    println!("memory at most: {:.0} MiB", peak_mib().unwrap_or(f64::NAN));
    let analysis = analyze(&sessions[0]);
    let start = Instant::now();
    for figure in &analysis.figures {
        figure.png(Theme::Light).unwrap();
    }
    println!(
        "{} PNGs beside that: {:.2} s",
        analysis.figures.len(),
        start.elapsed().as_secs_f64()
    );
}
