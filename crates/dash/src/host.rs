//! What the host did over the last second: pure, from two ticks.

use probe::{
    Seen,
    gauges::growth_ms,
    rates::{CpuShares, cpu_shares},
};
use record::{Column, CpuTimes, Device, Gpu, Host};

/// The host over an interval, for people. What no sensor gave is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HostView {
    pub(crate) cpu: Option<CpuShares>,
    pub(crate) cores: Vec<CoreView>,
    pub(crate) psi_cpu_pct: Option<f64>,
    pub(crate) psi_io_pct: Option<f64>,
    pub(crate) psi_memory_pct: Option<f64>,
    pub(crate) mem_total_bytes: Option<f64>,
    pub(crate) mem_available_bytes: Option<f64>,
    pub(crate) mem_cached_bytes: Option<f64>,
    /// The device under test.
    pub(crate) disk: Option<DiskView>,
    pub(crate) gpus: Vec<GpuView>,
    /// How late the last tick was.
    pub(crate) late_us: Option<f64>,
}

/// One core. Both are absent if no time was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CoreView {
    pub(crate) busy_pct: Option<f64>,
    pub(crate) iowait_pct: Option<f64>,
}

/// A device: rates, and means over the requests that ended in the interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DiskView {
    pub(crate) read_mb_s: Option<f64>,
    pub(crate) write_mb_s: Option<f64>,
    pub(crate) r_await_ms: Option<f64>,
    pub(crate) w_await_ms: Option<f64>,
    pub(crate) aqu_sz: Option<f64>,
    pub(crate) util_pct: Option<f64>,
    pub(crate) temp_c: Option<f64>,
}

/// A GPU, as it was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GpuView {
    pub(crate) number: u32,
    pub(crate) util_pct: Option<f64>,
    pub(crate) sm_clock_mhz: Option<f64>,
    pub(crate) power_w: Option<f64>,
    pub(crate) temp_c: Option<f64>,
    pub(crate) throttle: Option<u64>,
    pub(crate) mem_used_bytes: Option<f64>,
    pub(crate) process_bytes: Option<f64>,
}

impl HostView {
    /// From the first tick to the last, whose columns are the same.
    pub(crate) fn between(first: &Seen, last: &Seen, device: Option<&str>) -> Self {
        let interval = Interval::of(first, last);
        let host = |field| last.number(&Column::Host(field));
        let psi = |field| {
            let us = interval.growth(&Column::Host(field))?;
            interval.share(us / 1e6)
        };
        Self {
            cpu: total(first)
                .zip(total(last))
                .and_then(|(first, last)| cpu_shares(&first, &last)),
            cores: cores(first, last),
            psi_cpu_pct: psi(Host::PsiCpuSomeUs),
            psi_io_pct: psi(Host::PsiIoSomeUs),
            psi_memory_pct: psi(Host::PsiMemorySomeUs),
            mem_total_bytes: host(Host::MemTotalBytes),
            mem_available_bytes: host(Host::MemAvailableBytes),
            mem_cached_bytes: host(Host::MemCachedBytes),
            disk: device.map(|name| disk(&interval, name)),
            gpus: gpus(last),
            late_us: host(Host::LateUs),
        }
    }
}

struct Interval<'a> {
    first: &'a Seen,
    last: &'a Seen,
    seconds: f64,
}

impl<'a> Interval<'a> {
    fn of(first: &'a Seen, last: &'a Seen) -> Self {
        let seconds = (last.row.t - first.row.t) as f64 / 1e9;
        Self {
            first,
            last,
            seconds,
        }
    }

    fn growth(&self, column: &Column) -> Option<f64> {
        let (first, last) = (self.first.number(column)?, self.last.number(column)?);
        Some((last - first).max(0.0))
    }

    fn growth_ms(&self, column: &Column) -> Option<f64> {
        let (first, last) = (self.first.number(column)?, self.last.number(column)?);
        Some(growth_ms(first as u64, last as u64) as f64)
    }

    fn per_second(&self, amount: f64) -> Option<f64> {
        (self.seconds > 0.0).then(|| amount / self.seconds)
    }

    /// Seconds of the interval, in percent of it.
    fn share(&self, seconds: f64) -> Option<f64> {
        self.per_second(100.0 * seconds).map(|pct| pct.min(100.0))
    }
}

fn total(seen: &Seen) -> Option<CpuTimes> {
    let mut times = [0; 8];
    for (time, field) in times.iter_mut().zip(CpuTimes::OF_HOST) {
        *time = seen.number(&Column::Host(field))? as u64;
    }
    Some(CpuTimes::from_fields(times))
}

fn cores(first: &Seen, last: &Seen) -> Vec<CoreView> {
    let view = |last: &record::CoreRow| {
        let first = first.cores.iter().find(|first| first.core == last.core);
        let shares = first.and_then(|first| cpu_shares(&first.times, &last.times));
        CoreView {
            busy_pct: shares.map(|shares| 100.0 - shares.idle_pct - shares.iowait_pct),
            iowait_pct: shares.map(|shares| shares.iowait_pct),
        }
    };
    last.cores.iter().map(view).collect()
}

