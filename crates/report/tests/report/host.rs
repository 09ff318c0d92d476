//! Host means, computed by hand.

use clock::SessionNs;
use record::{
    Column, Device, Host, Interval, RunId, SessionDir, Telemetry, TelemetryRow, TelemetryWriter,
    Value,
};
use report::{HostFigure, HostMeans};

const SECOND: i64 = 1_000_000_000;

/// A telemetry file with these columns and rows: (time in seconds, values).
fn telemetry(columns: &[Column], rows: &[(f64, &[Value])]) -> Telemetry {
    let root = tempfile::tempdir().unwrap();
    let run = SessionDir::new(root.path()).run(&RunId::new("h2", 1, 1));
    std::fs::create_dir_all(run.path()).unwrap();
    let mut writer = TelemetryWriter::create(run.path(), columns).unwrap();
    for (tick, (t, values)) in (0..).zip(rows) {
        let row = TelemetryRow {
            tick,
            t: SessionNs((t * SECOND as f64) as i64),
            values: values.to_vec(),
        };
        writer.tick(&row, &[]).unwrap();
    }
    run.read_telemetry().unwrap().0
}

/// Ten to twenty seconds.
const MEASURE: Interval = Interval {
    start_ns: SessionNs(10 * SECOND),
    end_ns: SessionNs(20 * SECOND),
};

fn ints<const N: usize>(values: [u64; N]) -> [Value; N] {
    values.map(Value::Int)
}

#[test]
fn a_rate_is_the_difference_inside_the_interval_over_its_true_time() {
    let device = |field| Column::Device("nvme0n1".into(), field);
    let columns = [
        Column::Host(Host::PsiIoSomeUs),
        device(Device::ReadBytes),
        device(Device::ReadsCount),
        device(Device::ReadTimeMs),
        device(Device::WritesCount),
        device(Device::WriteTimeMs),
        Column::Host(Host::PgmajfaultCount),
    ];
    let telemetry = telemetry(
        &columns,
        &[
            (9.9, &ints([0, 0, 0, 0, 5, 5, 0])),
            // The first tick inside; eight seconds to the last.
            (11.0, &ints([1_000_000, 4_000_000, 100, 50, 7, 9, 3])),
            (15.0, &ints([1_100_000, 5_000_000, 150, 60, 7, 9, 4])),
            (19.0, &ints([1_800_000, 20_000_000, 200, 75, 7, 9, 19])),
            (20.0, &ints([9_000_000, 99_000_000, 900, 900, 99, 99, 99])),
        ],
    );
    let means = HostMeans::over(&telemetry, Some("nvme0n1"), &MEASURE);
    assert_eq!(means.get(HostFigure::PsiIoSomePct), Some(10.0));
    assert_eq!(means.get(HostFigure::ReadMbS), Some(2.0));
    assert_eq!(means.get(HostFigure::RAwaitMs), Some(0.25));
    assert_eq!(means.get(HostFigure::MajfaultsS), Some(2.0));
    // No write ended: its mean time is not 0, it is none.
    assert_eq!(means.get(HostFigure::WAwaitMs), None);
    // No column: absent, not 0.
    assert_eq!(means.get(HostFigure::IowaitPct), None);
    let other = HostMeans::over(&telemetry, Some("sda"), &MEASURE);
    assert_eq!(other.get(HostFigure::ReadMbS), None);
}

#[test]
fn cpu_shares_are_of_all_cpu_time() {
    let columns = [
        Host::CpuUsrMs,
        Host::CpuSysMs,
        Host::CpuIowaitMs,
        Host::CpuIdleMs,
    ]
    .map(Column::Host);
    let rows: [(f64, &[Value]); 2] = [
        (11.0, &ints([100, 100, 100, 100])),
        (19.0, &ints([3300, 900, 500, 3700])),
    ];
    let means = HostMeans::over(&telemetry(&columns, &rows), None, &MEASURE);
    assert_eq!(means.get(HostFigure::UsrPct), Some(40.0));
    assert_eq!(means.get(HostFigure::SysPct), Some(10.0));
    assert_eq!(means.get(HostFigure::IowaitPct), Some(5.0));
    assert_eq!(means.get(HostFigure::IdlePct), Some(45.0));
}

#[test]
fn a_counter_that_went_back_or_was_seen_once_has_no_rate() {
    let columns = [
        Column::Host(Host::PsiIoSomeUs),
        Column::Host(Host::PgmajfaultCount),
    ];
    let rows: [(f64, &[Value]); 2] = [
        (11.0, &[Value::Int(50), Value::Int(1)]),
        (19.0, &[Value::Int(40), Value::Absent]),
    ];
    let means = HostMeans::over(&telemetry(&columns, &rows), None, &MEASURE);
    assert_eq!(means.get(HostFigure::PsiIoSomePct), None);
    assert_eq!(means.get(HostFigure::MajfaultsS), None);
}

#[test]
fn pooled_means_are_weighted_by_their_time() {
    let columns = [Column::Host(Host::PgmajfaultCount)];
    let of = |end_s: f64, faults| {
        let rows: [(f64, &[Value]); 2] = [(11.0, &ints([0])), (end_s, &ints([faults]))];
        HostMeans::over(&telemetry(&columns, &rows), None, &MEASURE)
    };
    let pooled = HostMeans::pooled(&[of(12.0, 10), of(15.0, 0)]);
    assert_eq!(pooled.get(HostFigure::MajfaultsS), Some(2.0));
}
