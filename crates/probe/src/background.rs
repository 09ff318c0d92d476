//! Sensors that may be slow or hang: each has a thread of its own, and the sampler takes what is
//! there.
//!
//! A reading goes into a row once, at the first tick after it was taken; the ticks between have
//! none. So a value is never older than its sensor's interval, and a sensor that hangs leaves
//! absent values instead of the last one for ever.

use record::Value;
use std::{
    io,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// The columns that a sensor fills beside the sampler's own.
pub(crate) struct Section {
    /// Their places in the row.
    pub(crate) at: Range<usize>,
    pub(crate) sensor: Box<dyn Fill + Send>,
}

/// A sensor that can fill its columns without waiting.
pub(crate) trait Fill {
    /// Fills `values`, which are absent before.
    fn fill(&mut self, values: &mut [Value]);

    /// Asks for a reading now, whenever the next one is due.
    fn hasten(&self);
}

/// A thread that measures a `T` again and again.
pub(crate) struct Background<T> {
    shared: Arc<Shared<T>>,
    thread: Thread,
    lay: fn(&T, &mut [Value]),
}

struct Shared<T> {
    stop: AtomicBool,
    /// Whether the next reading is wanted at once.
    now: AtomicBool,
    fresh: Mutex<Option<T>>,
}

impl<T: Copy + Send + 'static> Background<T> {
    /// Starts the thread. `begin` runs on it first, because it too may hang; if it gives nothing,
    /// the thread ends. `lay` puts a reading into its columns.
    pub(crate) fn start<M: FnMut() -> T>(
        name: &str,
        interval: Duration,
        begin: impl FnOnce() -> Option<M> + Send + 'static,
        lay: fn(&T, &mut [Value]),
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            now: AtomicBool::new(false),
            fresh: Mutex::new(None),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                if let Some(measure) = begin() {
                    own.run(interval, measure);
                }
            })?;
        Ok(Self {
            shared,
            thread: thread.thread().clone(),
            lay,
        })
    }
}

impl<T> Shared<T> {
    fn run(&self, interval: Duration, mut measure: impl FnMut() -> T) {
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let reading = measure();
            if let Ok(mut fresh) = self.fresh.lock() {
                *fresh = Some(reading);
            }
            due = (due + interval).max(Instant::now());
            while !self.stop.load(Ordering::Relaxed) && !self.now.swap(false, Ordering::Relaxed) {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
            }
        }
    }
}

impl<T: Copy> Fill for Background<T> {
    fn fill(&mut self, values: &mut [Value]) {
        // A reading that is being put there now is taken at the next tick.
        let fresh = self
            .shared
            .fresh
            .try_lock()
            .ok()
            .and_then(|mut fresh| fresh.take());
        if let Some(reading) = fresh {
            (self.lay)(&reading, values);
        }
    }

    fn hasten(&self) {
        self.shared.now.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl<T> Drop for Background<T> {
    /// Lets the thread end by itself: one that hangs in a driver could not be joined.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn lay(reading: &u64, values: &mut [Value]) {
        values[0] = Value::Int(*reading);
    }

    fn filled(background: &mut Background<u64>) -> Value {
        let mut values = [Value::Absent];
        background.fill(&mut values);
        values[0]
    }

    #[test]
    fn a_reading_is_seen_once() {
        let (go, wait) = mpsc::channel::<u64>();
        let (done, measured) = mpsc::channel();
        let begin = move || {
            Some(move || {
                let _ = done.send(());
                wait.recv().unwrap_or_default()
            })
        };
        let mut background = Background::start("test", Duration::ZERO, begin, lay).unwrap();
        assert_eq!(filled(&mut background), Value::Absent);
        go.send(7).unwrap();
        // The second measurement begins after the first was put there, and hangs.
        measured.recv().unwrap();
        measured.recv().unwrap();
        assert_eq!(filled(&mut background), Value::Int(7));
        assert_eq!(filled(&mut background), Value::Absent);
    }

    #[test]
    fn a_sensor_that_never_begins_leaves_nothing() {
        let begin = || None::<fn() -> u64>;
        let mut background = Background::start("test", Duration::ZERO, begin, lay).unwrap();
        assert_eq!(filled(&mut background), Value::Absent);
    }

    #[test]
    fn a_reading_can_be_had_before_it_is_due() {
        let (done, measured) = mpsc::channel();
        let begin = move || Some(move || done.send(()).map_or(0, |()| 1));
        let background = Background::start("test", Duration::from_secs(600), begin, lay).unwrap();
        measured.recv().unwrap();
        background.hasten();
        measured.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn dropping_ends_the_thread() {
        let (sender, ended) = mpsc::channel::<()>();
        let begin = move || {
            Some(move || {
                let _ = &sender;
                1
            })
        };
        drop(Background::start("test", Duration::from_secs(600), begin, lay).unwrap());
        assert_eq!(
            ended.recv_timeout(Duration::from_secs(10)),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }
}
