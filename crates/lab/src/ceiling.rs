//! The device's own sequential read rate, to lay a model's load beside.

use nix::libc::O_DIRECT;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Readers that ask at once: enough to keep one NVMe drive busy with requests of this size.
const READERS: usize = 4;
const CHUNK: usize = 4 << 20;
/// Covers the alignment that O_DIRECT asks of memory on every block device in use.
const ALIGNMENT: usize = 4096;
/// How long it may take: the file's end comes first on small models.
const LIMIT: Duration = Duration::from_secs(3);

/// Reads the file past the page cache, by several threads at once. In MB/s; None where the file
/// system knows no such reads, or the file is too small to tell.
pub(crate) fn sequential_read_mb_s(path: &Path) -> Option<f64> {
    let bytes = fs::metadata(path).ok()?.len();
    if bytes < (READERS * CHUNK) as u64 {
        return None;
    }
    let file = File::options()
        .read(true)
        .custom_flags(O_DIRECT)
        .open(path)
        .ok()?;
    let (next, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let all_read = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| read_chunks(&file, bytes, &next, &read, began)))
            .collect();
        // All are joined, also after one that failed.
        let ended: Vec<bool> = readers
            .into_iter()
            .map(|reader| matches!(reader.join(), Ok(Ok(()))))
            .collect();
        !ended.contains(&false)
    });
    let seconds = began.elapsed().as_secs_f64();
    all_read.then(|| read.load(Ordering::Relaxed) as f64 / seconds / 1e6)
}

fn read_chunks(
    file: &File,
    bytes: u64,
    next: &AtomicU64,
    read: &AtomicU64,
    began: Instant,
) -> io::Result<()> {
    let mut room = vec![0; CHUNK + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let chunk = &mut room[start..start + CHUNK];
    loop {
        let offset = next.fetch_add(CHUNK as u64, Ordering::Relaxed);
        // A last piece that is no whole chunk is left out: its length may not be aligned.
        if offset + CHUNK as u64 > bytes || began.elapsed() > LIMIT {
            return Ok(());
        }
        let count = file.read_at(chunk, offset)?;
        read.fetch_add(count as u64, Ordering::Relaxed);
    }
}
