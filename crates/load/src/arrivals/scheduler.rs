//! The thread that waits for each moment and says so.
//!
//! Tokio's timer is a millisecond coarse. A thread with a timer slack of 1 ns that sleeps to just
//! before the moment and spins the rest is late by some microseconds.

use super::Moment;
use clock::MonoNs;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// How long before a moment the sleeping ends and the spinning begins.
const SPIN: Duration = Duration::from_micros(150);
/// The longest sleep: how soon the thread ends when the phase does.
const NAP: Duration = Duration::from_millis(50);

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// When it was meant to be sent, whenever this is read.
    pub(crate) intended: MonoNs,
}

/// Says of each moment that it is there, until the moments or the phase end.
pub(crate) fn schedule(
    moments: impl Iterator<Item = Moment>,
    start: MonoNs,
    ended: &AtomicBool,
    due: &UnboundedSender<Due>,
) {
    // Where it is refused, moments are later by some 50 µs, and `queue` says so.
    let _ = nix::sys::prctl::set_timerslack(1);
    for moment in moments {
        let intended = start.plus(moment.after);
        wait_until(intended, ended);
        if ended.load(Relaxed) || due.send(Due { intended }).is_err() {
            return;
        }
    }
}

fn wait_until(time: MonoNs, ended: &AtomicBool) {
    loop {
        let left = time.since(MonoNs::now());
        if left.is_zero() || ended.load(Relaxed) {
            return;
        }
        match left.checked_sub(SPIN) {
            Some(sleep) if !sleep.is_zero() => thread::sleep(sleep.min(NAP)),
            _ => std::hint::spin_loop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(after: &[u64]) -> impl Iterator<Item = Moment> {
        let moment = |&ms| Moment {
            after: Duration::from_millis(ms),
            shape: None,
        };
        after.iter().map(moment).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_late_moment_is_neither_skipped_nor_moved() {
        let (due, mut said) = tokio::sync::mpsc::unbounded_channel();
        // All of them are long past.
        schedule(
            moments(&[0, 1, 5]),
            MonoNs(1),
            &AtomicBool::new(false),
            &due,
        );
        let intended: Vec<u64> = std::iter::from_fn(|| said.try_recv().ok())
            .map(|due| due.intended.0)
            .collect();
        assert_eq!(intended, [1, 1_000_001, 5_000_001]);
    }

    #[test]
    fn no_moment_is_early() {
        let (due, mut said) = tokio::sync::mpsc::unbounded_channel();
        let start = MonoNs::now();
        schedule(moments(&[2, 3]), start, &AtomicBool::new(false), &due);
        assert!(MonoNs::now() >= start.plus(Duration::from_millis(3)));
        assert_eq!(
            said.try_recv().unwrap().intended,
            start.plus(Duration::from_millis(2))
        );
    }

    #[test]
    fn it_ends_with_the_phase() {
        let (due, mut said) = tokio::sync::mpsc::unbounded_channel();
        schedule(
            moments(&[3_600_000]),
            MonoNs::now(),
            &AtomicBool::new(true),
            &due,
        );
        assert!(said.try_recv().is_err());
    }
}
