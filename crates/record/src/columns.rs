//! The columns of `telemetry.csv`: names, units and kinds.
//!
//! Counters are recorded raw, as the kernel counts them since boot: a rate over any interval is
//! then exact, also across a missed tick. Gauges are values of the moment, or of the interval
//! since the last tick where their doc says so.

use std::{fmt, str::FromStr};

/// How a column's values behave in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows since boot: use differences.
    Counter,
    /// Holds for the moment of its row, or for the interval that ends with it.
    Gauge,
}

/// One column of `telemetry.csv`, after `tick` and `t_ns`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// A value of the whole host.
    Host(Host),
    /// A value of one block device, named as the kernel does (`nvme0n1`, `vda`).
    Device(String, Device),
    /// A value of one GPU, by the number that its driver gives it.
    Gpu(u32, Gpu),
    /// A value of the server under test: its processes, or its control group.
    Server(Server),
    /// A value of the page cache's share of the watched files.
    Cache(Cache),
}

impl Column {
    /// Whether its values count up or stand for themselves.
    pub fn kind(&self) -> Kind {
        match self {
            Column::Host(field) => field.kind(),
            Column::Device(_, field) => field.kind(),
            Column::Gpu(_, field) => field.kind(),
            Column::Server(field) => field.kind(),
            Column::Cache(field) => field.kind(),
        }
    }
}

const DEVICE_PREFIX: &str = "disk_";
const GPU_PREFIX: &str = "gpu";
const SERVER_PREFIX: &str = "server_";
const CACHE_PREFIX: &str = "cache_";

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Column::Host(field) => f.write_str(field.name()),
            Column::Device(device, field) => write!(f, "{DEVICE_PREFIX}{device}_{}", field.name()),
            Column::Gpu(number, field) => write!(f, "{GPU_PREFIX}{number}_{}", field.name()),
            Column::Server(field) => write!(f, "{SERVER_PREFIX}{}", field.name()),
            Column::Cache(field) => write!(f, "{CACHE_PREFIX}{}", field.name()),
        }
    }
}

/// A name that is no column of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn;

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(name: &str) -> Result<Self, UnknownColumn> {
        if let Some(rest) = name.strip_prefix(DEVICE_PREFIX) {
            // A device name may hold underscores, and one field's name may end another's
            // (`reads_count`, `..._count`): the longest field that fits is meant.
            return Device::ALL
                .iter()
                .filter_map(|&field| {
                    let device = rest.strip_suffix(field.name())?.strip_suffix('_')?;
                    (!device.is_empty()).then_some((device, field))
                })
                .max_by_key(|(_, field)| field.name().len())
                .map(|(device, field)| Column::Device(device.to_owned(), field))
                .ok_or(UnknownColumn);
        }
        if let Some((number, rest)) = gpu(name) {
            return named(Gpu::ALL, Gpu::name, rest).map(|field| Column::Gpu(number, field));
        }
        if let Some(rest) = name.strip_prefix(SERVER_PREFIX) {
            return named(Server::ALL, Server::name, rest).map(Column::Server);
        }
        if let Some(rest) = name.strip_prefix(CACHE_PREFIX) {
            return named(Cache::ALL, Cache::name, rest).map(Column::Cache);
        }
        named(Host::ALL, Host::name, name).map(Column::Host)
    }
}

fn named<F: Copy>(
    all: &[F],
    name_of: fn(F) -> &'static str,
    name: &str,
) -> Result<F, UnknownColumn> {
    let mut fields = all.iter().copied();
    fields
        .find(|&field| name_of(field) == name)
        .ok_or(UnknownColumn)
}

/// Takes `gpu0_util_pct` apart; a number with a leading zero or sign is no number of ours.
fn gpu(name: &str) -> Option<(u32, &str)> {
    let (number, field) = name.strip_prefix(GPU_PREFIX)?.split_once('_')?;
    let value: u32 = number.parse().ok()?;
    (value.to_string() == number).then_some((value, field))
}

