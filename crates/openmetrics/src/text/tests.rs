use super::*;
use crate::family::Scale;
use clock::SessionNs;
use probe::Latest;
use record::{Cache, CoreRow, Device, Host, Server, TelemetryRow, Value};
use std::collections::HashSet;

fn facts() -> Facts {
    Facts {
        version: "1.2.3".to_owned(),
        page_bytes: 4096,
    }
}

fn seen(values: &[(Column, Value)], cores: &[CoreRow]) -> Seen {
    let (columns, values): (Vec<_>, Vec<_>) = values.iter().cloned().unzip();
    let row = TelemetryRow {
        tick: 41,
        t: SessionNs(0),
        values,
    };
    let latest = Latest::default();
    latest.writer(&columns).note(&row, cores);
    latest.seen().unwrap()
}

fn some_of_all() -> Seen {
    let nvme = |field| Column::Device("nvme0n1".to_owned(), field);
    let odd = |field| Column::Device("a\"b\\c".to_owned(), field);
    seen(
        &[
            (Column::Host(Host::LateUs), Value::Int(12)),
            (Column::Host(Host::CpuUsrMs), Value::Int(1_234_560)),
            (Column::Host(Host::CpuIowaitMs), Value::Int(70)),
            (Column::Host(Host::PsiIoSomeUs), Value::Int(2_500_000)),
            (Column::Host(Host::PsiIoFullUs), Value::Absent),
            (Column::Host(Host::MemAvailableBytes), Value::Int(1 << 36)),
            (Column::Host(Host::PgscanDirectPages), Value::Int(3)),
            (Column::Host(Host::OomKillCount), Value::Int(0)),
            (nvme(Device::ReadBytes), Value::Int(40_960)),
            (odd(Device::ReadBytes), Value::Int(1)),
            (nvme(Device::RAwaitMs), Value::Real(0.3)),
            (nvme(Device::WAwaitMs), Value::Absent),
            (nvme(Device::UtilPct), Value::Real(42.5)),
            (Column::Gpu(0, Gpu::SmClockMhz), Value::Int(2418)),
            (Column::Gpu(0, Gpu::PowerMw), Value::Int(84_250)),
            (Column::Gpu(0, Gpu::ThrottleReasons), Value::Int(0x24)),
            (Column::Gpu(0, Gpu::MemUsedBytes), Value::Absent),
        ],
        &[CoreRow {
            t: SessionNs(0),
            core: 3,
            times: CpuTimes {
                usr_ms: 120,
                iowait_ms: 30,
                ..CpuTimes::default()
            },
        }],
    )
}

#[test]
fn a_tick_as_openmetrics() {
    let text = Exposition::new(facts()).text(Some(&some_of_all()), Format::OpenMetrics);
    insta::assert_snapshot!(text);
}

#[test]
fn a_tick_as_prometheus_text() {
    let text = Exposition::new(facts()).text(Some(&some_of_all()), Format::Prometheus);
    insta::assert_snapshot!(text);
}

#[test]
fn without_a_tick_there_are_the_facts_alone() {
    let text = Exposition::new(facts()).text(None, Format::OpenMetrics);
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, ["spillpoint_build_info{version=\"1.2.3\"} 1"]);
    assert!(text.ends_with("# EOF\n"));
}

/// Every column that a row can have.
fn all_columns() -> Vec<Column> {
    let host = Host::ALL.iter().map(|&field| Column::Host(field));
    let device = |&field| Column::Device("vda".to_owned(), field);
    let gpu = |&field| Column::Gpu(0, field);
    let server = Server::ALL.iter().map(|&field| Column::Server(field));
    let cache = Cache::ALL.iter().map(|&field| Column::Cache(field));
    let devices = Device::ALL.iter().map(device);
    let gpus = Gpu::ALL.iter().map(gpu);
    host.chain(devices)
        .chain(gpus)
        .chain(server)
        .chain(cache)
        .collect()
}

#[test]
fn every_column_has_a_series_of_its_own_in_a_family_of_its_kind() {
    let mut series = HashSet::new();
    let mut families = HashMap::new();
    for column in all_columns() {
        let Place {
            family,
            kind,
            labels,
            ..
        } = place(&column);
        let names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
        assert!(series.insert((family.name, labels)), "{column}");
        let known = families
            .entry(family.name)
            .or_insert((family, kind, names.clone()));
        assert_eq!(*known, (family, kind, names), "{column}");
    }
}

#[test]
fn names_end_with_their_unit_and_units_are_base_units() {
    let base = ["", "seconds", "bytes", "ratio", "hertz", "watts", "celsius"];
    for column in all_columns() {
        let Place { family, .. } = place(&column);
        assert!(base.contains(&family.unit), "{family:?}");
        assert!(family.name.ends_with(family.unit), "{family:?}");
        assert!(!family.name.ends_with("_total"), "{family:?}");
        assert!(
            !family.help.contains('\n') && family.help.ends_with('.'),
            "{family:?}"
        );
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(family.name.bytes().all(allowed), "{family:?}");
    }
}

/// The unit at the end of the column's own name says what the value must be scaled by.
#[test]
fn values_are_scaled_from_the_columns_unit() {
    for column in all_columns() {
        let (name, scale) = (column.to_string(), place(&column).scale);
        let wanted = match name.rsplit('_').next().unwrap() {
            "us" => Scale::Micro,
            "ms" | "mw" => Scale::Milli,
            "mhz" => Scale::Mega,
            "pct" => Scale::Percent,
            "pages" => Scale::Page,
            _ => Scale::One,
        };
        assert_eq!(scale, wanted, "{name}");
    }
}

#[test]
fn a_counter_that_falls_is_held_and_a_gauge_is_not() {
    let at = |iowait_ms, available| {
        seen(
            &[
                (Column::Host(Host::CpuIowaitMs), Value::Int(iowait_ms)),
                (Column::Host(Host::MemAvailableBytes), Value::Int(available)),
            ],
            &[],
        )
    };
    let mut exposition = Exposition::new(facts());
    let mut values = |seen: &Seen| {
        let text = exposition.text(Some(seen), Format::OpenMetrics);
        [
            "spillpoint_cpu_seconds_total",
            "spillpoint_memory_available_bytes",
        ]
        .map(|name| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        })
    };
    assert_eq!(values(&at(500, 9)), ["0.5", "9"]);
    assert_eq!(values(&at(490, 8)), ["0.5", "8"]);
    assert_eq!(values(&at(700, 8)), ["0.7", "8"]);
}

#[test]
fn the_form_is_the_one_that_is_asked_for() {
    // As Prometheus 2.42 asks, scrape.go.
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                      version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    for other in [
        None,
        Some("*/*"),
        Some("text/plain;version=0.0.4"),
        Some("application/openmetrics-text;q=0"),
        Some("application/openmetrics-text; q=0.000, text/plain"),
    ] {
        assert_eq!(Format::accepted(other), Format::Prometheus, "{other:?}");
    }
}
