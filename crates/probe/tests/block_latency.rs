//! Block latency in a real kernel: every request of this process is counted once.
//!
//! It runs where the kernel lets it: as root, with tracefs mounted.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use probe::{
    Roots,
    block_latency::{BlockLatency, Histogram, Kind, Latencies},
    device,
};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

const BLOCK: usize = 4096;
const BLOCKS: u64 = 512;

#[test]
fn every_read_of_this_process_is_counted_once() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("blocks");
    let mut file = File::create(&path).unwrap();
    file.write_all(&vec![7; BLOCK * BLOCKS as usize]).unwrap();
    file.sync_all().unwrap();
    let roots = Roots::default();
    let Some(disk) = device::resolve(&roots, &path).name else {
        eprintln!("skipped: {} is on no drive", path.display());
        return;
    };
    let below = device::disk_facts(&roots, &disk).map(|facts| facts.below);
    if below.is_some_and(|below| !below.is_empty()) {
        eprintln!("skipped: {disk} is mapped, and has no requests of its own");
        return;
    }
    let watch = match BlockLatency::start(&roots) {
        Ok(watch) => watch,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let before = watch.read().unwrap();
    read_around_the_cache(&path, BLOCKS);
    let between = watch.read().unwrap().since(&before);
    let own = own_reads(&between, &disk).expect("this process has read");
    // The file system may have looked up where the file's blocks are; a few requests that found
    // the drive's queue full may have been made anew by a worker of the kernel's.
    assert!(
        (BLOCKS * 9 / 10..BLOCKS + 16).contains(&own.count()),
        "{between:?}"
    );
    let lost = between.missed.unwrap_or(BLOCKS);
    assert!(
        between.of(&disk, Kind::Read).count() + lost >= BLOCKS,
        "{between:?}"
    );
    assert!(own.quantile(0.0).unwrap().from_ns > 0);
    assert!(own.quantile(1.0).unwrap().until_ns < 60_000_000_000);
    assert!(own.process.is_some());
    assert_eq!(between.uncounted, 0);
    if let Some(cost) = watch.cost() {
        assert!(cost.runs >= 2 * BLOCKS, "{cost:?}");
        assert!(!cost.time.is_zero());
    }

    drop(watch);
    let again = BlockLatency::start(&roots).unwrap().read().unwrap();
    let counted = own_reads(&again, &disk).map_or(0, Histogram::count);
    assert_eq!(counted, 0, "a new start counts from nothing");
}

fn own_reads<'a>(latencies: &'a Latencies, disk: &str) -> Option<&'a Histogram> {
    let mut histograms = latencies.histograms.iter();
    histograms.find(|histogram| {
        histogram.device == disk
            && histogram.kind == Kind::Read
            && histogram.pid == Some(std::process::id())
    })
}

/// Reads block after block, one at a time, from the drive itself.
fn read_around_the_cache(path: &Path, blocks: u64) {
    const O_DIRECT: i32 = nix::libc::O_DIRECT;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_DIRECT)
        .open(path)
        .unwrap();
    // Direct reads need aligned memory.
    let mut room = vec![0; 2 * BLOCK];
    let start = room.as_ptr().align_offset(BLOCK);
    let block = &mut room[start..start + BLOCK];
    for number in 0..blocks {
        file.read_exact_at(block, number * BLOCK as u64).unwrap();
        assert_eq!(block[0], 7);
    }
}