macro_rules! fields {
    ($(#[$doc:meta])* $group:ident { $($(#[$field_doc:meta])* $field:ident = $name:literal $kind:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $group { $($(#[$field_doc])* $field,)+ }

        impl $group {
            /// All fields, in the order in which they are written.
            pub const ALL: &[$group] = &[$($group::$field,)+];

            /// The column's name; its end is the unit.
            pub const fn name(self) -> &'static str {
                match self { $($group::$field => $name,)+ }
            }

            /// Whether its values count up or stand for themselves.
            pub const fn kind(self) -> Kind {
                match self { $($group::$field => Kind::$kind,)+ }
            }
        }
    };
}

fields! {
    /// Values of the whole host.
    Host {
        /// How long after its deadline the tick began.
        LateUs = "late_us" Gauge,
        /// How long the tick took to read everything.
        ReadUs = "read_us" Gauge,
        /// CPU time in user mode, guests included (/proc/stat counts them in `user`).
        CpuUsrMs = "cpu_usr_ms" Counter,
        /// CPU time of niced processes in user mode.
        CpuNiceMs = "cpu_nice_ms" Counter,
        /// CPU time in the kernel.
        CpuSysMs = "cpu_sys_ms" Counter,
        /// Idle CPU time while a task of that CPU waited for I/O. The kernel calls it unreliable
        /// (Documentation/filesystems/proc.rst); it can decrease.
        CpuIowaitMs = "cpu_iowait_ms" Counter,
        /// CPU time in hardware interrupts.
        CpuIrqMs = "cpu_irq_ms" Counter,
        /// CPU time in soft interrupts.
        CpuSoftMs = "cpu_soft_ms" Counter,
        /// Time taken by the hypervisor.
        CpuStealMs = "cpu_steal_ms" Counter,
        /// Idle CPU time.
        CpuIdleMs = "cpu_idle_ms" Counter,
        /// Time in which some runnable task waited for a CPU (PSI).
        PsiCpuSomeUs = "psi_cpu_some_us" Counter,
        /// Always 0 system-wide (Documentation/accounting/psi.rst); kept as the kernel prints it.
        PsiCpuFullUs = "psi_cpu_full_us" Counter,
        /// Time in which some task waited for I/O (PSI).
        PsiIoSomeUs = "psi_io_some_us" Counter,
        /// Time in which all non-idle tasks waited for I/O (PSI).
        PsiIoFullUs = "psi_io_full_us" Counter,
        /// Time in which some task waited for memory (PSI).
        PsiMemorySomeUs = "psi_memory_some_us" Counter,
        /// Time in which all non-idle tasks waited for memory (PSI).
        PsiMemoryFullUs = "psi_memory_full_us" Counter,
        /// All usable memory.
        MemTotalBytes = "mem_total_bytes" Gauge,
        /// Memory that can be had without swapping, the page cache's reclaimable part included.
        MemAvailableBytes = "mem_available_bytes" Gauge,
        /// Memory that nobody uses.
        MemFreeBytes = "mem_free_bytes" Gauge,
        /// The page cache (`Cached`).
        MemCachedBytes = "mem_cached_bytes" Gauge,
        /// Page-cache bytes that wait to be written back.
        MemDirtyBytes = "mem_dirty_bytes" Gauge,
        /// Unused swap.
        SwapFreeBytes = "swap_free_bytes" Gauge,
        /// Page faults that needed I/O.
        PgmajfaultCount = "pgmajfault_count" Counter,
        /// Pages that kswapd looked at to reclaim.
        PgscanKswapdPages = "pgscan_kswapd_pages" Counter,
        /// Pages that an allocating task itself looked at to reclaim.
        PgscanDirectPages = "pgscan_direct_pages" Counter,
        /// Pages that kswapd reclaimed.
        PgstealKswapdPages = "pgsteal_kswapd_pages" Counter,
        /// Pages that an allocating task itself reclaimed.
        PgstealDirectPages = "pgsteal_direct_pages" Counter,
        /// File pages read back soon after their eviction: evicted too early.
        WorkingsetRefaultFilePages = "workingset_refault_file_pages" Counter,
        /// Anonymous pages read back soon after their eviction.
        WorkingsetRefaultAnonPages = "workingset_refault_anon_pages" Counter,
        /// Pages swapped in.
        PswpinPages = "pswpin_pages" Counter,
        /// Pages swapped out.
        PswpoutPages = "pswpout_pages" Counter,
        /// Times that somebody dropped the page cache.
        DropPagecacheCount = "drop_pagecache_count" Counter,
        /// Times that an allocating task had to reclaim memory itself, over all zones.
        AllocstallCount = "allocstall_count" Counter,
        /// Tasks that the kernel killed for want of memory.
        OomKillCount = "oom_kill_count" Counter,
    }
}

