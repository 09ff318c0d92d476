//! What can be wrong with a sensor.

use crate::parse::ParseError;
use std::{fmt, io, path::PathBuf};

/// A file of the kernel that could not be read or understood.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file could not be opened.
    #[error("{}: cannot open: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file holds something else than is known.
    #[error("{}:{source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: ParseError,
    },
    /// The sensor's own thread could not be started.
    #[error("cannot start its thread: {source}")]
    Thread {
        /// The system's answer.
        source: io::Error,
    },
}

/// One source of telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sensor {
    /// CPU times.
    Cpu,
    /// The state of memory.
    Memory,
    /// Paging and reclaim.
    Paging,
    /// Waiting for a CPU (PSI).
    CpuPressure,
    /// Waiting for I/O (PSI).
    IoPressure,
    /// Waiting for memory (PSI).
    MemoryPressure,
    /// One block device.
    Disk(String),
    /// One GPU, by its number.
    Gpu(u32),
    /// The server's process tree, by the number of its first process.
    Server(u32),
    /// The page cache's share of the watched files.
    PageCache,
}

impl Sensor {
    /// What brings the sensor back, to follow the error.
    fn remedy(&self) -> &'static str {
        match self {
            Sensor::CpuPressure | Sensor::IoPressure | Sensor::MemoryPressure => {
                "the kernel needs CONFIG_PSI and, where it is off by default, psi=1 on its \
                 command line"
            }
            Sensor::Disk(_) => "check that the device is still there",
            Sensor::Gpu(_) | Sensor::Server(_) | Sensor::PageCache => {
                "raise the limit on processes (ulimit -u)"
            }
            Sensor::Cpu | Sensor::Memory | Sensor::Paging => "check that /proc is mounted",
        }
    }
}

impl fmt::Display for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sensor::Cpu => f.write_str("CPU times"),
            Sensor::Memory => f.write_str("memory"),
            Sensor::Paging => f.write_str("paging counters"),
            Sensor::CpuPressure => f.write_str("CPU pressure"),
            Sensor::IoPressure => f.write_str("I/O pressure"),
            Sensor::MemoryPressure => f.write_str("memory pressure"),
            Sensor::Disk(name) => write!(f, "disk {name}"),
            Sensor::Gpu(number) => write!(f, "GPU {number}"),
            Sensor::PageCache => f.write_str("cached files"),
            Sensor::Server(pid) => write!(f, "server process {pid}"),
        }
    }
}

/// A sensor that gave nothing, at least once: where it did not, its columns are absent.
#[derive(Debug, thiserror::Error)]
#[error("{sensor}: {error}; its columns are empty where it gives nothing; {}", sensor.remedy())]
pub struct Fault {
    /// Which.
    pub sensor: Sensor,
    /// Why, the first time.
    #[source]
    pub error: ProbeError,
}
