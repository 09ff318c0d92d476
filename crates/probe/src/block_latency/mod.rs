//! How long each request to a drive took, as histograms made in the kernel: from its issue to the
//! driver until its completion, by device, kind of request and process.
//!
//! Counters tell means; a stall shows in the tail. Two eBPF programs sit on the block layer's
//! tracepoints, whose fields are stable over kernels and architectures: one notes when a request
//! is issued, the other, at its completion, adds one to a bucket. Nothing is sent to this process
//! at an event; it reads the buckets when it wants to.
//!
//! `aya` loads them. The programs themselves (`program.rs`) are some eighty instructions, assembled
//! here for the kernel that runs: the places of the fields are taken from the kernel's own
//! description of its tracepoints, so that no compiler for eBPF and no prebuilt object is needed.
//! The other way without a loader, histogram triggers of tracefs, needs CONFIG_HIST_TRIGGERS,
//! which not all kernels have.
//!
//! What it can't tell: a request is known again by its device, kind and first sector. Two requests
//! of one kind in flight at one sector are one too many, and a request that the drive completes in
//! parts counts at its first part; the others are counted as [`Latencies::unmatched`]. The process
//! is the one that issued: for what was written to the page cache, a worker of the kernel's.

mod assembler;
mod format;
mod histogram;
mod object;
mod program;

pub use format::FormatError;
pub use histogram::{Bucket, Histogram, Kind, Latencies};

use crate::{Roots, device};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
    programs::TracePoint,
    sys::{Stats, enable_stats},
};
use histogram::Key;
use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

/// The programs, attached. Dropping it detaches them.
pub struct BlockLatency {
    roots: Roots,
    programs: Ebpf,
    /// While it is open, the kernel counts what the programs cost.
    stats: Option<OwnedFd>,
}

/// Block latency can't be measured here.
#[derive(Debug, thiserror::Error)]
pub enum BlockLatencyError {
    /// The tracepoints' description is not there.
    #[error(
        "{}: {source}; mount tracefs (`mount -t tracefs nodev /sys/kernel/tracing`), be root, and \
         have a kernel with CONFIG_BLK_DEV_IO_TRACE", path.display()
    )]
    NoTracepoint {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The tracepoints are not those that are known.
    #[error("{}: {source}; this kernel's block tracepoints are not known: tell its version", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is missing.
        source: FormatError,
    },
    /// The kernel refused a program.
    #[error(
        "eBPF: {0}; be root, or have CAP_BPF and CAP_PERFMON, on a kernel with CONFIG_BPF_EVENTS \
         that isn't locked down (/sys/kernel/security/lockdown)"
    )]
    Refused(String),
    /// The buckets can't be read.
    #[error("eBPF: the histograms can't be read: {0}")]
    Unreadable(#[from] MapError),
}

/// What the programs themselves cost, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often they ran: twice a request.
    pub runs: u64,
    /// The time that they took.
    pub time: Duration,
}

impl BlockLatency {
    /// Attaches the programs. From now on every request counts.
    pub fn start(roots: &Roots) -> Result<Self, BlockLatencyError> {
        let issue = format::read(roots, program::ISSUE)?;
        let complete = format::read(roots, program::COMPLETE)?;
        let file = object::write(&program::issue(&issue), &program::complete(&complete));
        // The kernel counts for all programs on the host then, at some 20 ns a run; without the
        // right to that, the cost stays unknown.
        let stats = enable_stats(Stats::RunTime).ok();
        let mut programs = Ebpf::load(&file).map_err(refused)?;
        for name in [program::ISSUE, program::COMPLETE] {
            let program = programs.program_mut(name);
            let program = program.ok_or_else(|| refused("a program is missing"))?;
            let program: &mut TracePoint = program.try_into().map_err(refused)?;
            program.load().map_err(refused)?;
            program.attach("block", name).map_err(refused)?;
        }
        Ok(Self {
            roots: roots.clone(),
            programs,
            stats,
        })
    }

    /// The histograms since the start.
    pub fn read(&self) -> Result<Latencies, BlockLatencyError> {
        let counts: HashMap<&MapData, [u32; 3], u64> =
            HashMap::try_from(self.map(program::COUNTS)?)?;
        let mut found: BTreeMap<Key, Vec<(u32, u64)>> = BTreeMap::new();
        for entry in counts.iter() {
            let ([device, process, kind_and_slot], count) = entry?;
            let key = Key {
                device,
                process,
                kind: (kind_and_slot >> 16) as u8,
            };
            let slot = kind_and_slot & 0xffff;
            found.entry(key).or_default().push((slot, count));
        }
        let lost: Array<&MapData, u64> = Array::try_from(self.map(program::LOST)?)?;
        let histograms = found.into_iter().map(|(key, slots)| {
            let device = device::name_of(&self.roots, key.device >> 20, key.device & 0xf_ffff);
            Histogram::of_slots(&key, device, self.process_name(key.process), slots)
        });
        Ok(Latencies {
            histograms: histograms.collect(),
            unmatched: lost.get(&program::LOST_UNMATCHED, 0)?,
            uncounted: lost.get(&program::LOST_FULL, 0)?,
        })
    }

    /// What the programs cost since the start; absent where the kernel doesn't count it.
    pub fn cost(&self) -> Option<Cost> {
        self.stats.as_ref()?;
        let costs = [program::ISSUE, program::COMPLETE].map(|name| {
            let program: &TracePoint = self.programs.program(name)?.try_into().ok()?;
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            // This process's own file, whatever tree the sensors read.
            cost(&fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?)
        });
        let [issue, complete] = costs;
        let (issue, complete) = (issue?, complete?);
        Some(Cost {
            runs: issue.runs + complete.runs,
            time: issue.time + complete.time,
        })
    }

    fn map(&self, name: &'static str) -> Result<&aya::maps::Map, BlockLatencyError> {
        let map = self.programs.map(name);
        map.ok_or_else(|| refused("a map is missing"))
    }

    fn process_name(&self, process: u32) -> Option<String> {
        let file = self.roots.proc.join(process.to_string()).join("comm");
        Some(fs::read_to_string(file).ok()?.trim_end().to_owned())
    }
}

/// The whole chain of causes: what the kernel says of a program is at its end.
fn refused(error: impl Into<Box<dyn std::error::Error>>) -> BlockLatencyError {
    let error = error.into();
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    BlockLatencyError::Refused(told)
}

/// `run_time_ns` and `run_cnt` of a program's file (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
fn cost(fdinfo: &str) -> Option<Cost> {
    let value = |name: &str| {
        let mut pairs = fdinfo.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        value.trim().parse().ok()
    };
    Some(Cost {
        runs: value("run_cnt")?,
        time: Duration::from_nanos(value("run_time_ns")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_read_from_the_programs_file() {
        let text = "pos:\t0\nprog_type:\t5\nrun_time_ns:\t1200\nrun_cnt:\t4\nverified_insns:\t9\n";
        let cost = cost(text).unwrap();
        assert_eq!((cost.runs, cost.time), (4, Duration::from_nanos(1200)));
        assert_eq!(super::cost("pos:\t0\n"), None);
    }

    #[test]
    fn where_there_are_no_tracepoints_the_reason_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let error = BlockLatency::start(&Roots::under(empty.path()));
        let told = error.err().unwrap().to_string();
        assert!(told.contains("mount tracefs"), "{told}");
    }
}