fields! {
    /// Values of one block device (Documentation/block/stat.rst; a kernel sector is 512 bytes).
    Device {
        /// Reads completed.
        ReadsCount = "reads_count" Counter,
        /// Reads merged with a neighbour before they were issued.
        ReadMergesCount = "read_merges_count" Counter,
        /// Bytes read.
        ReadBytes = "read_bytes" Counter,
        /// Time that reads waited and were served, summed over the reads.
        ReadTimeMs = "read_time_ms" Counter,
        /// Writes completed.
        WritesCount = "writes_count" Counter,
        /// Writes merged with a neighbour before they were issued.
        WriteMergesCount = "write_merges_count" Counter,
        /// Bytes written.
        WriteBytes = "write_bytes" Counter,
        /// Time that writes waited and were served, summed over the writes.
        WriteTimeMs = "write_time_ms" Counter,
        /// I/Os issued and not yet completed.
        InFlightCount = "in_flight_count" Gauge,
        /// Time in which at least one I/O was in flight.
        IoTimeMs = "io_time_ms" Counter,
        /// Time in flight, summed over all I/Os: its rate is aqu-sz.
        WeightedIoTimeMs = "weighted_io_time_ms" Counter,
        /// Discards completed.
        DiscardsCount = "discards_count" Counter,
        /// Discards merged with a neighbour.
        DiscardMergesCount = "discard_merges_count" Counter,
        /// Bytes discarded.
        DiscardBytes = "discard_bytes" Counter,
        /// Time that discards waited and were served, summed.
        DiscardTimeMs = "discard_time_ms" Counter,
        /// Flushes completed.
        FlushesCount = "flushes_count" Counter,
        /// Time that flushes waited and were served, summed.
        FlushTimeMs = "flush_time_ms" Counter,
        /// Mean time of the reads that ended in this interval; absent if none did.
        RAwaitMs = "r_await_ms" Gauge,
        /// Mean time of the writes that ended in this interval; absent if none did.
        WAwaitMs = "w_await_ms" Gauge,
        /// Mean I/Os in flight over this interval.
        AquSz = "aqu_sz" Gauge,
        /// Share of this interval with at least one I/O in flight. Saturates at one outstanding
        /// I/O: on NVMe it is not a share of capacity.
        UtilPct = "util_pct" Gauge,
        /// The temperature that the drive's controller reports. Read about once a second, and
        /// absent at the ticks between; absent for a partition.
        TempC = "temp_c" Gauge,
    }
}

fields! {
    /// Values of one GPU (NVML). A reading appears once, at the tick after it was taken; at the
    /// ticks between, and where the device does not support a value, it is absent.
    Gpu {
        /// Share of the driver's last sample period, up to a second, with a kernel running.
        UtilPct = "util_pct" Gauge,
        /// The clock of the streaming multiprocessors.
        SmClockMhz = "sm_clock_mhz" Gauge,
        /// Power drawn.
        PowerMw = "power_mw" Gauge,
        /// The die's temperature.
        TempC = "temp_c" Gauge,
        /// Why the clocks are held back, as bits (nvmlClocksEventReasons); 1 is idle.
        ThrottleReasons = "throttle_reasons" Gauge,
        /// Memory of its own in use; absent where it shares the host's.
        MemUsedBytes = "mem_used_bytes" Gauge,
        /// Memory of its own; absent where it shares the host's.
        MemTotalBytes = "mem_total_bytes" Gauge,
        /// Memory of all compute processes, summed: the host's where it shares that.
        ProcessBytes = "process_bytes" Gauge,
    }
}

