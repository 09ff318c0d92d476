//! The last second, for a progress bar.

use crate::{block::DiskBytes, rates::cpu_shares};
use clock::MonoNs;
use record::CpuTimes;
use std::{collections::VecDeque, time::Duration};

/// What the host did over the last second, or since the sampler began if that is less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Read from the device under test, in millions of bytes a second.
    pub device_read_mb_s: Option<f64>,
    /// Written to the device under test, in millions of bytes a second.
    pub device_write_mb_s: Option<f64>,
    /// Idle CPU time with a task waiting for I/O, in percent of all CPU time.
    pub iowait_pct: Option<f64>,
    /// Time in which some task waited for I/O, in percent.
    pub psi_io_some_pct: Option<f64>,
    /// Memory that can be had without swapping, now.
    pub mem_available_bytes: Option<u64>,
}

/// What [`Live`] needs of one tick.
#[derive(Clone, Copy)]
pub(crate) struct LiveReading {
    pub(crate) at: MonoNs,
    pub(crate) disk: Option<DiskBytes>,
    pub(crate) cpu: Option<CpuTimes>,
    pub(crate) psi_io_some_us: Option<u64>,
    pub(crate) mem_available_bytes: Option<u64>,
}

impl LiveReading {
    pub(crate) fn begin(at: MonoNs) -> Self {
        Self {
            at,
            disk: None,
            cpu: None,
            psi_io_some_us: None,
            mem_available_bytes: None,
        }
    }
}

/// The readings of the last second.
pub(crate) struct LiveWindow {
    readings: VecDeque<LiveReading>,
}

impl LiveWindow {
    const SPAN: Duration = Duration::from_secs(1);
    /// At the shortest interval, 10 ms, a second holds 100 readings and its first.
    const CAPACITY: usize = 101;

    pub(crate) fn new() -> Self {
        Self {
            readings: VecDeque::with_capacity(Self::CAPACITY),
        }
    }

    /// Adds a reading; gives the view of the second that ends with it.
    pub(crate) fn push(&mut self, last: LiveReading) -> Live {
        while self.readings.len() == Self::CAPACITY || self.second_spans_a_second(last.at) {
            self.readings.pop_front();
        }
        let first = self.readings.front().copied();
        self.readings.push_back(last);
        first.map_or_else(Live::default, |first| view(&first, &last))
    }

    /// Whether the window would span a second also without its first reading.
    fn second_spans_a_second(&self, now: MonoNs) -> bool {
        self.readings
            .get(1)
            .is_some_and(|second| now.since(second.at) >= Self::SPAN)
    }
}

fn view(first: &LiveReading, last: &LiveReading) -> Live {
    let seconds = last.at.since(first.at).as_secs_f64();
    let rate = |first: u64, last: u64| {
        (seconds > 0.0).then(|| last.saturating_sub(first) as f64 / 1e6 / seconds)
    };
    let disk = first.disk.zip(last.disk);
    Live {
        device_read_mb_s: disk.and_then(|(first, last)| rate(first.read, last.read)),
        device_write_mb_s: disk.and_then(|(first, last)| rate(first.written, last.written)),
        iowait_pct: first
            .cpu
            .zip(last.cpu)
            .and_then(|(first, last)| cpu_shares(&first, &last))
            .map(|shares| shares.iowait_pct),
        // Microseconds in a second, over 1e6, are a share.
        psi_io_some_pct: first
            .psi_io_some_us
            .zip(last.psi_io_some_us)
            .and_then(|(first, last)| rate(first, last))
            .map(|share| (100.0 * share).min(100.0)),
        mem_available_bytes: last.mem_available_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(ms: u64, read: u64) -> LiveReading {
        LiveReading {
            disk: Some(DiskBytes { read, written: 0 }),
            psi_io_some_us: Some(ms * 250),
            mem_available_bytes: Some(5),
            ..LiveReading::begin(MonoNs(ms * 1_000_000))
        }
    }

    #[test]
    fn the_view_covers_the_last_second() {
        let mut window = LiveWindow::new();
        assert_eq!(window.push(reading(0, 0)), Live::default());
        for tick in 1..=10 {
            window.push(reading(100 * tick, 0));
        }
        let live = window.push(reading(1100, 3_000_000));
        assert_eq!(live.device_read_mb_s, Some(3.0));
        assert_eq!(live.device_write_mb_s, Some(0.0));
        assert_eq!(live.psi_io_some_pct, Some(25.0));
        assert_eq!((live.iowait_pct, live.mem_available_bytes), (None, Some(5)));
    }

    #[test]
    fn the_window_does_not_grow() {
        let mut window = LiveWindow::new();
        for tick in 0..1000 {
            window.push(reading(tick, 0));
        }
        assert!(window.readings.len() <= LiveWindow::CAPACITY);
        assert_eq!(
            window.readings.capacity(),
            LiveWindow::new().readings.capacity()
        );
    }
}
