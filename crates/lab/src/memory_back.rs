//! After a server's end: waiting until its memory is available again.
//!
//! The driver of a GPU that shares the host's memory may hand it back later than the process ends;
//! a server that is started before that finds less than there is.

use load::Stop;
use probe::{
    Roots,
    parse::{self, Meminfo},
};
use record::MemoryBack;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// What memory there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    total_bytes: u64,
    available_bytes: u64,
}

impl Memory {
    /// Now; None where the kernel does not say.
    pub(crate) fn now(roots: &Roots) -> Option<Self> {
        let mut memory = Meminfo::default();
        parse::meminfo(&fs::read(roots.proc.join("meminfo")).ok()?, &mut memory).ok()?;
        Some(Self {
            total_bytes: memory.total_bytes?,
            available_bytes: memory.available_bytes?,
        })
    }

    /// Whether as much is available as at `before`, but for a fiftieth of all memory: other programs
    /// take and give some meanwhile.
    fn is_back(self, before: Self) -> bool {
        self.available_bytes + self.total_bytes / 50 >= before.available_bytes
    }
}

const LOOK: Duration = Duration::from_millis(50);

/// Waits until as much is available as at `before`, for `limit` at most, or until a person asks to end.
pub(crate) fn wait(
    before: Memory,
    limit: Duration,
    roots: &Roots,
    stop: &Stop,
) -> Option<MemoryBack> {
    let began = Instant::now();
    loop {
        let now = Memory::now(roots)?;
        let waited = began.elapsed();
        let is_back = now.is_back(before);
        if is_back || waited >= limit || stop.is_stopped() {
            return Some(MemoryBack {
                before_start_bytes: before.available_bytes,
                after_stop_bytes: now.available_bytes,
                waited_ms: waited.as_secs_f64() * 1e3,
                is_back,
            });
        }
        thread::sleep(LOOK.min(limit.saturating_sub(waited)));
    }
}

/// For people, where it is not back.
pub(crate) fn complaint(memory: &MemoryBack) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    (!memory.is_back).then(|| {
        format!(
            "the stopped server's memory is not back after {:.1} s: {:.2} GiB are available, and were \
             {:.2} GiB before it was started",
            memory.waited_ms / 1e3,
            gib(memory.after_stop_bytes),
            gib(memory.before_start_bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const MIB: u64 = 1 << 20;

    fn write(root: &Path, available_mib: u64) {
        let text = format!(
            "MemTotal: {} kB\nMemAvailable: {} kB\n",
            1000 * 1024,
            available_mib * 1024
        );
        fs::create_dir_all(root.join("proc")).unwrap();
        fs::write(root.join("proc/meminfo.new"), text).unwrap();
        fs::rename(root.join("proc/meminfo.new"), root.join("proc/meminfo")).unwrap();
    }

    fn before() -> Memory {
        Memory {
            total_bytes: 1000 * MIB,
            available_bytes: 900 * MIB,
        }
    }

    #[test]
    fn memory_that_comes_back_late_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        write(root.path(), 400);
        let path = root.path().to_owned();
        let giver = thread::spawn(move || {
            thread::sleep(Duration::from_millis(120));
            write(&path, 880);
        });
        let limit = Duration::from_secs(60);
        let memory = wait(before(), limit, &roots, &Stop::default()).unwrap();
        giver.join().unwrap();
        assert!(memory.is_back && memory.waited_ms >= 100.0, "{memory:?}");
        assert_eq!(memory.after_stop_bytes, 880 * MIB);
        assert_eq!(complaint(&memory), None);
    }

    #[test]
    fn memory_that_stays_away_is_told() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::under(root.path());
        write(root.path(), 879);
        let memory = wait(before(), Duration::ZERO, &roots, &Stop::default()).unwrap();
        assert!(!memory.is_back);
        let told = complaint(&memory).unwrap();
        assert!(told.contains("0.86 GiB are available"), "{told}");
        fs::remove_file(root.path().join("proc/meminfo")).unwrap();
        assert_eq!(
            wait(before(), Duration::ZERO, &roots, &Stop::default()),
            None
        );
    }
}
