//! A /proc and /sys tree as a GB10 shows it: 20 cores of two kinds, memory that CPU and GPU share,
//! 4 KiB pages, root on nvme0n1p2.

use clock::SessionClock;
use probe::{Probes, Roots, SampleInterval, Sampler, host};
use record::{Column, CoreRow, Device, DeviceUnderTest, Host, TelemetryRow, Value};
use std::{path::Path, sync::mpsc, time::Duration};

fn gb10() -> Roots {
    Roots::under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gb10"))
}

fn root_device() -> DeviceUnderTest {
    DeviceUnderTest {
        path: "/models".into(),
        name: Some("nvme0n1".to_owned()),
        partition: Some("nvme0n1p2".to_owned()),
        file_system: Some("ext4".to_owned()),
        model: None,
        why_not: None,
    }
}

/// The first two ticks over the tree, with their columns.
fn two_ticks(roots: &Roots) -> (Vec<Column>, Vec<(TelemetryRow, Vec<CoreRow>)>) {
    let probes = Probes::open(roots, Some(&root_device()));
    let columns = probes.columns().to_vec();
    let interval = SampleInterval::new(Duration::from_millis(10)).expect("10 ms is in range");
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        probes,
        interval,
        SessionClock::start(),
        move |row, cores| {
            let _ = send.send((row.clone(), cores.to_vec()));
        },
    )
    .expect("a thread can be started");
    let ticks = received.iter().take(2).collect();
    assert!(sampler.stop().faults.is_empty());
    (columns, ticks)
}

#[test]
fn facts() {
    let facts = host::facts(&gb10());
    assert_eq!(facts.hostname, "spark-0a1b");
    assert_eq!(facts.kernel, "6.14.0-1013-nvidia");
    assert_eq!(facts.os.as_deref(), Some("Ubuntu 24.04.3 LTS"));
    assert_eq!(
        facts.cpu.as_deref(),
        Some("10 x Cortex-A725 + 10 x Cortex-X925")
    );
    assert_eq!(facts.cores, 20);
    assert_eq!(facts.mem_total_bytes, Some(127_600_748 * 1024));
    assert_eq!(facts.swap_total_bytes, Some(16_777_212 * 1024));
    assert!(facts.boot_id.is_some());
}

#[test]
fn every_value_reads_right() {
    let (columns, ticks) = two_ticks(&gb10());
    let (row, cores) = &ticks[1];
    let value = |column: &Column| {
        let place = columns.iter().position(|other| other == column).unwrap();
        row.values[place]
    };
    let host = |field| value(&Column::Host(field));
    let disk = |name: &str, field| value(&Column::Device(name.to_owned(), field));

    assert_eq!(cores.len(), 20);
    assert_eq!(
        (cores[7].core, cores[7].times.usr_ms),
        (7, 10 * (182_340 + 7 * 311))
    );
    assert_eq!(cores[19].times.iowait_ms, 10 * (310 + 19 * 7));
    assert_eq!(
        host(Host::CpuUsrMs),
        Value::Int(cores.iter().map(|core| core.times.usr_ms).sum())
    );
    assert_eq!(host(Host::PsiIoFullUs), Value::Int(388_122_004));
    assert_eq!(host(Host::PsiCpuFullUs), Value::Int(0));
    assert_eq!(host(Host::MemAvailableBytes), Value::Int(81_033_600 * 1024));
    assert_eq!(host(Host::MemCachedBytes), Value::Int(76_200_112 * 1024));
    assert_eq!(
        host(Host::WorkingsetRefaultFilePages),
        Value::Int(1_482_201)
    );
    assert_eq!(host(Host::DropPagecacheCount), Value::Int(4));
    assert_eq!(
        disk("nvme0n1", Device::ReadBytes),
        Value::Int(98_122_334 * 512)
    );
    assert_eq!(disk("nvme0n1", Device::DiscardsCount), Value::Int(12_044));
    assert_eq!(
        disk("nvme0n1", Device::DiscardBytes),
        Value::Int(8_122_330 * 512)
    );
    assert_eq!(disk("nvme0n1", Device::FlushesCount), Value::Int(22_110));
    assert_eq!(disk("nvme0n1", Device::FlushTimeMs), Value::Int(41_288));
    assert_eq!(disk("nvme0n1p2", Device::InFlightCount), Value::Int(3));
    // Nothing moved: no I/O has no mean, but there was a time without any.
    assert_eq!(disk("nvme0n1", Device::RAwaitMs), Value::Absent);
    assert_eq!(disk("nvme0n1", Device::AquSz), Value::Real(0.0));
}

#[test]
fn only_means_over_no_io_and_a_partitions_flushes_are_absent() {
    let (columns, ticks) = two_ticks(&gb10());
    let row = &ticks[1].0;
    let absent: Vec<_> = columns
        .iter()
        .zip(&row.values)
        .filter(|(_, value)| **value == Value::Absent)
        .map(|(column, _)| column.to_string())
        .collect();
    // The temperature is read beside the sampler, and shown once.
    let mut absent: Vec<_> = absent.iter().map(String::as_str).collect();
    absent.retain(|name| *name != "disk_nvme0n1_temp_c");
    assert_eq!(
        absent,
        [
            "disk_nvme0n1_r_await_ms",
            "disk_nvme0n1_w_await_ms",
            "disk_nvme0n1p2_flushes_count",
            "disk_nvme0n1p2_flush_time_ms",
            "disk_nvme0n1p2_r_await_ms",
            "disk_nvme0n1p2_w_await_ms",
            "disk_nvme0n1p2_temp_c",
        ]
    );
}

#[test]
fn a_kernel_without_psi_leaves_its_columns_empty() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots {
        proc: folder.path().to_owned(),
        ..gb10()
    };
    for file in ["stat", "meminfo", "vmstat"] {
        std::fs::copy(gb10().proc.join(file), folder.path().join(file)).unwrap();
    }
    let probes = Probes::open(&roots, Some(&root_device()));
    let told: Vec<_> = probes
        .faults()
        .iter()
        .map(|fault| fault.sensor.to_string())
        .collect();
    assert_eq!(told, ["CPU pressure", "I/O pressure", "memory pressure"]);
    let columns = probes.columns().to_vec();
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        probes,
        SampleInterval::DEFAULT,
        SessionClock::start(),
        move |row, _| {
            let _ = send.send(row.clone());
        },
    )
    .expect("a thread can be started");
    let row = received.recv().unwrap();
    assert_eq!(sampler.stop().faults.len(), 3);
    let place = |field| {
        columns
            .iter()
            .position(|column| *column == Column::Host(field))
            .unwrap()
    };
    assert_eq!(row.values[place(Host::PsiIoSomeUs)], Value::Absent);
    assert_ne!(row.values[place(Host::MemTotalBytes)], Value::Absent);
}

#[test]
fn the_temperature_comes_once_from_the_drives_own_controller() {
    let probes = Probes::open(&gb10(), Some(&root_device()));
    let column = Column::Device("nvme0n1".to_owned(), Device::TempC);
    let place = probes
        .columns()
        .iter()
        .position(|other| *other == column)
        .unwrap();
    let (send, received) = mpsc::channel();
    let sampler = Sampler::start(
        probes,
        SampleInterval::DEFAULT,
        SessionClock::start(),
        move |row, _| {
            let _ = send.send(row.values[place]);
        },
    )
    .unwrap();
    let values: Vec<_> = received.iter().take(6).collect();
    sampler.stop();
    let present: Vec<_> = values
        .iter()
        .filter(|value| **value != Value::Absent)
        .collect();
    assert_eq!(present, [&Value::Real(47.85)]);
}
