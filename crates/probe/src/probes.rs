//! All sensors, read together into one row.

use crate::{
    Fault, ProbeError, Roots, Sensor,
    background::{Fill, Section},
    block::BlockProbe,
    device,
    gpu::{self, GpuFacts},
    kept_file::Source,
    live::LiveReading,
    page_cache::{self, Files},
    parse::{self, CpuStat, Meminfo, Pressure, UserHz, Vmstat},
    server::{self, ServerProcess},
};
use clock::MonoNs;
use record::{
    Cache, Column, CoreRow, CpuTimes, Device, DeviceUnderTest, Gpu, Host, Server, TelemetryRow,
    Value,
};
use std::io;

/// The three resources that tasks wait for.
struct Pressures {
    cpu: Source<Pressure>,
    io: Source<Pressure>,
    memory: Source<Pressure>,
}

impl Pressures {
    fn open(roots: &Roots, faults: &mut Vec<Fault>) -> Self {
        let mut open = |sensor, name: &str| {
            let path = roots.proc.join("pressure").join(name);
            Source::open(sensor, path, parse::pressure, faults)
        };
        Self {
            cpu: open(Sensor::CpuPressure, "cpu"),
            io: open(Sensor::IoPressure, "io"),
            memory: open(Sensor::MemoryPressure, "memory"),
        }
    }

    /// Fills their columns; gives the time in which some task waited for I/O.
    fn read(&mut self, host: &mut [Value], faults: &mut Vec<Fault>) -> Option<u64> {
        let mut read = |source: &mut Source<Pressure>, some, full| {
            let psi = source.read(faults)?;
            fill(host, [(some, psi.some_us), (full, psi.full_us)]);
            psi.some_us
        };
        read(&mut self.cpu, Host::PsiCpuSomeUs, Host::PsiCpuFullUs);
        read(
            &mut self.memory,
            Host::PsiMemorySomeUs,
            Host::PsiMemoryFullUs,
        );
        read(&mut self.io, Host::PsiIoSomeUs, Host::PsiIoFullUs)
    }
}

/// The open sensors. Their columns are fixed when they are opened.
pub struct Probes {
    hz: UserHz,
    cpu: Source<CpuStat>,
    pressure: Pressures,
    memory: Source<Meminfo>,
    paging: Source<Vmstat>,
    disks: Vec<BlockProbe>,
    /// The place of the device under test in `disks`.
    under_test: Option<usize>,
    /// Sensors with threads of their own.
    sections: Vec<Section>,
    columns: Vec<Column>,
    faults: Vec<Fault>,
}

impl Probes {
    /// Opens every file. A sensor that is not there becomes a fault.
    ///
    /// The block devices are the one under test, its partition, and all other real whole disks:
    /// whatever else reads or writes may disturb.
    pub fn open(roots: &Roots, under_test: Option<&DeviceUnderTest>) -> Self {
        let mut faults = Vec::new();
        let found = &mut faults;
        let proc = |name: &str| roots.proc.join(name);
        let cpu = Source::open(Sensor::Cpu, proc("stat"), parse::cpu_stat, found);
        let pressure = Pressures::open(roots, found);
        let memory = Source::open(Sensor::Memory, proc("meminfo"), parse::meminfo, found);
        let paging = Source::open(Sensor::Paging, proc("vmstat"), parse::vmstat, found);
        let disks: Vec<_> = device::to_sample(roots, under_test)
            .iter()
            .map(|name| BlockProbe::open(roots, name, found))
            .collect();
        let name = under_test.and_then(|device| device.name.as_deref());
        Self {
            hz: UserHz::of_this_system(),
            cpu,
            pressure,
            memory,
            paging,
            under_test: disks.iter().position(|disk| Some(disk.name()) == name),
            columns: columns(&disks),
            sections: temperatures(roots, &disks),
            disks,
            faults,
        }
    }

    /// Adds the columns of these GPUs.
    pub fn with_gpus(mut self, gpus: &[GpuFacts]) -> Self {
        for gpu in gpus {
            let columns = Gpu::ALL.iter().map(|&field| Column::Gpu(gpu.number, field));
            self.add(Sensor::Gpu(gpu.number), columns, gpu::watch(gpu.number));
        }
        self
    }

    /// Adds the columns of the server's process tree and control group.
    pub fn with_server(mut self, roots: &Roots, root: ServerProcess) -> Self {
        let columns = Server::ALL.iter().map(|&field| Column::Server(field));
        self.add(
            Sensor::Server(root.pid),
            columns,
            server::watch(roots, root),
        );
        self
    }

    /// Adds the columns of these files' share of the page cache.
    pub fn with_files(mut self, files: Files) -> Self {
        let columns = Cache::ALL.iter().map(|&field| Column::Cache(field));
        self.add(Sensor::PageCache, columns, page_cache::watch(files));
        self
    }

    /// Adds columns at the end, filled by a sensor with a thread of its own.
    fn add(
        &mut self,
        sensor: Sensor,
        columns: impl Iterator<Item = Column>,
        started: io::Result<Box<dyn Fill + Send>>,
    ) {
        let start = self.columns.len();
        self.columns.extend(columns);
        let at = start..self.columns.len();
        match started {
            Ok(sensor) => self.sections.push(Section { at, sensor }),
            Err(source) => self.faults.push(Fault {
                sensor,
                error: ProbeError::Thread { source },
            }),
        }
    }

