//! The thread that reads all sensors on a schedule.

use crate::{
    Fault, Live, Probes, SampleInterval, Urgency,
    handover::{Handover, Tick},
    live::LiveWindow,
    schedule::Schedule,
    urgency,
};
use clock::{MonoNs, SessionClock};
use hdrhistogram::Histogram;
use nix::{
    sys::{prctl, time::TimeSpec},
    time::{ClockId, ClockNanosleepFlags, clock_nanosleep},
};
use record::{CoreRow, Host, SamplingFacts, TelemetryRow, Value};
use std::{
    io, panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A running sampler. Dropping it ends it.
pub struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Sampled>>,
}

/// What a sampler did.
#[derive(Debug)]
pub struct Sampled {
    /// How well it kept its schedule.
    pub facts: SamplingFacts,
    /// The sensors that gave nothing, at least once.
    pub faults: Vec<Fault>,
    /// What its thread could claim of the CPUs.
    pub urgency: Urgency,
}

/// No sampler could be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the sampler's thread: {0}; raise the limit on processes (ulimit -u)")]
pub struct StartError(#[from] io::Error);

struct Shared {
    stop: AtomicBool,
    live: Mutex<Live>,
}

impl Sampler {
    /// Starts sampling, with the first tick at once. `sink` is called with each tick's row and
    /// every core's, on a thread of its own: it may wait for a disk, and the sampler goes on. The
    /// buffers are reused, so it copies what it keeps.
    pub fn start(
        probes: Probes,
        interval: SampleInterval,
        clock: SessionClock,
        sink: impl FnMut(&TelemetryRow, &[CoreRow]) + Send + 'static,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            live: Mutex::new(Live::default()),
        });
        let seen = Arc::clone(&shared);
        let tick = Tick {
            row: TelemetryRow {
                tick: 0,
                t: clock.now(),
                values: vec![Value::Absent; probes.columns().len()],
            },
            cores: Vec::new(),
        };
        let handover = Handover::start(&tick, sink)?;
        let thread = thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || Ticker::new(probes, interval, clock, tick).run(&seen, handover))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The last second; empty until the second tick.
    pub fn live(&self) -> Live {
        // A panicked writer can't leave half a value: it is copied in whole.
        *self
            .shared
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends sampling after the tick in hand and the ticks of a last moment, in which sensors that are
    /// read once a second are read once more; waits until the sink has had every tick, drops it, and
    /// says how it went.
    pub fn stop(mut self) -> Sampled {
        let thread = self.thread.take();
        self.shared.stop.store(true, Ordering::Relaxed);
        // `thread` is taken here and in `drop` alone, and `drop` comes after.
        let thread = thread.expect("a sampler is stopped once");
        thread
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.stop.store(true, Ordering::Relaxed);
            // A panic has been printed by its own thread; a drop must not raise another.
            let _ = thread.join();
        }
    }
}

/// How long sampling goes on after its end was asked for. Some sensors are read once a second, and
/// what they would have counted since would be lost.
const LAST: Duration = Duration::from_millis(150);

/// The sampler's state on its thread.
struct Ticker {
    probes: Probes,
    interval: SampleInterval,
    clock: SessionClock,
    tick: Tick,
    window: LiveWindow,
    late_us: Histogram<u32>,
}

impl Ticker {
    fn new(probes: Probes, interval: SampleInterval, clock: SessionClock, tick: Tick) -> Self {
        Self {
            probes,
            interval,
            clock,
            tick,
            window: LiveWindow::new(),
            // Two digits of a lateness of up to an hour; the counts are allocated here.
            late_us: Histogram::new_with_bounds(1, 3_600_000_000, 2)
                .expect("the bounds and the digits are in range"),
        }
    }

    fn run(mut self, shared: &Shared, handover: Handover) -> Sampled {
        // The default slack of 50 µs would be part of every tick's lateness (prctl(2)). Without
        // the call the ticks are later, and say so.
        let _ = prctl::set_timerslack(1);
        let urgency = urgency::claim();
        let schedule = Schedule::new(MonoNs::now(), self.interval);
        let mut tick = 0;
        while sleep_until(schedule.due(tick), &shared.stop) {
            tick = self.step(tick, &schedule, shared, &handover);
        }
        self.probes.hasten();
        let end = MonoNs::now().plus(LAST);
        while schedule.due(tick) <= end {
            sleep_until(schedule.due(tick), &AtomicBool::new(false));
            tick = self.step(tick, &schedule, shared, &handover);
        }
        handover.end();
        self.sampled(tick, urgency)
    }

    /// Takes a tick and hands it over; gives the next one.
    fn step(
        &mut self,
        tick: u64,
        schedule: &Schedule,
        shared: &Shared,
        handover: &Handover,
    ) -> u64 {
        let late_us = self.take(tick, schedule.due(tick), shared);
        // A tick that the sink never gets is a missed one.
        if handover.give(&mut self.tick) {
            self.late_us.saturating_record(late_us.max(1));
        }
        schedule.after(tick, MonoNs::now())
    }

    /// Reads everything; gives how late it began.
    fn take(&mut self, tick: u64, due: MonoNs, shared: &Shared) -> u64 {
        let began = MonoNs::now();
        let late_us = micros(began.since(due));
        let Tick { row, cores } = &mut self.tick;
        row.tick = tick;
        row.t = self.clock.at(began);
        let reading = self.probes.read(row, cores);
        row.values[Host::LateUs as usize] = Value::Int(late_us);
        let read_us = micros(MonoNs::now().since(began));
        row.values[Host::ReadUs as usize] = Value::Int(read_us);
        let live = self.window.push(reading);
        // Never wait for the one who looks: it will see the next tick's.
        if let Ok(mut shown) = shared.live.try_lock() {
            *shown = live;
        }
        late_us
    }

    /// All ticks before `next` were due.
    fn sampled(self, next: u64, urgency: Urgency) -> Sampled {
        let taken = self.late_us.len();
        let late_p99 = (taken > 0).then(|| self.late_us.value_at_quantile(0.99) as f64);
        Sampled {
            facts: SamplingFacts {
                interval_ms: self.interval.duration().as_secs_f64() * 1e3,
                ticks_due: next,
                ticks_taken: taken,
                late_p99_us: late_p99,
            },
            faults: self.probes.into_faults(),
            urgency,
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Sleeps until `deadline` at the latest; false if the sampler is to stop.
fn sleep_until(deadline: MonoNs, stop: &AtomicBool) -> bool {
    // How long a stop may go unseen, where ticks are further apart than that.
    const LOOK: Duration = Duration::from_millis(100);
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let now = MonoNs::now();
        if now >= deadline {
            return true;
        }
        let wake = deadline.min(now.plus(LOOK));
        let time = TimeSpec::from_duration(Duration::from_nanos(wake.0));
        // Interrupted or refused, the loop looks at the clock and goes on.
        let _ = clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            ClockNanosleepFlags::TIMER_ABSTIME,
            &time,
        );
    }
}
