//! What is due when. Pure.

use clock::MonoNs;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Entries in order of time; those of equal time in the order of their value.
#[derive(Debug)]
pub(super) struct Agenda<T: Ord>(BinaryHeap<Reverse<(MonoNs, T)>>);

impl<T: Ord> Agenda<T> {
    pub(super) fn new() -> Self {
        Self(BinaryHeap::new())
    }

    pub(super) fn add(&mut self, due: MonoNs, entry: T) {
        self.0.push(Reverse((due, entry)));
    }

    /// When the first entry is due.
    pub(super) fn next_due(&self) -> Option<MonoNs> {
        self.0.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the first entry that is due by `now`.
    pub(super) fn take_due(&mut self, now: MonoNs) -> Option<(MonoNs, T)> {
        if self.next_due()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_of_time_and_not_before() {
        let mut agenda = Agenda::new();
        for (due, name) in [(30, 'c'), (10, 'a'), (20, 'b')] {
            agenda.add(MonoNs(due), name);
        }
        assert_eq!(agenda.take_due(MonoNs(9)), None);
        assert_eq!(agenda.take_due(MonoNs(25)), Some((MonoNs(10), 'a')));
        assert_eq!(agenda.take_due(MonoNs(25)), Some((MonoNs(20), 'b')));
        assert_eq!(agenda.take_due(MonoNs(25)), None);
        assert_eq!(agenda.next_due(), Some(MonoNs(30)));
    }
}
