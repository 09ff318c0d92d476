//! What a run's telemetry and its drive's SMART log say to the gates: pure.

use clock::SessionNs;
use record::{Column, Device, Gpu, Host, Interval, SmartLog, Stages, Telemetry};

/// What the host did while a run's requests were under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HostSeen {
    /// Pages swapped in or out, from the measured interval's start to the last request's end.
    pub swapped_pages: Option<f64>,
    /// The least MemAvailable of the run.
    pub mem_available_mib: Option<f64>,
    /// The drive's heat.
    pub drive: Drive,
    /// Of the readings of all GPUs, those with clocks held back for heat, in percent. Outer None: there
    /// is no GPU.
    pub gpu_hot_pct: Option<Option<f64>>,
}

/// The heat of the drive under test.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Drive {
    /// It is no NVMe drive, or there is none: nothing tells.
    #[default]
    Silent,
    /// An NVMe drive.
    Nvme {
        /// Seconds at or above its warning temperature.
        hot_s: Option<f64>,
        /// Transitions to thermal management, light and heavy, over the run.
        transitions: Option<u32>,
    },
}

/// What else is known of the drive.
pub(crate) struct DriveFacts<'a> {
    /// Its name to the kernel.
    pub name: &'a str,
    /// The warning temperature that its controller states.
    pub warning_c: Option<f64>,
    /// Its log before the run and after.
    pub smart: Option<(&'a SmartLog, &'a SmartLog)>,
}

impl HostSeen {
    /// What the telemetry of a run with these stages says.
    pub(crate) fn of(
        telemetry: &Telemetry,
        stages: &Stages,
        drive: Option<&DriveFacts<'_>>,
    ) -> Self {
        let counted = Interval {
            start_ns: stages.measure.start_ns,
            end_ns: stages.drain.end_ns,
        };
        let whole = Interval {
            start_ns: stages.ramp.start_ns,
            ..counted
        };
        let host = |field| Column::Host(field);
        let swapped = [Host::PswpinPages, Host::PswpoutPages]
            .map(|field| growth(telemetry, &host(field), counted));
        let least = values(telemetry, &host(Host::MemAvailableBytes), whole)
            .map(|(_, value)| value)
            .reduce(f64::min);
        Self {
            swapped_pages: swapped[0].zip(swapped[1]).map(|(into, out)| into + out),
            mem_available_mib: least.map(|bytes| bytes / f64::from(1 << 20)),
            drive: drive.map_or(Drive::Silent, |facts| heat(telemetry, whole, facts)),
            gpu_hot_pct: gpu_hot_pct(telemetry, whole),
        }
    }
}

/// The values of a column within an interval, each with its time; none where there is no such column.
fn values<'a>(
    telemetry: &'a Telemetry,
    column: &Column,
    within: Interval,
) -> impl Iterator<Item = (SessionNs, f64)> + use<'a> {
    let series = telemetry.series(column);
    let times = telemetry.times().iter().copied().enumerate();
    times.filter_map(move |(index, at)| {
        let value = series?.get(index)?;
        within.contains(at).then_some((at, value))
    })
}

/// By how much a counter grew within an interval.
fn growth(telemetry: &Telemetry, column: &Column, within: Interval) -> Option<f64> {
    let mut counted = values(telemetry, column, within).map(|(_, value)| value);
    let first = counted.next()?;
    let last = counted.last()?;
    Some(last - first)
}

fn heat(telemetry: &Telemetry, within: Interval, facts: &DriveFacts<'_>) -> Drive {
    let column = Column::Device(facts.name.to_owned(), Device::TempC);
    let read: Vec<_> = values(telemetry, &column, within).collect();
    let sampled = facts.warning_c.filter(|_| !read.is_empty());
    let sampled = sampled.map(|limit| seconds_at_least(&read, limit));
    let minutes = facts.smart.and_then(|(pre, post)| {
        let before = pre.warning_temp_minutes;
        post.warning_temp_minutes.checked_sub(before)
    });
    let minutes = minutes.map(|minutes| 60.0 * f64::from(minutes));
    let sum = |both: Option<[u32; 2]>| both.map(|[light, heavy]| light.saturating_add(heavy));
    let transitions = facts.smart.and_then(|(pre, post)| {
        sum(post.thermal_transitions)?.checked_sub(sum(pre.thermal_transitions)?)
    });
    Drive::Nvme {
        // The log counts whole minutes: a run may be hot and end before one is full.
        hot_s: sampled.into_iter().chain(minutes).reduce(f64::max),
        transitions,
    }
}

/// For how long a reading of at least `limit` stood: until the next one.
fn seconds_at_least(read: &[(SessionNs, f64)], limit: f64) -> f64 {
    let stood = |pair: &[(SessionNs, f64)]| (pair[1].0 - pair[0].0) as f64 / 1e9;
    let between = read.windows(2).filter(|pair| pair[0].1 >= limit).map(stood);
    // The last one stood for a second at least: that is how often it is read.
    let last = read.last().filter(|(_, value)| *value >= limit);
    between.sum::<f64>() + last.map_or(0.0, |_| 1.0)
}

/// HW slowdown (0x8), SW thermal slowdown (0x20), HW thermal slowdown (0x40): nvml.h,
/// nvmlClocksEventReason…
const THERMAL: u64 = 0x8 | 0x20 | 0x40;

fn gpu_hot_pct(telemetry: &Telemetry, within: Interval) -> Option<Option<f64>> {
    let numbers: Vec<u32> = telemetry
        .columns()
        .iter()
        .filter_map(|column| match column {
            Column::Gpu(number, Gpu::ThrottleReasons) => Some(*number),
            _ => None,
        })
        .collect();
    if numbers.is_empty() {
        return None;
    }
    let readings = numbers.into_iter().flat_map(|number| {
        let column = Column::Gpu(number, Gpu::ThrottleReasons);
        values(telemetry, &column, within).map(|(_, bits)| bits as u64)
    });
    let (mut all, mut hot) = (0_u32, 0_u32);
    for bits in readings {
        all += 1;
        hot += u32::from(bits & THERMAL != 0);
    }
    Some((all > 0).then(|| 100.0 * f64::from(hot) / f64::from(all)))
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