fn disk(interval: &Interval<'_>, name: &str) -> DiskView {
    let column = |field| Column::Device(name.to_owned(), field);
    let mb_s = |field| interval.per_second(interval.growth(&column(field))? / 1e6);
    let mean_ms = |time, count| {
        let requests = interval.growth(&column(count))?;
        (requests > 0.0).then_some(interval.growth_ms(&column(time))? / requests)
    };
    let seconds = |field| Some(interval.growth_ms(&column(field))? / 1e3);
    DiskView {
        read_mb_s: mb_s(Device::ReadBytes),
        write_mb_s: mb_s(Device::WriteBytes),
        r_await_ms: mean_ms(Device::ReadTimeMs, Device::ReadsCount),
        w_await_ms: mean_ms(Device::WriteTimeMs, Device::WritesCount),
        aqu_sz: seconds(Device::WeightedIoTimeMs).and_then(|busy| interval.per_second(busy)),
        util_pct: seconds(Device::IoTimeMs).and_then(|busy| interval.share(busy)),
        temp_c: interval.last.number(&column(Device::TempC)),
    }
}

fn gpus(last: &Seen) -> Vec<GpuView> {
    let numbers = last.columns.iter().filter_map(|column| match column {
        Column::Gpu(number, Gpu::UtilPct) => Some(*number),
        _ => None,
    });
    let view = |number| {
        let value = |field| last.number(&Column::Gpu(number, field));
        GpuView {
            number,
            util_pct: value(Gpu::UtilPct),
            sm_clock_mhz: value(Gpu::SmClockMhz),
            power_w: value(Gpu::PowerMw).map(|mw| mw / 1e3),
            temp_c: value(Gpu::TempC),
            throttle: value(Gpu::ThrottleReasons).map(|bits| bits as u64),
            mem_used_bytes: value(Gpu::MemUsedBytes),
            process_bytes: value(Gpu::ProcessBytes),
        }
    };
    numbers.map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SessionNs;
    use probe::Latest;
    use record::{CoreRow, TelemetryRow, Value};

    /// A tick at this second: 50 MB and 100 reads of 2 ms each a second, one core waiting.
    fn seen(second: u64) -> Seen {
        let columns = [
            Column::Host(Host::PsiIoSomeUs),
            Column::Device("vda".to_owned(), Device::ReadBytes),
            Column::Device("vda".to_owned(), Device::ReadsCount),
            Column::Device("vda".to_owned(), Device::ReadTimeMs),
            Column::Device("vda".to_owned(), Device::WritesCount),
            Column::Device("vda".to_owned(), Device::WriteTimeMs),
            Column::Gpu(1, Gpu::UtilPct),
            Column::Gpu(1, Gpu::PowerMw),
        ];
        let values = [
            250_000 * second,
            50_000_000 * second,
            100 * second,
            200 * second,
            7,
            7,
            93,
            84_000,
        ];
        let t = SessionNs(i64::try_from(second).unwrap() * 1_000_000_000);
        let row = TelemetryRow {
            tick: second,
            t,
            values: values.map(Value::Int).to_vec(),
        };
        let core = |core, iowait_ms| CoreRow {
            t,
            core,
            times: CpuTimes {
                usr_ms: 100 * second,
                iowait_ms,
                idle_ms: 900 * second - iowait_ms,
                ..CpuTimes::default()
            },
        };
        let latest = Latest::default();
        let cores = [core(0, 0), core(1, 400 * second)];
        latest.writer(&columns).note(&row, &cores);
        latest.seen().unwrap()
    }

    #[test]
    fn rates_and_means_of_the_interval() {
        let view = HostView::between(&seen(3), &seen(5), Some("vda"));
        let disk = view.disk.unwrap();
        assert_eq!(disk.read_mb_s, Some(50.0));
        assert_eq!((disk.r_await_ms, disk.w_await_ms), (Some(2.0), None));
        assert_eq!(view.psi_io_pct, Some(25.0));
        assert_eq!(view.cores[0].iowait_pct, Some(0.0));
        assert_eq!(view.cores[1].iowait_pct, Some(40.0));
        assert_eq!(view.cores[1].busy_pct, Some(10.0));
        assert_eq!((view.gpus[0].number, view.gpus[0].power_w), (1, Some(84.0)));
        assert_eq!(view.cpu, None, "no such columns");
    }

    #[test]
    fn one_tick_has_no_rates() {
        let view = HostView::between(&seen(3), &seen(3), Some("vda"));
        assert_eq!(view.disk.unwrap().read_mb_s, None);
        assert_eq!(view.psi_io_pct, None);
        assert_eq!(view.gpus[0].util_pct, Some(93.0));
    }
}
