//! `cpu.csv`: the CPU times of every core at every tick.

use crate::{
    Host, Read, RecordError,
    table::{Fields, Reader},
};
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
    /// The same times of all cores together, as columns of `telemetry.csv`, in the order of
    /// [`fields`](Self::fields).
    pub const OF_HOST: [Host; 8] = [
        Host::CpuUsrMs,
        Host::CpuNiceMs,
        Host::CpuSysMs,
        Host::CpuIowaitMs,
        Host::CpuIrqMs,
        Host::CpuSoftMs,
        Host::CpuStealMs,
        Host::CpuIdleMs,
    ];

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

pub(crate) const HEADER: &[&str; 10] = &[
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

/// Gives the rows of `cpu.csv` one after the other.
pub(crate) fn visit(path: &Path, mut visit: impl FnMut(CoreRow)) -> Read<()> {
    let mut reader = Reader::with_header(path, HEADER)?;
    while let Some(row) = reader.next_whole(of_numbers, of_fields)? {
        visit(row);
    }
    Ok(((), reader.torn()))
}

fn of_numbers([t, core, times @ ..]: [u64; HEADER.len()]) -> Option<CoreRow> {
    Some(CoreRow {
        t: SessionNs(t.try_into().ok()?),
        core: core.try_into().ok()?,
        times: CpuTimes::from_fields(times),
    })
}

fn of_fields(fields: &Fields) -> Result<CoreRow, RecordError> {
    let mut times = [0; 8];
    for (index, time) in times.iter_mut().enumerate() {
        *time = fields.whole(index + 2)?;
    }
    Ok(CoreRow {
        t: SessionNs(fields.signed(0)?),
        core: fields.whole(1)?,
        times: CpuTimes::from_fields(times),
    })
}