fields! {
    /// Values of the server under test: all processes of its tree. A reading appears once, at
    /// the tick after it was taken, about once a second; it is absent at the ticks between.
    Server {
        /// CPU time in user mode. Processes that ended are kept in this and all other counters.
        CpuUsrMs = "cpu_usr_ms" Counter,
        /// CPU time in the kernel.
        CpuSysMs = "cpu_sys_ms" Counter,
        /// Page faults that needed I/O.
        MajfaultCount = "majfault_count" Counter,
        /// Bytes that the processes caused to be read from storage (/proc/PID/io).
        ReadBytes = "read_bytes" Counter,
        /// Bytes that the processes caused to be written to storage (/proc/PID/io).
        WriteBytes = "write_bytes" Counter,
        /// Resident anonymous memory. Memory that the GPU's driver allocates is not in it.
        RssAnonBytes = "rss_anon_bytes" Gauge,
        /// Resident pages of files, each process's own count.
        RssFileBytes = "rss_file_bytes" Gauge,
        /// Processes.
        ProcessesCount = "processes_count" Gauge,
        /// Threads of all processes.
        ThreadsCount = "threads_count" Gauge,
        /// Threads in uninterruptible sleep (D): mostly waiting for storage.
        ThreadsDCount = "threads_d_count" Gauge,
        /// Bytes that the control group read, over all devices (io.stat).
        CgroupReadBytes = "cgroup_read_bytes" Counter,
        /// Bytes that the control group wrote, over all devices (io.stat).
        CgroupWriteBytes = "cgroup_write_bytes" Counter,
        /// Memory charged to the control group, page cache included.
        CgroupMemBytes = "cgroup_mem_bytes" Gauge,
    }
}

fields! {
    /// The watched files in the page cache. A reading appears once, at the tick after it was
    /// taken, about once a second; it is absent at the ticks between.
    Cache {
        /// Size of the files.
        FileBytes = "file_bytes" Gauge,
        /// Their bytes in the page cache.
        ResidentBytes = "resident_bytes" Gauge,
        /// Of these, bytes that wait to be written back; absent where only `mincore` can look.
        DirtyBytes = "dirty_bytes" Gauge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn every_column_of_a_fixed_name_reads_back() {
        let host = Host::ALL.iter().map(|&field| Column::Host(field));
        let server = Server::ALL.iter().map(|&field| Column::Server(field));
        let cache = Cache::ALL.iter().map(|&field| Column::Cache(field));
        let gpus = [0, 7, u32::MAX];
        let gpus = gpus.iter().flat_map(|&number| {
            Gpu::ALL
                .iter()
                .map(move |&field| Column::Gpu(number, field))
        });
        for column in host.chain(server).chain(cache).chain(gpus) {
            assert_eq!(column.to_string().parse(), Ok(column));
        }
    }

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        assert!(Host::ALL.iter().all(|field| seen.insert(field.name())));
        assert!(Device::ALL.iter().all(|field| seen.insert(field.name())));
    }

    #[test]
    fn a_foreign_name_is_no_column() {
        for name in [
            "",
            "cpu_usr",
            "disk_",
            "disk_reads_count",
            "disk_vda_speed_mph",
            "gpu_util_pct",
            "gpu00_util_pct",
            "gpu-1_util_pct",
            "gpu0_speed_mph",
            "server_",
            "cache_hits",
        ] {
            assert_eq!(name.parse::<Column>(), Err(UnknownColumn), "{name}");
        }
    }

    proptest! {
        #[test]
        fn every_device_column_reads_back(device in "[a-z][a-z0-9_!-]{0,12}") {
            for &field in Device::ALL {
                let column = Column::Device(device.clone(), field);
                let read: Column = column.to_string().parse().unwrap();
                // `sda_read` + `bytes` could be another split only if a field's name ended
                // another's; then the longest wins and the device must be longer still.
                prop_assert_eq!(read.to_string(), column.to_string());
            }
        }
    }
}
