//! What the server asks of the kernel for its own process and thread.

use super::TruthError;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
        time::TimeValLike as _,
    },
    unistd::Pid,
};

/// Keeps the calling thread on one CPU.
pub(super) fn pin(cpu: usize) -> Result<(), TruthError> {
    let pin = |errno: nix::Error| TruthError::Pin {
        cpu,
        source: errno.into(),
    };
    let mut cpus = CpuSet::new();
    cpus.set(cpu).map_err(pin)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).map_err(pin)
}

/// Thousands of clients need thousands of descriptors; the soft limit is often 1,024.
pub(super) fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}

/// CPU time of the calling thread so far.
pub(super) fn thread_cpu_us() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        u64::try_from(micros).unwrap_or(0)
    })
}
