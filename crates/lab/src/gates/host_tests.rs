use super::*;
use record::{SessionDir, TelemetryRow, TelemetryWriter, Value};
use std::fs;

const DISK: &str = "nvme0n1";

fn second(count: i64) -> SessionNs {
    SessionNs(count * 1_000_000_000)
}

/// Ramp 0 to 1 s, measured 1 to 4 s, drained until 6 s.
fn stages() -> Stages {
    let part = |start, end| Interval {
        start_ns: second(start),
        end_ns: second(end),
    };
    Stages {
        ramp: part(0, 1),
        warmup: part(1, 1),
        measure: part(1, 4),
        drain: part(4, 6),
    }
}

/// A tick a second from -1 s, each column with its values.
fn telemetry(columns: &[(Column, &[Option<f64>])]) -> Telemetry {
    let folder = tempfile::tempdir().unwrap();
    let id = serde_json::from_str("\"h2-u001-r1\"").unwrap();
    let run = SessionDir::new(folder.path().to_owned()).run(&id);
    fs::create_dir_all(run.path()).unwrap();
    let names: Vec<Column> = columns.iter().map(|(column, _)| column.clone()).collect();
    let mut writer = TelemetryWriter::create(run.path(), &names).unwrap();
    for tick in 0..columns[0].1.len() {
        let row = TelemetryRow {
            tick: tick as u64,
            t: second(tick as i64 - 1),
            values: columns
                .iter()
                .map(|(_, values)| Value::from(values[tick]))
                .collect(),
        };
        writer.tick(&row, &[]).unwrap();
    }
    drop(writer);
    run.read_telemetry().unwrap().0
}

fn all(values: [f64; 8]) -> Vec<Option<f64>> {
    values.map(Some).to_vec()
}

fn log(minutes: u32, transitions: Option<[u32; 2]>) -> SmartLog {
    SmartLog {
        warning_temp_minutes: minutes,
        thermal_transitions: transitions,
        ..probe::nvme::parse_log(&[0; 512])
    }
}

#[test]
fn swap_counts_from_the_measured_interval_to_the_last_requests_end() {
    let into = all([0.0, 5.0, 7.0, 7.0, 9.0, 9.0, 10.0, 99.0]);
    let out = all([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 50.0]);
    let memory = all([1.0, 4.0, 3.0, 2.0, 3.0, 3.0, 3.0, 0.0].map(|mib| mib * f64::from(1 << 20)));
    let columns = [
        (Column::Host(Host::PswpinPages), &into[..]),
        (Column::Host(Host::PswpoutPages), &out[..]),
        (Column::Host(Host::MemAvailableBytes), &memory[..]),
    ];
    let seen = HostSeen::of(&telemetry(&columns), &stages(), None);
    // From the tick at 1 s to the one at 5 s.
    assert_eq!(seen.swapped_pages, Some(3.0));
    assert_eq!(seen.mem_available_mib, Some(2.0));
    assert_eq!((seen.drive, seen.gpu_hot_pct), (Drive::Silent, None));
}

#[test]
fn what_was_not_sampled_is_absent() {
    let none = [None; 8];
    let columns = [(Column::Host(Host::PswpinPages), &none[..])];
    let seen = HostSeen::of(&telemetry(&columns), &stages(), None);
    assert_eq!((seen.swapped_pages, seen.mem_available_mib), (None, None));
}

#[test]
fn a_drive_is_hot_by_its_sensor_or_by_its_log() {
    let degrees = [
        Some(99.0),
        None,
        Some(79.0),
        Some(80.0),
        None,
        Some(79.0),
        Some(81.0),
        Some(99.0),
    ];
    let column = Column::Device(DISK.to_owned(), Device::TempC);
    let told = telemetry(&[(column, &degrees)]);
    let of = |warning_c, smart: Option<(&SmartLog, &SmartLog)>| {
        let facts = DriveFacts {
            name: DISK,
            warning_c,
            smart,
        };
        HostSeen::of(&told, &stages(), Some(&facts)).drive
    };
    let nvme = |hot_s, transitions| Drive::Nvme { hot_s, transitions };
    // From 2 s to 4 s, and the last reading of the run, at 5 s.
    assert_eq!(of(Some(80.0), None), nvme(Some(3.0), None));
    assert_eq!(of(Some(90.0), None), nvme(Some(0.0), None));
    assert_eq!(of(None, None), nvme(None, None));
    let (pre, post) = (log(3, Some([1, 0])), log(4, Some([2, 1])));
    assert_eq!(
        of(Some(90.0), Some((&pre, &post))),
        nvme(Some(60.0), Some(2))
    );
    assert_eq!(of(None, Some((&pre, &log(3, None)))), nvme(Some(0.0), None));
}

#[test]
fn a_gpu_is_hot_by_the_reasons_for_its_clocks() {
    let of = |reasons: [Option<f64>; 8]| {
        let column = Column::Gpu(0, Gpu::ThrottleReasons);
        HostSeen::of(&telemetry(&[(column, &reasons)]), &stages(), None).gpu_hot_pct
    };
    let (idle, power, heat) = (Some(1.0), Some(4.0), Some(f64::from(0x24)));
    assert_eq!(
        of([heat, idle, power, power, idle, None, None, heat]),
        Some(Some(0.0))
    );
    assert_eq!(
        of([None, idle, heat, heat, power, None, None, None]),
        Some(Some(50.0))
    );
    assert_eq!(of([None; 8]), Some(None));
}
