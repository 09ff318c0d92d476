//! Waiting until the machine is quiet.

use load::Stop;
use plan::Settle;
use probe::{
    Roots,
    parse::{self, BlockStat, CpuStat, UserHz},
    rates::cpu_shares,
};
use record::CpuTimes;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How busy the machine was between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Busy {
    pub(crate) cpu_pct: f64,
    /// Absent where there is no device.
    pub(crate) device_pct: Option<f64>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Settled {
    /// Quiet.
    After(Duration),
    /// Not quiet within the limit; how busy it was last.
    Not(Option<Busy>),
}

/// For how long it has been quiet: pure.
struct Quiet {
    settle: Settle,
    since: Option<Duration>,
}

impl Quiet {
    /// Takes what was seen between the last look and this one; true once it has lasted.
    fn look(&mut self, from: Duration, to: Duration, busy: Busy) -> bool {
        let device = busy.device_pct.unwrap_or(0.0);
        let quiet = busy.cpu_pct <= self.settle.cpu_busy_pct_max.get()
            && device <= self.settle.device_busy_pct_max.get();
        self.since = quiet.then(|| self.since.unwrap_or(from));
        self.since
            .is_some_and(|since| to.saturating_sub(since) >= self.settle.quiet_for.0)
    }
}

/// How often it is looked: the kernel counts CPU time in ticks of 10 ms.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until the machine has been quiet for as long as is wanted, or the limit is over.
pub(crate) fn wait(settle: Settle, roots: &Roots, device: Option<&str>, stop: &Stop) -> Settled {
    let began = Instant::now();
    let mut quiet = Quiet {
        settle,
        since: None,
    };
    let mut last = (Duration::ZERO, Counters::read(roots, device));
    let mut busy = None;
    while began.elapsed() < settle.limit.0 && !stop.is_stopped() {
        thread::sleep(LOOK);
        let now = (began.elapsed(), Counters::read(roots, device));
        if let (Some(before), Some(after)) = (&last.1, &now.1) {
            let seen = after.since(before, now.0.saturating_sub(last.0));
            busy = seen.or(busy);
            if seen.is_some_and(|seen| quiet.look(last.0, now.0, seen)) {
                return Settled::After(now.0);
            }
        }
        last = now;
    }
    Settled::Not(busy)
}

/// What the kernel has counted so far.
struct Counters {
    cpu: CpuTimes,
    device_ms: Option<u64>,
}

impl Counters {
    fn read(roots: &Roots, device: Option<&str>) -> Option<Self> {
        let mut cpu = CpuStat::default();
        parse::cpu_stat(&fs::read(roots.proc.join("stat")).ok()?, &mut cpu).ok()?;
        let device_ms = device.and_then(|name| {
            let file = roots.sys.join("class/block").join(name).join("stat");
            let mut stat = BlockStat::default();
            parse::block_stat(&fs::read(file).ok()?, &mut stat).ok()?;
            Some(stat.io_time_ms)
        });
        Some(Self {
            cpu: cpu.total.times(UserHz::of_this_system()),
            device_ms,
        })
    }

    /// None where no CPU time was counted in between.
    fn since(&self, before: &Self, span: Duration) -> Option<Busy> {
        let cpu = cpu_shares(&before.cpu, &self.cpu)?;
        let span_ms = span.as_secs_f64() * 1e3;
        Some(Busy {
            cpu_pct: 100.0 - cpu.idle_pct - cpu.iowait_pct,
            device_pct: self.device_ms.zip(before.device_ms).map(|(now, before)| {
                // 32 bits of milliseconds, which wrap.
                let busy = (now as u32).wrapping_sub(before as u32);
                (100.0 * f64::from(busy) / span_ms.max(1.0)).min(100.0)
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle() -> Settle {
        let json = r#"{"limit": "1s", "quiet_for": "2s"}"#;
        serde_json::from_str(json).unwrap()
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn quiet_must_last_and_begins_anew_after_noise() {
        let mut quiet = Quiet {
            settle: settle(),
            since: None,
        };
        let busy = |cpu_pct, device_pct| Busy {
            cpu_pct,
            device_pct,
        };
        let seen = [
            busy(2.0, Some(0.0)),
            busy(50.0, Some(0.0)),
            busy(2.0, Some(60.0)),
            busy(2.0, Some(1.0)),
            busy(2.0, None),
        ];
        let lasted: Vec<_> = (0..)
            .zip(seen)
            .map(|(at, busy)| quiet.look(seconds(at), seconds(at + 1), busy))
            .collect();
        assert_eq!(lasted, [false, false, false, false, true]);
    }

    #[test]
    fn counters_tell_shares_also_when_they_wrap() {
        let before = Counters {
            cpu: CpuTimes {
                usr_ms: 100,
                idle_ms: 900,
                ..CpuTimes::default()
            },
            device_ms: Some(u64::from(u32::MAX) - 49),
        };
        let after = Counters {
            cpu: CpuTimes {
                usr_ms: 140,
                sys_ms: 10,
                iowait_ms: 50,
                idle_ms: 1000,
                ..CpuTimes::default()
            },
            device_ms: Some(50),
        };
        let busy = after.since(&before, seconds(1)).unwrap();
        assert_eq!(busy.cpu_pct, 25.0);
        assert_eq!(busy.device_pct, Some(10.0));
        assert_eq!(before.since(&before, seconds(1)), None);
    }

    #[test]
    fn a_limit_ends_the_wait() {
        let settle = Settle {
            limit: plan::Span(Duration::ZERO),
            ..settle()
        };
        let settled = wait(settle, &Roots::default(), None, &Stop::default());
        assert_eq!(settled, Settled::Not(None));
    }
}
