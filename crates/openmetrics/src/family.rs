//! Which metric a column becomes: its name, unit, kind and labels.

use record::{Cache, Column, Device, Gpu, Host, Kind, Server};

/// A metric family: what all its series share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Family {
    /// Without `spillpoint_` before it and, of a counter, `_total` after it. Ends with the unit, if
    /// there is one.
    pub(crate) name: &'static str,
    /// A base unit (OpenMetrics 1.0, "Units and Base Units"); empty where things are counted.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
}

/// A column's series, and how its values are turned into the family's unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) family: Family,
    pub(crate) kind: Kind,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) scale: Scale,
}

/// What a value is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    One,
    Milli,
    Micro,
    Mega,
    Percent,
    /// Pages become bytes.
    Page,
}

impl Scale {
    pub(crate) fn apply(self, value: f64, page_bytes: u64) -> f64 {
        // Divided, not multiplied with a tenth that no double holds: 0.3 and not 0.30000000000000004.
        match self {
            Self::One => value,
            Self::Milli => value / 1e3,
            Self::Micro => value / 1e6,
            Self::Mega => value * 1e6,
            Self::Percent => value / 100.0,
            Self::Page => value * page_bytes as f64,
        }
    }
}

const fn family(name: &'static str, unit: &'static str, help: &'static str) -> Family {
    Family { name, unit, help }
}

