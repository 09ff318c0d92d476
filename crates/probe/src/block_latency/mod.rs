//! How long each request to a drive took, as histograms made in the kernel: from its issue to the
//! driver until its completion, by device, kind of request and process.
//!
//! Counters tell means; a stall shows in the tail. Small eBPF programs sit on the block layer's
//! tracepoints, whose fields are stable over kernels and architectures: they note who made a
//! request and when it was issued, and at its completion add one to a bucket. Nothing is sent to
//! this process at an event; it reads the buckets when it wants to.
//!
//! `aya` loads them. The programs themselves (`program.rs`) are some hundred instructions, assembled
//! here for the kernel that runs: the places of the fields are taken from the kernel's own
//! description of its tracepoints, so that no compiler for eBPF and no prebuilt object is needed.
//! The other way without a loader, histogram triggers of tracefs, needs CONFIG_HIST_TRIGGERS,
//! which not all kernels have.
//!
//! What it can't tell: a request is known again by its device, kind and first sector. Two requests
//! of one kind in flight at one sector are one too many, and a request that the drive completes in
//! parts counts at its first part; the others are counted as [`Latencies::unmatched`]. The kernel
//! starts no program on a CPU where one runs: a completion whose interrupt comes in the half
//! microsecond of another request's issue is lost, and counted as [`Latencies::missed`]. That
//! depends on the moment, not on how long the request took; where one CPU makes tens of thousands
//! of requests a second, it is some in a hundred. The process is the one that made the request: for
//! what was written to the page cache, a worker of the kernel's.

mod assembler;
mod format;
mod histogram;
mod object;
mod program;

pub use format::FormatError;
pub use histogram::{Bucket, Histogram, Kind, Latencies};

use crate::{Roots, device};
use assembler::Code;
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
    programs::TracePoint,
    sys::{Stats, enable_stats},
};
use format::Fields;
use histogram::Key;
use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

type Assemble = fn(&Fields) -> Code;

/// Each tracepoint, and what is done there.
const PROGRAMS: [(&str, Assemble); 3] = [
    (program::INSERT, program::insert),
    (program::ISSUE, program::issue),
    (program::COMPLETE, program::complete),
];

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
    /// How often they ran: twice a request, and once more where an I/O scheduler is in use.
    pub runs: u64,
    /// The time that they took.
    pub time: Duration,
}

impl BlockLatency {
    /// Attaches the programs. From now on every request counts.
    pub fn start(roots: &Roots) -> Result<Self, BlockLatencyError> {
        let code =
            |(name, assemble): (_, Assemble)| Ok((name, assemble(&format::read(roots, name)?)));
        let codes: Result<Vec<_>, BlockLatencyError> = PROGRAMS.into_iter().map(code).collect();
        let file = object::write(&codes?);
        // The kernel counts for all programs on the host then, at some 20 ns a run; without the
        // right to that, the cost stays unknown.
        let stats = enable_stats(Stats::RunTime).ok();
        let mut programs = Ebpf::load(&file).map_err(refused)?;
        // Completions last: by then, each can have been issued under the programs' eyes.
        for (name, _) in PROGRAMS {
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
            missed: self.sum(|told| told.value("recursion_misses")),
        })
    }

    /// What the programs cost since the start; absent where the kernel doesn't count it.
    pub fn cost(&self) -> Option<Cost> {
        self.stats.as_ref()?;
        Some(Cost {
            runs: self.sum(|told| told.value("run_cnt"))?,
            time: Duration::from_nanos(self.sum(|told| told.value("run_time_ns"))?),
        })
    }

    /// What the kernel tells of each program, added up.
    fn sum(&self, of: impl Fn(&Told) -> Option<u64>) -> Option<u64> {
        let told = |(name, _): &(&str, Assemble)| {
            let program: &TracePoint = self.programs.program(name)?.try_into().ok()?;
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            // This process's own file, whatever tree the sensors read.
            let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            of(&Told(text))
        };
        PROGRAMS.iter().map(told).sum()
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

/// The file of a program (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
struct Told(String);

impl Told {
    fn value(&self, name: &str) -> Option<u64> {
        let mut pairs = self.0.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        value.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_of_a_program() {
        let text = "pos:\t0\nprog_type:\t5\nrun_time_ns:\t1200\nrun_cnt:\t4\n";
        let told = Told(text.to_owned());
        assert_eq!(told.value("run_time_ns"), Some(1200));
        assert_eq!(told.value("recursion_misses"), None, "before Linux 5.12");
    }

    #[test]
    fn where_there_are_no_tracepoints_the_reason_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let error = BlockLatency::start(&Roots::under(empty.path()));
        let told = error.err().unwrap().to_string();
        assert!(told.contains("mount tracefs"), "{told}");
    }
}
