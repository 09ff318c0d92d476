//! What the host did over an interval, from differences of its counters.

use clock::SessionNs;
use record::{Column, Device, Gpu, Host, Interval, Server, Telemetry};

/// A figure of the host: a mean over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostFigure {
    /// CPU time in user mode, of all CPU time.
    UsrPct,
    /// CPU time in user mode, niced.
    NicePct,
    /// CPU time in the kernel.
    SysPct,
    /// Idle CPU time while a task waited for I/O.
    IowaitPct,
    /// CPU time in hardware interrupts.
    IrqPct,
    /// CPU time in soft interrupts.
    SoftPct,
    /// CPU time taken by the hypervisor.
    StealPct,
    /// Idle CPU time.
    IdlePct,
    /// Time in which some task waited for a CPU.
    PsiCpuSomePct,
    /// Time in which some task waited for I/O.
    PsiIoSomePct,
    /// Time in which all non-idle tasks waited for I/O.
    PsiIoFullPct,
    /// Time in which some task waited for memory.
    PsiMemorySomePct,
    /// Time in which all non-idle tasks waited for memory.
    PsiMemoryFullPct,
    /// Bytes read from the device under test, 10⁶ a second.
    ReadMbS,
    /// Bytes written to the device under test, 10⁶ a second.
    WriteMbS,
    /// Mean time of a read of the device under test.
    RAwaitMs,
    /// Mean time of a write of the device under test.
    WAwaitMs,
    /// Mean I/Os in flight on the device under test.
    AquSz,
    /// Time with at least one I/O in flight on the device under test. On NVMe no share of capacity.
    UtilPct,
    /// Pages, of files and anonymous, read back soon after their eviction, a second.
    RefaultPagesS,
    /// Page faults that needed I/O, a second.
    MajfaultsS,
    /// Pages swapped in, a second.
    SwapinPagesS,
    /// Times that an allocating task had to reclaim memory itself, a second.
    DirectReclaimsS,
    /// Memory that could be had, mean, in GiB.
    MemAvailableGib,
    /// Bytes that the server's processes caused to be read from storage, 10⁶ a second.
    ServerReadMbS,
    /// Bytes that the server's control group read, 10⁶ a second.
    CgroupReadMbS,
    /// The server's page faults that needed I/O, a second.
    ServerMajfaultsS,
    /// CPU time of the server's processes, of one CPU's time.
    ServerCpuPct,
    /// Mean utilisation of the GPUs.
    GpuUtilPct,
    /// Requests that the server runs, mean, by its own count.
    ServerRunning,
    /// Requests that wait in the server, mean, by its own count.
    ServerWaiting,
    /// Bytes of KV cache that the server brought back from a lower tier, 10⁶ a second.
    KvOnboardMbS,
}

impl HostFigure {
    /// All of them, in the order in which they are reported.
    pub const ALL: [HostFigure; 32] = {
        use HostFigure::*;
        [
            UsrPct,
            NicePct,
            SysPct,
            IowaitPct,
            IrqPct,
            SoftPct,
            StealPct,
            IdlePct,
            PsiCpuSomePct,
            PsiIoSomePct,
            PsiIoFullPct,
            PsiMemorySomePct,
            PsiMemoryFullPct,
            ReadMbS,
            WriteMbS,
            RAwaitMs,
            WAwaitMs,
            AquSz,
            UtilPct,
            RefaultPagesS,
            MajfaultsS,
            SwapinPagesS,
            DirectReclaimsS,
            MemAvailableGib,
            ServerReadMbS,
            CgroupReadMbS,
            ServerMajfaultsS,
            ServerCpuPct,
            GpuUtilPct,
            ServerRunning,
            ServerWaiting,
            KvOnboardMbS,
        ]
    };

    /// Its name and unit, as people read them.
    pub const fn label(self) -> &'static str {
        match self {
            HostFigure::UsrPct => "user, %",
            HostFigure::NicePct => "nice, %",
            HostFigure::SysPct => "system, %",
            HostFigure::IowaitPct => "iowait, %",
            HostFigure::IrqPct => "irq, %",
            HostFigure::SoftPct => "soft irq, %",
            HostFigure::StealPct => "steal, %",
            HostFigure::IdlePct => "idle, %",
            HostFigure::PsiCpuSomePct => "PSI cpu some, %",
            HostFigure::PsiIoSomePct => "PSI io some, %",
            HostFigure::PsiIoFullPct => "PSI io full, %",
            HostFigure::PsiMemorySomePct => "PSI memory some, %",
            HostFigure::PsiMemoryFullPct => "PSI memory full, %",
            HostFigure::ReadMbS => "device read, MB/s",
            HostFigure::WriteMbS => "device write, MB/s",
            HostFigure::RAwaitMs => "r_await, ms",
            HostFigure::WAwaitMs => "w_await, ms",
            HostFigure::AquSz => "aqu-sz",
            HostFigure::UtilPct => "util, %",
            HostFigure::RefaultPagesS => "refaults, pages/s",
            HostFigure::MajfaultsS => "major faults/s",
            HostFigure::SwapinPagesS => "swapped in, pages/s",
            HostFigure::DirectReclaimsS => "direct reclaims/s",
            HostFigure::MemAvailableGib => "memory available, GiB",
            HostFigure::ServerReadMbS => "server read, MB/s",
            HostFigure::CgroupReadMbS => "server’s cgroup read, MB/s",
            HostFigure::ServerMajfaultsS => "server’s major faults/s",
            HostFigure::ServerCpuPct => "server’s CPU, % of one",
            HostFigure::GpuUtilPct => "GPU utilisation, %",
            HostFigure::ServerRunning => "server: requests running",
            HostFigure::ServerWaiting => "server: requests waiting",
            HostFigure::KvOnboardMbS => "server: KV brought back, MB/s",
        }
    }
}