type Labels = Vec<(&'static str, String)>;

/// The series of a column.
pub(crate) fn place(column: &Column) -> Place {
    let (family, labels, scale) = match column {
        Column::Host(field) => host(*field),
        Column::Device(name, field) => {
            let (family, scale) = device(*field);
            (family, vec![("device", name.clone())], scale)
        }
        Column::Gpu(number, field) => {
            let (family, scale) = gpu(*field);
            (family, vec![("gpu", number.to_string())], scale)
        }
        Column::Server(field) => server(*field),
        Column::Cache(field) => (cache(*field), Vec::new(), Scale::One),
    };
    Place {
        family,
        kind: column.kind(),
        labels,
        scale,
    }
}

const CPU: Family = family(
    "cpu_seconds",
    "seconds",
    "CPU time of all cores since boot, by mode.",
);

/// The time of one core.
pub(crate) const CORE: Family = family(
    "cpu_core_seconds",
    "seconds",
    "CPU time of one core since boot, by mode.",
);

/// The modes of a core's times, in the order of `cpu.csv`.
pub(crate) const MODES: [&str; 8] = [
    "user", "nice", "system", "iowait", "irq", "softirq", "steal", "idle",
];

const WAITING: Family = family(
    "pressure_waiting_seconds",
    "seconds",
    "Time since boot in which some task waited for the resource (PSI some).",
);
const STALLED: Family = family(
    "pressure_stalled_seconds",
    "seconds",
    "Time since boot in which all tasks that were not idle waited for the resource (PSI full).",
);
const SCANNED: Family = family(
    "reclaim_scanned_bytes",
    "bytes",
    "Memory that was looked at to be reclaimed, by who looked.",
);
const RECLAIMED: Family = family(
    "reclaim_reclaimed_bytes",
    "bytes",
    "Memory that was reclaimed, by who did it.",
);
const REFAULTED: Family = family(
    "workingset_refault_bytes",
    "bytes",
    "Memory that was read back soon after its eviction.",
);

fn host(field: Host) -> (Family, Labels, Scale) {
    let with = |family, label, value: &str, scale| (family, vec![(label, value.to_owned())], scale);
    let mode = |place: usize| with(CPU, "mode", MODES[place], Scale::Milli);
    let psi = |family, resource| with(family, "resource", resource, Scale::Micro);
    let by = |family, who| with(family, "reclaimer", who, Scale::Page);
    let kind = |family, kind| with(family, "kind", kind, Scale::Page);
    let plain = |name, unit, help, scale| (family(name, unit, help), Vec::new(), scale);
    let bytes = |name, help| plain(name, "bytes", help, Scale::One);
    let count = |name, help| plain(name, "", help, Scale::One);
    match field {
        Host::LateUs => plain(
            "sampler_lateness_seconds",
            "seconds",
            "How long after its deadline the last tick began.",
            Scale::Micro,
        ),
        Host::ReadUs => plain(
            "sampler_read_seconds",
            "seconds",
            "How long the last tick took to read everything.",
            Scale::Micro,
        ),
        Host::CpuUsrMs => mode(0),
        Host::CpuNiceMs => mode(1),
        Host::CpuSysMs => mode(2),
        Host::CpuIowaitMs => mode(3),
        Host::CpuIrqMs => mode(4),
        Host::CpuSoftMs => mode(5),
        Host::CpuStealMs => mode(6),
        Host::CpuIdleMs => mode(7),
        Host::PsiCpuSomeUs => psi(WAITING, "cpu"),
        Host::PsiCpuFullUs => psi(STALLED, "cpu"),
        Host::PsiIoSomeUs => psi(WAITING, "io"),
        Host::PsiIoFullUs => psi(STALLED, "io"),
        Host::PsiMemorySomeUs => psi(WAITING, "memory"),
        Host::PsiMemoryFullUs => psi(STALLED, "memory"),
        Host::MemTotalBytes => bytes("memory_size_bytes", "All usable memory."),
        Host::MemAvailableBytes => bytes(
            "memory_available_bytes",
            "Memory that can be had without swapping.",
        ),
        Host::MemFreeBytes => bytes("memory_free_bytes", "Memory that nobody uses."),
        Host::MemCachedBytes => bytes("memory_cached_bytes", "The page cache."),
        Host::MemDirtyBytes => bytes(
            "memory_dirty_bytes",
            "Bytes of the page cache that wait to be written back.",
        ),
        Host::SwapFreeBytes => bytes("swap_free_bytes", "Unused swap."),
        Host::PgmajfaultCount => count("major_page_faults", "Page faults that needed I/O."),
        Host::PgscanKswapdPages => by(SCANNED, "kswapd"),
        Host::PgscanDirectPages => by(SCANNED, "direct"),
        Host::PgstealKswapdPages => by(RECLAIMED, "kswapd"),
        Host::PgstealDirectPages => by(RECLAIMED, "direct"),
        Host::WorkingsetRefaultFilePages => kind(REFAULTED, "file"),
        Host::WorkingsetRefaultAnonPages => kind(REFAULTED, "anon"),
        Host::PswpinPages => plain("swap_in_bytes", "bytes", "Memory swapped in.", Scale::Page),
        Host::PswpoutPages => plain(
            "swap_out_bytes",
            "bytes",
            "Memory swapped out.",
            Scale::Page,
        ),
        Host::DropPagecacheCount => count(
            "page_cache_drops",
            "Times that somebody dropped the page cache.",
        ),
        Host::AllocstallCount => count(
            "allocation_stalls",
            "Times that an allocating task had to reclaim memory itself.",
        ),
        Host::OomKillCount => count(
            "oom_kills",
            "Tasks that the kernel killed for want of memory.",
        ),
    }
}

fn device(field: Device) -> (Family, Scale) {
    let count = |name, help| (family(name, "", help), Scale::One);
    let bytes = |name, help| (family(name, "bytes", help), Scale::One);
    let seconds = |name, help| (family(name, "seconds", help), Scale::Milli);
    match field {
        Device::ReadsCount => count("disk_reads_completed", "Reads completed."),
        Device::ReadMergesCount => count("disk_reads_merged", "Reads merged before their issue."),
        Device::ReadBytes => bytes("disk_read_bytes", "Bytes read."),
        Device::ReadTimeMs => seconds(
            "disk_read_time_seconds",
            "Time that reads waited and were served, summed over the reads.",
        ),
        Device::WritesCount => count("disk_writes_completed", "Writes completed."),
        Device::WriteMergesCount => {
            count("disk_writes_merged", "Writes merged before their issue.")
        }
        Device::WriteBytes => bytes("disk_written_bytes", "Bytes written."),
        Device::WriteTimeMs => seconds(
            "disk_write_time_seconds",
            "Time that writes waited and were served, summed over the writes.",
        ),
        Device::InFlightCount => count("disk_in_flight", "Requests issued and not yet completed."),
        Device::IoTimeMs => seconds(
            "disk_io_time_seconds",
            "Time with at least one request in flight.",
        ),
        Device::WeightedIoTimeMs => seconds(
            "disk_io_time_weighted_seconds",
            "Time in flight, summed over all requests: its rate is the mean queue (aqu-sz).",
        ),
        Device::DiscardsCount => count("disk_discards_completed", "Discards completed."),
        Device::DiscardMergesCount => count(
            "disk_discards_merged",
            "Discards merged before their issue.",
        ),
        Device::DiscardBytes => bytes("disk_discarded_bytes", "Bytes discarded."),
        Device::DiscardTimeMs => seconds(
            "disk_discard_time_seconds",
            "Time that discards waited and were served, summed over the discards.",
        ),
        Device::FlushesCount => count("disk_flushes_completed", "Flushes completed."),
        Device::FlushTimeMs => seconds(
            "disk_flush_time_seconds",
            "Time that flushes waited and were served, summed over the flushes.",
        ),
        Device::RAwaitMs => seconds(
            "disk_read_await_seconds",
            "Mean time of the reads that ended in the last tick; absent if none did.",
        ),
        Device::WAwaitMs => seconds(
            "disk_write_await_seconds",
            "Mean time of the writes that ended in the last tick; absent if none did.",
        ),
        Device::AquSz => count(
            "disk_queue_length",
            "Mean requests in flight over the last tick (aqu-sz).",
        ),
        Device::UtilPct => (
            family(
                "disk_busy_ratio",
                "ratio",
                "Share of the last tick with a request in flight; not a share of an NVMe drive's \
                 capacity.",
            ),
            Scale::Percent,
        ),
        Device::TempC => (
            family(
                "disk_temperature_celsius",
                "celsius",
                "The temperature that the drive's controller reports.",
            ),
            Scale::One,
        ),
    }
}

fn gpu(field: Gpu) -> (Family, Scale) {
    let bytes = |name, help| (family(name, "bytes", help), Scale::One);
    match field {
        Gpu::UtilPct => (
            family(
                "gpu_busy_ratio",
                "ratio",
                "Share of the driver's last sample period with a kernel running.",
            ),
            Scale::Percent,
        ),
        Gpu::SmClockMhz => (
            family(
                "gpu_sm_clock_hertz",
                "hertz",
                "The clock of the streaming multiprocessors.",
            ),
            Scale::Mega,
        ),
        Gpu::PowerMw => (
            family("gpu_power_watts", "watts", "Power drawn."),
            Scale::Milli,
        ),
        Gpu::TempC => (
            family(
                "gpu_temperature_celsius",
                "celsius",
                "The die's temperature.",
            ),
            Scale::One,
        ),
        Gpu::ThrottleReasons => (THROTTLED, Scale::One),
        Gpu::MemUsedBytes => bytes(
            "gpu_memory_used_bytes",
            "The GPU's own memory in use; absent where it shares the host's.",
        ),
        Gpu::MemTotalBytes => bytes(
            "gpu_memory_size_bytes",
            "The GPU's own memory; absent where it shares the host's.",
        ),
        Gpu::ProcessBytes => bytes(
            "gpu_process_memory_bytes",
            "Memory of all compute processes, summed.",
        ),
    }
}

/// A series a reason, 1 or 0: bits can't be queried.
pub(crate) const THROTTLED: Family = family(
    "gpu_throttled",
    "",
    "Whether the clocks are held back (1) or not (0), by reason.",
);

/// The bits of `nvmlClocksEventReasons` (nvml.h).
pub(crate) const THROTTLE_REASONS: [(u64, &str); 9] = [
    (0x001, "gpu_idle"),
    (0x002, "applications_clocks_setting"),
    (0x004, "sw_power_cap"),
    (0x008, "hw_slowdown"),
    (0x010, "sync_boost"),
    (0x020, "sw_thermal_slowdown"),
    (0x040, "hw_thermal_slowdown"),
    (0x080, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
];

fn server(field: Server) -> (Family, Labels, Scale) {
    const CPU: Family = family(
        "server_cpu_seconds",
        "seconds",
        "CPU time of the server's processes, by mode.",
    );
    const RESIDENT: Family = family(
        "server_resident_bytes",
        "bytes",
        "Resident memory of the server's processes, by kind.",
    );
    let plain = |name, unit, help| (family(name, unit, help), Vec::new(), Scale::One);
    let with = |family, label, value: &str, scale| (family, vec![(label, value.to_owned())], scale);
    match field {
        Server::CpuUsrMs => with(CPU, "mode", "user", Scale::Milli),
        Server::CpuSysMs => with(CPU, "mode", "system", Scale::Milli),
        Server::MajfaultCount => plain(
            "server_major_page_faults",
            "",
            "Page faults of the server's processes that needed I/O.",
        ),
        Server::ReadBytes => plain(
            "server_read_bytes",
            "bytes",
            "Bytes that the server's processes caused to be read from storage.",
        ),
        Server::WriteBytes => plain(
            "server_written_bytes",
            "bytes",
            "Bytes that the server's processes caused to be written to storage.",
        ),
        Server::RssAnonBytes => with(RESIDENT, "kind", "anon", Scale::One),
        Server::RssFileBytes => with(RESIDENT, "kind", "file", Scale::One),
        Server::ProcessesCount => plain("server_processes", "", "Processes of the server."),
        Server::ThreadsCount => plain("server_threads", "", "Threads of the server's processes."),
        Server::ThreadsDCount => plain(
            "server_threads_uninterruptible",
            "",
            "Threads in uninterruptible sleep: mostly waiting for storage.",
        ),
        Server::CgroupReadBytes => plain(
            "server_cgroup_read_bytes",
            "bytes",
            "Bytes that the server's control group read, over all devices.",
        ),
        Server::CgroupWriteBytes => plain(
            "server_cgroup_written_bytes",
            "bytes",
            "Bytes that the server's control group wrote, over all devices.",
        ),
        Server::CgroupMemBytes => plain(
            "server_cgroup_memory_bytes",
            "bytes",
            "Memory charged to the server's control group, page cache included.",
        ),
    }
}

fn cache(field: Cache) -> Family {
    match field {
        Cache::FileBytes => family("files_size_bytes", "bytes", "Size of the watched files."),
        Cache::ResidentBytes => family(
            "files_resident_bytes",
            "bytes",
            "Bytes of the watched files in the page cache.",
        ),
        Cache::DirtyBytes => family(
            "files_dirty_bytes",
            "bytes",
            "Bytes of the watched files that wait to be written back.",
        ),
    }
}