    /// The columns of the rows, in their order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Asks the sensors that have threads of their own for a reading now.
    pub(crate) fn hasten(&self) {
        self.sections.iter().for_each(|it| it.sensor.hasten());
    }

    /// The sensors that gave nothing so far, each once.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Reads everything into `row.values` and `cores`, whose `t` is `row.t`; leaves `late_us` and
    /// `read_us` absent. Returns what the live view needs of it.
    pub(crate) fn read(&mut self, row: &mut TelemetryRow, cores: &mut Vec<CoreRow>) -> LiveReading {
        row.values.resize(self.columns.len(), Value::Absent);
        let (host, disks) = row.values.split_at_mut(Host::ALL.len());
        host.fill(Value::Absent);
        let mut live = LiveReading::begin(MonoNs::now());
        // The counters whose rates matter most come first, next to the row's time.
        let faults = &mut self.faults;
        for (disk, values) in self
            .disks
            .iter_mut()
            .zip(disks.chunks_mut(Device::ALL.len()))
        {
            disk.read(values, faults);
        }
        live.disk = self.under_test.and_then(|index| self.disks[index].bytes());
        cores.clear();
        if let Some(cpu) = self.cpu.read(faults) {
            let times = cpu.total.times(self.hz);
            live.cpu = Some(times);
            fill_cpu(host, times.fields());
            cores.extend(cpu.cores.iter().map(|core| CoreRow {
                t: row.t,
                core: core.core,
                times: core.ticks.times(self.hz),
            }));
        }
        live.psi_io_some_us = self.pressure.read(host, faults);
        if let Some(memory) = self.memory.read(faults) {
            live.mem_available_bytes = memory.available_bytes;
            fill_memory(host, memory);
        }
        if let Some(paging) = self.paging.read(faults) {
            fill_paging(host, paging);
        }
        for section in &mut self.sections {
            let values = &mut row.values[section.at.clone()];
            values.fill(Value::Absent);
            section.sensor.fill(values);
        }
        live
    }
}

fn columns(disks: &[BlockProbe]) -> Vec<Column> {
    let host = Host::ALL.iter().map(|&field| Column::Host(field));
    let disks = disks.iter().flat_map(|disk| {
        let column = |&field| Column::Device(disk.name().to_owned(), field);
        Device::ALL.iter().map(column)
    });
    host.chain(disks).collect()
}

/// The temperature of every whole disk that has a sensor. One that has none is no fault: virtual
/// disks have none, and NVMe's needs CONFIG_NVME_HWMON.
fn temperatures(roots: &Roots, disks: &[BlockProbe]) -> Vec<Section> {
    let places = (Host::ALL.len()..).step_by(Device::ALL.len());
    let whole = disks
        .iter()
        .zip(places)
        .filter(|(disk, _)| device::is_whole(roots, disk.name()));
    whole
        .filter_map(|(disk, start)| {
            let file = device::temperature::file(roots, disk.name())?;
            let sensor = Box::new(device::temperature::watch(&file).ok()?);
            let place = start + Device::TempC as usize;
            let at = place..place + 1;
            Some(Section { at, sensor })
        })
        .collect()
}

/// Places values; a `Host` field's number is its place, because the columns begin with all of
/// them in their order.
fn fill<const N: usize>(host: &mut [Value], values: [(Host, Option<u64>); N]) {
    for (field, value) in values {
        host[field as usize] = value.into();
    }
}

fn fill_cpu(host: &mut [Value], times: [u64; 8]) {
    for (field, time) in CpuTimes::OF_HOST.into_iter().zip(times) {
        host[field as usize] = time.into();
    }
}

fn fill_memory(host: &mut [Value], memory: &Meminfo) {
    fill(
        host,
        [
            (Host::MemTotalBytes, memory.total_bytes),
            (Host::MemAvailableBytes, memory.available_bytes),
            (Host::MemFreeBytes, memory.free_bytes),
            (Host::MemCachedBytes, memory.cached_bytes),
            (Host::MemDirtyBytes, memory.dirty_bytes),
            (Host::SwapFreeBytes, memory.swap_free_bytes),
        ],
    );
}

fn fill_paging(host: &mut [Value], paging: &Vmstat) {
    fill(
        host,
        [
            (Host::PgmajfaultCount, paging.pgmajfault),
            (Host::PgscanKswapdPages, paging.pgscan_kswapd),
            (Host::PgscanDirectPages, paging.pgscan_direct),
            (Host::PgstealKswapdPages, paging.pgsteal_kswapd),
            (Host::PgstealDirectPages, paging.pgsteal_direct),
            (
                Host::WorkingsetRefaultFilePages,
                paging.workingset_refault_file,
            ),
            (
                Host::WorkingsetRefaultAnonPages,
                paging.workingset_refault_anon,
            ),
            (Host::PswpinPages, paging.pswpin),
            (Host::PswpoutPages, paging.pswpout),
            (Host::DropPagecacheCount, paging.drop_pagecache),
            (Host::AllocstallCount, paging.allocstall),
            (Host::OomKillCount, paging.oom_kill),
        ],
    );
}
