//! What the server asks of the kernel for its own process and thread.

use super::TruthError;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
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

/// CPU time of the calling thread so far.
pub(super) fn thread_cpu_us() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        u64::try_from(micros).unwrap_or(0)
    })
}
