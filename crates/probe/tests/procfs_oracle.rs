//! The same bytes, read by us and by the `procfs` crate.

use probe::parse::{self, CpuStat, DiskStats, Meminfo, Pressure, Vmstat};
use procfs::{FromBufRead, FromBufReadSI, LocalSystemInfo};
use std::{fs, path::Path};

/// The file of this machine and of the GB10's tree.
fn files(name: &str) -> Vec<Vec<u8>> {
    let gb10 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gb10/proc");
    [Path::new("/proc"), &gb10]
        .into_iter()
        .filter_map(|root| fs::read(root.join(name)).ok())
        .collect()
}

#[test]
fn cpu_times() {
    for text in files("stat") {
        let mut ours = CpuStat::default();
        parse::cpu_stat(&text, &mut ours).unwrap();
        let theirs = procfs::KernelStats::from_buf_read(&text[..], &LocalSystemInfo).unwrap();
        let fields = |cpu: &procfs::CpuTime| {
            [
                cpu.user,
                cpu.nice,
                cpu.system,
                cpu.idle,
                cpu.iowait.unwrap(),
                cpu.irq.unwrap(),
                cpu.softirq.unwrap(),
                cpu.steal.unwrap(),
                cpu.guest.unwrap(),
                cpu.guest_nice.unwrap(),
            ]
        };
        let own = |cpu: &parse::CpuTicks| {
            [
                cpu.user,
                cpu.nice,
                cpu.system,
                cpu.idle,
                cpu.iowait,
                cpu.irq,
                cpu.softirq,
                cpu.steal,
                cpu.guest,
                cpu.guest_nice,
            ]
        };
        assert_eq!(own(&ours.total), fields(&theirs.total));
        assert_eq!(ours.cores.len(), theirs.cpu_time.len());
        for (ours, theirs) in ours.cores.iter().zip(&theirs.cpu_time) {
            assert_eq!(own(&ours.ticks), fields(theirs));
        }
    }
}

#[test]
fn memory() {
    for text in files("meminfo") {
        let mut ours = Meminfo::default();
        parse::meminfo(&text, &mut ours).unwrap();
        let theirs = procfs::Meminfo::from_buf_read(&text[..]).unwrap();
        assert_eq!(ours.total_bytes, Some(theirs.mem_total));
        assert_eq!(ours.free_bytes, Some(theirs.mem_free));
        assert_eq!(ours.available_bytes, theirs.mem_available);
        assert_eq!(ours.cached_bytes, Some(theirs.cached));
        assert_eq!(ours.dirty_bytes, Some(theirs.dirty));
        assert_eq!(ours.swap_total_bytes, Some(theirs.swap_total));
        assert_eq!(ours.swap_free_bytes, Some(theirs.swap_free));
    }
}

#[test]
fn paging() {
    for text in files("vmstat") {
        let mut ours = Vmstat::default();
        parse::vmstat(&text, &mut ours).unwrap();
        let theirs = procfs::VmStat::from_buf_read(&text[..]).unwrap();
        let count = |name: &str| theirs.0.get(name).map(|&count| count as u64);
        assert_eq!(ours.pgmajfault, count("pgmajfault"));
        assert_eq!(ours.pgscan_kswapd, count("pgscan_kswapd"));
        assert_eq!(ours.pgscan_direct, count("pgscan_direct"));
        assert_eq!(ours.pgsteal_kswapd, count("pgsteal_kswapd"));
        assert_eq!(ours.pgsteal_direct, count("pgsteal_direct"));
        assert_eq!(
            ours.workingset_refault_file,
            count("workingset_refault_file")
        );
        assert_eq!(
            ours.workingset_refault_anon,
            count("workingset_refault_anon")
        );
        assert_eq!(ours.pswpin, count("pswpin"));
        assert_eq!(ours.pswpout, count("pswpout"));
        assert_eq!(ours.drop_pagecache, count("drop_pagecache"));
    }
}

#[test]
fn pressure() {
    for text in files("pressure/io")
        .into_iter()
        .chain(files("pressure/memory"))
    {
        let mut ours = Pressure::default();
        parse::pressure(&text, &mut ours).unwrap();
        let theirs = procfs::IoPressure::from_buf_read(&text[..]).unwrap();
        assert_eq!(ours.some_us, Some(theirs.some.total));
        assert_eq!(ours.full_us, Some(theirs.full.total));
    }
}

#[test]
fn block_devices() {
    for text in files("diskstats") {
        let mut ours = DiskStats::default();
        parse::diskstats(&text, &mut ours).unwrap();
        let theirs = procfs::DiskStats::from_buf_read(&text[..]).unwrap();
        assert_eq!(ours.devices.len(), theirs.0.len());
        for ((name, ours), theirs) in ours.devices.iter().zip(&theirs.0) {
            assert_eq!(*name, theirs.name);
            assert_eq!(ours.reads, theirs.reads);
            assert_eq!(ours.read_sectors_512, theirs.sectors_read);
            assert_eq!(ours.read_time_ms, theirs.time_reading);
            assert_eq!(ours.writes, theirs.writes);
            assert_eq!(ours.write_sectors_512, theirs.sectors_written);
            assert_eq!(ours.write_time_ms, theirs.time_writing);
            assert_eq!(ours.in_flight, theirs.in_progress);
            assert_eq!(ours.io_time_ms, theirs.time_in_progress);
            assert_eq!(ours.weighted_io_time_ms, theirs.weighted_time_in_progress);
            assert_eq!(
                ours.discards.map(|all| all.sectors_512),
                theirs.sectors_discarded
            );
            assert_eq!(ours.flushes.map(|all| all.time_ms), theirs.time_flushing);
        }
    }
}
