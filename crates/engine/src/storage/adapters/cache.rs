//! Which adapters are on the device and in memory. Pure: it decides, the loader reads.
//!
//! Both caches give up the least recently used that no sequence uses. What is on the device is in
//! memory too: what memory gives up, the device gives up.

use crate::storage::slots::LruSlots;
use std::collections::HashSet;

/// An adapter, by the number it was registered under. 0 is the base model and never in a cache.
pub type AdapterNumber = u64;

/// How many adapters the caches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterLimits {
    /// On the device at a time, so in one batch.
    pub device_slots: u32,
    /// In memory; at least as many as on the device.
    pub host_slots: u32,
}

/// What became of the wish to use an adapter. Except for `Full`, it is the asker's until
/// [`AdapterCache::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is on the device.
    Ready,
    /// It must be read first, in place of `evicted`.
    Load {
        /// What memory gives up.
        evicted: Option<AdapterNumber>,
    },
    /// It is being read already.
    Loading,
    /// All places on the device are in use.
    Full,
}

/// What the caches did, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdapterCounts {
    /// Found on the device.
    pub device_hits: u64,
    /// Found in memory.
    pub host_hits: u64,
    /// Had to be read.
    pub misses: u64,
}

/// The caches.
#[derive(Clone, Debug)]
pub struct AdapterCache {
    device: LruSlots<AdapterNumber>,
    host: LruSlots<AdapterNumber>,
    loading: HashSet<AdapterNumber>,
    counts: AdapterCounts,
}

impl AdapterCache {
    /// Empty caches.
    pub fn new(limits: AdapterLimits) -> Self {
        Self {
            device: LruSlots::new(limits.device_slots),
            host: LruSlots::new(limits.host_slots),
            loading: HashSet::new(),
            counts: AdapterCounts::default(),
        }
    }

    /// What was found where, ever.
    pub fn counts(&self) -> AdapterCounts {
        self.counts
    }

    /// Asks for `adapter`.
    pub fn acquire(&mut self, adapter: AdapterNumber) -> Acquired {
        let on_device = self.device.get(adapter).is_some();
        if !on_device && self.device.take(adapter).is_none() {
            return Acquired::Full;
        }
        if self.host.get(adapter).is_none() {
            return self.load(adapter);
        }
        self.pin(adapter);
        if self.loading.contains(&adapter) {
            return Acquired::Loading;
        }
        match on_device {
            true => self.counts.device_hits += 1,
            false => self.counts.host_hits += 1,
        }
        Acquired::Ready
    }

    fn load(&mut self, adapter: AdapterNumber) -> Acquired {
        // What is pinned in memory has a place on the device, as this one has; memory has at least
        // as many places, so one is free of pins.
        let Some(taken) = self.host.take(adapter) else {
            self.device.remove(adapter);
            return Acquired::Full;
        };
        if let Some(evicted) = taken.evicted {
            self.device.remove(evicted);
        }
        // Once for who asked, and once for the reading, which goes on if nobody waits any more.
        self.pin(adapter);
        self.pin(adapter);
        self.counts.misses += 1;
        self.loading.insert(adapter);
        Acquired::Load {
            evicted: taken.evicted,
        }
    }

    fn pin(&mut self, adapter: AdapterNumber) {
        self.device.pin(adapter);
        self.host.pin(adapter);
    }

    /// Undoes one [`AdapterCache::acquire`].
    pub fn release(&mut self, adapter: AdapterNumber) {
        self.device.unpin(adapter);
        self.host.unpin(adapter);
    }

    /// The adapter has been read, or could not be; then its users must have released it.
    pub fn loaded(&mut self, adapter: AdapterNumber, ok: bool) {
        if !self.loading.remove(&adapter) {
            return;
        }
        self.release(adapter);
        if !ok {
            self.host.remove(adapter);
            self.device.remove(adapter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(device_slots: u32, host_slots: u32) -> AdapterCache {
        AdapterCache::new(AdapterLimits {
            device_slots,
            host_slots,
        })
    }

    /// Uses an adapter alone, reading it if need be; what it came to.
    fn use_once(cache: &mut AdapterCache, adapter: AdapterNumber) -> Acquired {
        let acquired = cache.acquire(adapter);
        if let Acquired::Load { .. } = acquired {
            cache.loaded(adapter, true);
        }
        cache.release(adapter);
        acquired
    }

    #[test]
    fn round_robin_over_more_than_fit_misses_every_time() {
        let mut cache = cache(4, 4);
        for round in 0..3 {
            for adapter in 1..=16 {
                let acquired = use_once(&mut cache, adapter);
                assert!(
                    matches!(acquired, Acquired::Load { .. }),
                    "{round} {adapter}"
                );
            }
        }
        assert_eq!(cache.counts().misses, 48);
    }

    #[test]
    fn memory_keeps_what_the_device_gives_up() {
        let mut cache = cache(1, 2);
        assert_eq!(use_once(&mut cache, 1), Acquired::Load { evicted: None });
        assert_eq!(use_once(&mut cache, 2), Acquired::Load { evicted: None });
        assert_eq!(use_once(&mut cache, 1), Acquired::Ready);
        assert_eq!(use_once(&mut cache, 1), Acquired::Ready);
        assert_eq!(use_once(&mut cache, 3), Acquired::Load { evicted: Some(2) });
        let counts = cache.counts();
        assert_eq!(
            (counts.device_hits, counts.host_hits, counts.misses),
            (1, 1, 3)
        );
    }

    #[test]
    fn an_adapter_in_use_is_not_given_up_and_is_read_once() {
        let mut cache = cache(1, 1);
        assert_eq!(cache.acquire(1), Acquired::Load { evicted: None });
        assert_eq!(cache.acquire(1), Acquired::Loading);
        assert_eq!(cache.acquire(2), Acquired::Full);
        cache.loaded(1, true);
        cache.release(1);
        assert_eq!(cache.acquire(2), Acquired::Full);
        cache.release(1);
        assert_eq!(cache.acquire(2), Acquired::Load { evicted: Some(1) });
        cache.release(2);
        cache.loaded(2, false);
        assert_eq!(cache.acquire(2), Acquired::Load { evicted: None });
    }

    proptest! {
        #[test]
        fn no_more_adapters_are_in_use_than_fit(
            ops in prop::collection::vec((any::<bool>(), 1..8u64), 0..200),
            device_slots in 1..4u32, more in 0..4u32,
        ) {
            let mut cache = cache(device_slots, device_slots + more);
            let mut held: Vec<AdapterNumber> = Vec::new();
            for (take, adapter) in ops {
                if take {
                    match cache.acquire(adapter) {
                        Acquired::Full => {
                            prop_assert!(!held.contains(&adapter));
                            held.sort_unstable();
                            let mut distinct = held.clone();
                            distinct.dedup();
                            prop_assert_eq!(distinct.len(), device_slots as usize);
                        }
                        Acquired::Load { evicted } => {
                            prop_assert!(evicted.is_none_or(|gone| !held.contains(&gone)));
                            cache.loaded(adapter, true);
                            held.push(adapter);
                        }
                        Acquired::Ready | Acquired::Loading => held.push(adapter),
                    }
                } else if !held.is_empty() {
                    cache.release(held.swap_remove(adapter as usize % held.len()));
                }
            }
        }
    }
}