/// A mean over time, kept as its two sums, so that the means of several runs pool exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mean {
    pub(crate) sum: f64,
    pub(crate) over: f64,
}

impl Mean {
    /// Two parts of one count, over the same time.
    fn plus(self, other: Mean) -> Mean {
        Mean {
            sum: self.sum + other.sum,
            over: self.over.max(other.over),
        }
    }

    /// Two means of the same kind, made one.
    fn beside(self, other: Mean) -> Mean {
        Mean {
            sum: self.sum + other.sum,
            over: self.over + other.over,
        }
    }
}

/// The host's figures over one or several intervals. What was not recorded is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostMeans([Option<Mean>; HostFigure::ALL.len()]);

impl HostMeans {
    /// The figures of one interval: each counter's difference between the first and the last tick
    /// inside it, divided by the true time between these two ticks (or, for shares of CPU time,
    /// by all CPU time between them). `device` is the kernel's name of the device under test.
    pub fn over(telemetry: &Telemetry, device: Option<&str>, interval: &Interval) -> Self {
        let window = Window::new(telemetry, interval);
        let mut means = Self::default();
        cpu_shares(&window, &mut means);
        pressure(&window, &mut means);
        if let Some(device) = device {
            device_rates(&window, device, &mut means);
        }
        memory(&window, &mut means);
        server(&window, &mut means);
        let columns = telemetry.columns().iter();
        let util = columns
            .filter(|column| matches!(column, Column::Gpu(_, Gpu::UtilPct)))
            .filter_map(|column| window.gauge(column));
        means.set(HostFigure::GpuUtilPct, util.reduce(Mean::beside), 1.0);
        means
    }

    /// The figures of all these intervals together; each figure over the intervals that have it.
    pub fn pooled<'a>(parts: impl IntoIterator<Item = &'a HostMeans>) -> Self {
        let mut pooled = Self::default();
        for part in parts {
            for (all, part) in pooled.0.iter_mut().zip(part.0) {
                *all = match (*all, part) {
                    (Some(a), Some(b)) => Some(a.beside(b)),
                    (all, part) => all.or(part),
                };
            }
        }
        pooled
    }

    /// A figure's value. Absent also where its divisor is zero: no reads, no time of a read.
    pub fn get(&self, figure: HostFigure) -> Option<f64> {
        let mean = self.0[figure as usize]?;
        (mean.over > 0.0).then(|| mean.sum / mean.over)
    }

    pub(crate) fn set(&mut self, figure: HostFigure, mean: Option<Mean>, scale: f64) {
        self.0[figure as usize] = mean.map(|mean| Mean {
            sum: mean.sum * scale,
            ..mean
        });
    }
}

fn cpu_shares(window: &Window, means: &mut HostMeans) {
    const TIMES: [(HostFigure, Host); 8] = [
        (HostFigure::UsrPct, Host::CpuUsrMs),
        (HostFigure::NicePct, Host::CpuNiceMs),
        (HostFigure::SysPct, Host::CpuSysMs),
        (HostFigure::IowaitPct, Host::CpuIowaitMs),
        (HostFigure::IrqPct, Host::CpuIrqMs),
        (HostFigure::SoftPct, Host::CpuSoftMs),
        (HostFigure::StealPct, Host::CpuStealMs),
        (HostFigure::IdlePct, Host::CpuIdleMs),
    ];
    let spent = TIMES.map(|(figure, field)| (figure, window.counter(&Column::Host(field))));
    let all: f64 = spent
        .iter()
        .filter_map(|(_, mean)| Some(mean.as_ref()?.sum))
        .sum();
    for (figure, mean) in spent {
        let share = mean.map(|mean| Mean {
            sum: mean.sum,
            over: all,
        });
        means.set(figure, share, 100.0);
    }
}

