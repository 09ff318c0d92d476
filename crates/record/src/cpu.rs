//! `cpu.csv`: the CPU times of every core at every tick.

use crate::{RecordError, table::Reader};
use clock::SessionNs;
use std::path::Path;

/// CPU times since boot, in milliseconds, as /proc/stat counts them (in ticks of USER_HZ).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// User mode, guests included.
    pub usr_ms: u64,
    /// User mode, niced.
    pub nice_ms: u64,
    /// Kernel.
    pub sys_ms: u64,
    /// Idle while a task of this CPU waited for I/O.
    pub iowait_ms: u64,
    /// Hardware interrupts.
    pub irq_ms: u64,
    /// Soft interrupts.
    pub soft_ms: u64,
    /// Taken by the hypervisor.
    pub steal_ms: u64,
    /// Idle.
    pub idle_ms: u64,
}

impl CpuTimes {
    /// The times in the order of the file's columns.
    pub fn fields(&self) -> [u64; 8] {
        [
            self.usr_ms,
            self.nice_ms,
            self.sys_ms,
            self.iowait_ms,
            self.irq_ms,
            self.soft_ms,
            self.steal_ms,
            self.idle_ms,
        ]
    }

    /// The times in milliseconds, in the order of the file's columns: usr, nice, sys, iowait, irq,
    /// soft, steal, idle.
    pub fn from_fields(fields: [u64; 8]) -> Self {
        let [
            usr_ms,
            nice_ms,
            sys_ms,
            iowait_ms,
            irq_ms,
            soft_ms,
            steal_ms,
            idle_ms,
        ] = fields;
        Self {
            usr_ms,
            nice_ms,
            sys_ms,
            iowait_ms,
            irq_ms,
            soft_ms,
            steal_ms,
            idle_ms,
        }
    }
}

/// One core at one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRow {
    /// When the tick began.
    pub t: SessionNs,
    /// The core's number, as the kernel counts them.
    pub core: u32,
    /// Its times since boot.
    pub times: CpuTimes,
}

pub(crate) const HEADER: &[&str] = &[
    "t_ns",
    "core",
    "usr_ms",
    "nice_ms",
    "sys_ms",
    "iowait_ms",
    "irq_ms",
    "soft_ms",
    "steal_ms",
    "idle_ms",
];

pub(crate) fn append(row: &CoreRow, line: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    line.extend_from_slice(number.format(row.t.0).as_bytes());
    line.push(b',');
    line.extend_from_slice(number.format(row.core).as_bytes());
    for field in row.times.fields() {
        line.push(b',');
        line.extend_from_slice(number.format(field).as_bytes());
    }
    line.push(b'\n');
}

/// Reads `cpu.csv`.
pub(crate) fn read(path: &Path) -> Result<(Vec<CoreRow>, Option<crate::Torn>), RecordError> {
    const WHOLE: &str = "a whole number";
    let mut reader = Reader::with_header(path, HEADER)?;
    let mut rows = Vec::new();
    while let Some(fields) = reader.next()? {
        let mut times = [0; 8];
        for (index, time) in times.iter_mut().enumerate() {
            *time = fields.whole(index + 2, WHOLE)?;
        }
        rows.push(CoreRow {
            t: SessionNs(fields.required(0, WHOLE)?),
            core: fields.required(1, WHOLE)?,
            times: CpuTimes::from_fields(times),
        });
    }
    Ok((rows, reader.torn()))
}
