//! Ticks on their way from the sampler's thread to the sink's.
//!
//! A sink writes to a disk, often to the very one that is measured, and a write waits where that
//! disk is busy: the sampler must not wait with it, or it would miss the stall that it is there to
//! see. So the sink has a thread of its own; buffers go to it filled and come back spent, and
//! nothing is allocated once enough of them are on their way.

use record::{CoreRow, TelemetryRow};
use std::{
    io, panic,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Ticks that may wait for the sink: 20 seconds at 100 a second. Beyond, they are missed.
const MOST: usize = 2048;
/// How long the sink rests after it has caught up: it then takes several ticks at a waking, which
/// costs more than the writing. A kill loses the ticks of this time, no more.
const REST: Duration = Duration::from_millis(200);
/// Buffers that are there from the start.
const READY: usize = 64;

/// What was read at one tick.
#[derive(Clone)]
pub(crate) struct Tick {
    pub(crate) row: TelemetryRow,
    pub(crate) cores: Vec<CoreRow>,
}

/// The way to the sink, and back.
pub(crate) struct Handover {
    filled: SyncSender<Tick>,
    spent: Receiver<Tick>,
    sink: JoinHandle<()>,
}

impl Handover {
    /// Starts the sink's thread. `empty` is a tick's buffers, before anything is read.
    pub(crate) fn start(
        empty: &Tick,
        mut sink: impl FnMut(&TelemetryRow, &[CoreRow]) + Send + 'static,
    ) -> io::Result<Self> {
        // Both have all their places from the start: sending allocates nothing.
        let (filled, waiting) = sync_channel::<Tick>(MOST);
        let (back, spent) = sync_channel(MOST);
        for _ in 0..READY {
            // There is room for all of them.
            let _ = back.try_send(empty.clone());
        }
        let sink = thread::Builder::new()
            .name("sampler-sink".to_owned())
            .spawn(move || {
                let mut take = |tick: Tick| {
                    sink(&tick.row, &tick.cores);
                    // Without room, or without a sampler, the buffers are dropped.
                    let _ = back.try_send(tick);
                };
                while let Ok(tick) = waiting.recv() {
                    take(tick);
                    waiting.try_iter().for_each(&mut take);
                    thread::park_timeout(REST);
                }
            })?;
        Ok(Self {
            filled,
            spent,
            sink,
        })
    }

    /// Gives a tick to the sink, and `tick` other buffers; false if the sink is so far behind, or
    /// gone, that the tick is lost.
    pub(crate) fn give(&self, tick: &mut Tick) -> bool {
        let next = self.spent.try_recv().unwrap_or_else(|_| tick.clone());
        let given = std::mem::replace(tick, next);
        self.filled.try_send(given).is_ok()
    }

    /// Waits until the sink has had every tick, and drops it. A panic of its goes on here.
    pub(crate) fn end(self) {
        drop(self.filled);
        self.sink.thread().unpark();
        self.sink
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SessionNs;
    use std::sync::mpsc::channel;

    fn numbered(number: u64) -> Tick {
        Tick {
            row: TelemetryRow {
                tick: number,
                t: SessionNs(0),
                values: Vec::new(),
            },
            cores: Vec::new(),
        }
    }

    #[test]
    fn every_tick_arrives_once_and_in_order() {
        let (send, received) = channel();
        let sink = move |row: &TelemetryRow, _: &[CoreRow]| {
            let _ = send.send(row.tick);
        };
        let handover = Handover::start(&numbered(0), sink).unwrap();
        let mut tick = numbered(0);
        for number in 0..1000 {
            tick.row.tick = number;
            assert!(handover.give(&mut tick));
        }
        handover.end();
        assert!(received.iter().eq(0..1000));
    }

    #[test]
    fn a_sink_that_hangs_loses_ticks_and_holds_up_nobody() {
        let (go, wait) = channel::<()>();
        let sink = move |_: &TelemetryRow, _: &[CoreRow]| {
            let _ = wait.recv();
        };
        let handover = Handover::start(&numbered(0), sink).unwrap();
        let mut tick = numbered(0);
        let given = (0..MOST + 10).filter(|_| handover.give(&mut tick)).count();
        // The one that the sink has in hand may have left its place free.
        assert!((MOST..=MOST + 1).contains(&given), "{given}");
        drop(go);
        handover.end();
    }

    #[test]
    #[should_panic(expected = "the disk is full")]
    fn a_sinks_panic_is_not_lost() {
        let sink = |_: &TelemetryRow, _: &[CoreRow]| panic!("the disk is full");
        let handover = Handover::start(&numbered(0), sink).unwrap();
        handover.give(&mut numbered(0));
        handover.end();
    }
}