fn pressure(window: &Window, means: &mut HostMeans) {
    const STALLS: [(HostFigure, Host); 5] = [
        (HostFigure::PsiCpuSomePct, Host::PsiCpuSomeUs),
        (HostFigure::PsiIoSomePct, Host::PsiIoSomeUs),
        (HostFigure::PsiIoFullPct, Host::PsiIoFullUs),
        (HostFigure::PsiMemorySomePct, Host::PsiMemorySomeUs),
        (HostFigure::PsiMemoryFullPct, Host::PsiMemoryFullUs),
    ];
    for (figure, field) in STALLS {
        means.set(figure, window.counter(&Column::Host(field)), 100.0 / 1e6);
    }
}

fn memory(window: &Window, means: &mut HostMeans) {
    let counter = |field| window.counter(&Column::Host(field));
    let refaults = [
        Host::WorkingsetRefaultFilePages,
        Host::WorkingsetRefaultAnonPages,
    ];
    let refaults = refaults.into_iter().filter_map(counter).reduce(Mean::plus);
    means.set(HostFigure::RefaultPagesS, refaults, 1.0);
    for (figure, field) in [
        (HostFigure::MajfaultsS, Host::PgmajfaultCount),
        (HostFigure::SwapinPagesS, Host::PswpinPages),
        (HostFigure::DirectReclaimsS, Host::AllocstallCount),
    ] {
        means.set(figure, counter(field), 1.0);
    }
    let available = window.gauge(&Column::Host(Host::MemAvailableBytes));
    means.set(
        HostFigure::MemAvailableGib,
        available,
        1.0 / f64::from(1 << 30),
    );
}

fn server(window: &Window, means: &mut HostMeans) {
    let counter = |field| window.counter(&Column::Server(field));
    for (figure, field, scale) in [
        (HostFigure::ServerReadMbS, Server::ReadBytes, 1e-6),
        (HostFigure::CgroupReadMbS, Server::CgroupReadBytes, 1e-6),
        (HostFigure::ServerMajfaultsS, Server::MajfaultCount, 1.0),
    ] {
        means.set(figure, counter(field), scale);
    }
    let cpu = [Server::CpuUsrMs, Server::CpuSysMs].map(counter);
    let cpu = cpu.into_iter().flatten().reduce(Mean::plus);
    means.set(HostFigure::ServerCpuPct, cpu, 0.1);
}

fn device_rates(window: &Window, device: &str, means: &mut HostMeans) {
    let counter = |field| window.counter(&Column::Device(device.to_owned(), field));
    means.set(HostFigure::ReadMbS, counter(Device::ReadBytes), 1e-6);
    means.set(HostFigure::WriteMbS, counter(Device::WriteBytes), 1e-6);
    means.set(HostFigure::AquSz, counter(Device::WeightedIoTimeMs), 1e-3);
    means.set(HostFigure::UtilPct, counter(Device::IoTimeMs), 0.1);
    let mean_time = |time, count| {
        Some(Mean {
            sum: counter(time)?.sum,
            over: counter(count)?.sum,
        })
    };
    let read = mean_time(Device::ReadTimeMs, Device::ReadsCount);
    let write = mean_time(Device::WriteTimeMs, Device::WritesCount);
    means.set(HostFigure::RAwaitMs, read, 1.0);
    means.set(HostFigure::WAwaitMs, write, 1.0);
}

/// The ticks inside an interval.
struct Window<'a> {
    telemetry: &'a Telemetry,
    ticks: std::ops::Range<usize>,
}

impl<'a> Window<'a> {
    fn new(telemetry: &'a Telemetry, interval: &Interval) -> Self {
        let before = |limit: SessionNs| telemetry.times().partition_point(|&t| t < limit);
        Self {
            telemetry,
            ticks: before(interval.start_ns)..before(interval.end_ns),
        }
    }

    /// How far a counter moved between the first and the last tick that have it, and in how many
    /// seconds. Absent where fewer than two ticks have it, and where it moved backwards: the
    /// kernel's iowait may, and what a counter lost cannot be told.
    fn counter(&self, column: &Column) -> Option<Mean> {
        let series = self.telemetry.series(column)?;
        let has = |&index: &usize| series.get(index).is_some();
        let first = self.ticks.clone().find(has)?;
        let last = self.ticks.clone().rfind(has)?;
        let moved = series.get(last)? - series.get(first)?;
        let times = self.telemetry.times();
        let over = (times[last] - times[first]) as f64 / 1e9;
        (last > first && moved >= 0.0).then_some(Mean { sum: moved, over })
    }

    /// The mean of a gauge over the ticks that have it.
    fn gauge(&self, column: &Column) -> Option<Mean> {
        let series = self.telemetry.series(column)?;
        let values = self.ticks.clone().filter_map(|index| series.get(index));
        let (sum, over) = values.fold((0.0, 0.0), |(sum, over), value| (sum + value, over + 1.0));
        (over > 0.0).then_some(Mean { sum, over })
    }
}
