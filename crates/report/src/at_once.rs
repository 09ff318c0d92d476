//! The same work on many things, on several cores.

use std::{
    num::NonZeroUsize,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// What `work` makes of each, in their order; on as many threads as there are cores, `most` at most.
pub(crate) fn at_once<T: Sync, R: Send>(
    most: usize,
    all: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = most.min(cores).min(all.len());
    if threads <= 1 {
        return all.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take_turns = || {
        let turns = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = turns.map_while(|at| Some((at, work(all.get(at)?))));
        mine.collect::<Vec<_>>()
    };
    let mut done = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(take_turns)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        let done = joined.flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)));
        done.collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_what_they_were_made_of() {
        let all: Vec<u64> = (0..1000).collect();
        // The first take the longest, so that threads end out of order.
        let slow = |&n: &u64| (0..1000 - n).fold(n, |sum, _| std::hint::black_box(sum));
        for most in [0, 1, 3, 2000] {
            assert_eq!(at_once(most, &all, slow), all);
        }
        assert_eq!(at_once(4, &[], slow), [0; 0]);
    }

    #[test]
    #[should_panic(expected = "the seventh")]
    fn a_panic_is_passed_on() {
        at_once(4, &(0..20).collect::<Vec<_>>(), |&n| {
            assert_ne!(n, 7, "the seventh")
        });
    }
}
