//! A fixed number of slots, each for one key, the least recently used given up first. Pure.
//!
//! A pinned key keeps its slot.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// What taking a slot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken<K> {
    pub(crate) slot: u32,
    /// Who had it.
    pub(crate) evicted: Option<K>,
}

#[derive(Clone, Debug)]
struct Holding {
    slot: u32,
    age: u64,
    pins: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct LruSlots<K> {
    vacant: Vec<u32>,
    holdings: HashMap<K, Holding>,
    /// Those that may be given up, oldest first.
    unpinned: BTreeMap<u64, K>,
    clock: u64,
}

impl<K: Copy + Eq + Hash> LruSlots<K> {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            vacant: (0..slots).rev().collect(),
            holdings: HashMap::new(),
            unpinned: BTreeMap::new(),
            clock: 0,
        }
    }

    /// How many keys have a slot.
    pub(crate) fn len(&self) -> usize {
        self.holdings.len()
    }

    pub(crate) fn get(&self, key: K) -> Option<u32> {
        self.holdings.get(&key).map(|holding| holding.slot)
    }

    /// Gives `key`, which has none, the given slot; false if that is not vacant.
    pub(crate) fn restore(&mut self, key: K, slot: u32) -> bool {
        let Some(at) = self.vacant.iter().rposition(|vacant| *vacant == slot) else {
            return false;
        };
        self.vacant.swap_remove(at);
        self.hold(key, slot);
        true
    }

    /// A slot for `key`, which has none; None if all are pinned.
    pub(crate) fn take(&mut self, key: K) -> Option<Taken<K>> {
        debug_assert!(self.get(key).is_none(), "a key takes one slot");
        let (slot, evicted) = match self.vacant.pop() {
            Some(slot) => (slot, None),
            None => {
                let (_, oldest) = self.unpinned.pop_first()?;
                (self.holdings.remove(&oldest)?.slot, Some(oldest))
            }
        };
        self.hold(key, slot);
        Some(Taken { slot, evicted })
    }

    /// Notes that `key` was used.
    pub(crate) fn touch(&mut self, key: K) {
        self.pin(key);
        self.unpin(key);
    }

    /// Keeps `key` from being given up, until as many calls of [`LruSlots::unpin`].
    pub(crate) fn pin(&mut self, key: K) {
        if let Some(holding) = self.holdings.get_mut(&key) {
            if holding.pins == 0 {
                self.unpinned.remove(&holding.age);
            }
            holding.pins += 1;
        }
    }

    pub(crate) fn unpin(&mut self, key: K) {
        let Some(holding) = self.holdings.get_mut(&key) else {
            return;
        };
        debug_assert!(holding.pins > 0, "unpinned more often than pinned");
        holding.pins = holding.pins.saturating_sub(1);
        if holding.pins == 0 {
            self.clock += 1;
            holding.age = self.clock;
            self.unpinned.insert(self.clock, key);
        }
    }

    pub(crate) fn is_pinned(&self, key: K) -> bool {
        self.holdings
            .get(&key)
            .is_some_and(|holding| holding.pins > 0)
    }

    /// Gives up the slot of `key`, pinned or not.
    pub(crate) fn remove(&mut self, key: K) {
        if let Some(holding) = self.holdings.remove(&key) {
            if holding.pins == 0 {
                self.unpinned.remove(&holding.age);
            }
            self.vacant.push(holding.slot);
        }
    }

    fn hold(&mut self, key: K, slot: u32) {
        self.clock += 1;
        self.unpinned.insert(self.clock, key);
        let holding = Holding {
            slot,
            age: self.clock,
            pins: 0,
        };
        self.holdings.insert(key, holding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_least_recently_used_goes_unless_it_is_pinned() {
        let mut slots = LruSlots::new(2);
        assert_eq!(slots.take('a').unwrap().evicted, None);
        assert_eq!(slots.take('b').unwrap().evicted, None);
        slots.touch('a');
        assert_eq!(slots.take('c').unwrap().evicted, Some('b'));
        slots.pin('a');
        assert_eq!(slots.take('d').unwrap().evicted, Some('c'));
        slots.pin('d');
        assert_eq!(slots.take('e'), None);
        slots.unpin('a');
        assert_eq!(slots.take('e').unwrap().evicted, Some('a'));
    }

    #[test]
    fn a_slot_can_be_restored_once() {
        let mut slots = LruSlots::new(3);
        assert!(slots.restore('a', 2));
        assert!(!slots.restore('b', 2) && !slots.restore('b', 9));
        assert_eq!((slots.get('a'), slots.len()), (Some(2), 1));
        slots.remove('a');
        assert!(slots.restore('b', 2));
    }

    proptest! {
        #[test]
        fn no_two_keys_share_a_slot(ops in prop::collection::vec((0..5u8, 0..10u8), 0..200)) {
            let mut slots = LruSlots::new(4);
            let mut pins = [0u32; 10];
            for (op, key) in ops {
                let at = key as usize;
                match op {
                    0 if slots.get(key).is_none() => {
                        if let Some(Taken { evicted: Some(old), .. }) = slots.take(key) {
                            prop_assert_eq!(pins[old as usize], 0);
                        }
                    }
                    1 if slots.get(key).is_some() => {
                        slots.pin(key);
                        pins[at] += 1;
                    }
                    2 if pins[at] > 0 => {
                        slots.unpin(key);
                        pins[at] -= 1;
                    }
                    3 => {
                        slots.remove(key);
                        pins[at] = 0;
                    }
                    4 => slots.touch(key),
                    _ => {}
                }
                let mut used: Vec<u32> = (0..10).filter_map(|key| slots.get(key)).collect();
                prop_assert_eq!(used.len(), slots.len());
                used.sort_unstable();
                used.dedup();
                prop_assert_eq!(used.len(), slots.len());
                prop_assert!(slots.len() <= 4);
            }
        }
    }
}
