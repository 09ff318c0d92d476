//! Which KV blocks lie where below the device, and which move when. Pure: it decides, others copy.
//!
//! A block the device has is offered when it becomes full (write-through) or when it is evicted
//! (write-back). It goes to memory first, if there is a memory tier; the least recently used block
//! there makes room, and under write-back moves on to the disk. Only a block that was used often
//! enough goes to the disk at all, since most are never asked for again.

use crate::{sched::BlockHash, storage::slots::LruSlots};
use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

/// The tiers' sizes and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Blocks in the memory tier.
    pub host_blocks: u32,
    /// Blocks in the disk tier.
    pub disk_blocks: u32,
    /// When blocks are written.
    pub write: WriteMode,
    /// Uses (computed, or found again) from which on a block is worth writing to disk.
    pub min_uses: u8,
}

/// When a block leaves the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// As soon as it is full; eviction then costs nothing.
    #[default]
    Through,
    /// When the device, or the memory tier, evicts it.
    Back,
}

impl FromStr for WriteMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "through" => Ok(Self::Through),
            "back" => Ok(Self::Back),
            _ => Err(format!("'{name}' is neither through nor back")),
        }
    }
}

/// A place in the memory tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostSlot(pub u32);

/// A place in the disk tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiskSlot(pub u32);

/// Where a block can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Host(HostSlot),
    /// On disk.
    Disk(DiskSlot),
}

/// A copy to be made. Copies must be begun in the order in which they were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Into memory.
    Host {
        /// The block.
        hash: BlockHash,
        /// Where to.
        to: HostSlot,
    },
    /// To disk; [`TierIndex::stored`] must be told how it went.
    Disk {
        /// The block.
        hash: BlockHash,
        /// Where to.
        to: DiskSlot,
    },
}

/// The index of both tiers.
#[derive(Clone, Debug)]
pub struct TierIndex {
    limits: TierLimits,
    host: LruSlots<BlockHash>,
    disk: LruSlots<BlockHash>,
    /// Blocks whose write has not ended; they are pinned and can't be read yet.
    writing: HashSet<BlockHash>,
    /// Blocks that were read and are not what they should be, while others still read them.
    bad: HashSet<BlockHash>,
    uses: HashMap<BlockHash, u8>,
}

impl TierIndex {
    /// Empty tiers.
    pub fn new(limits: TierLimits) -> Self {
        Self {
            limits,
            host: LruSlots::new(limits.host_blocks),
            disk: LruSlots::new(limits.disk_blocks),
            writing: HashSet::new(),
            bad: HashSet::new(),
            uses: HashMap::new(),
        }
    }

    /// Takes up a block that an earlier run left on disk. False if its slot is taken or the block
    /// is known already.
    pub fn restore(&mut self, hash: BlockHash, slot: DiskSlot) -> bool {
        if self.disk.get(hash).is_some() || !self.disk.restore(hash, slot.0) {
            return false;
        }
        // It was worth writing once.
        self.uses.insert(hash, self.limits.min_uses);
        true
    }

    /// Blocks in memory and on disk.
    pub fn len(&self) -> (usize, usize) {
        (self.host.len(), self.disk.len())
    }

    /// Whether both tiers are empty.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Where `hash` can be read, memory first.
    pub fn find(&self, hash: BlockHash) -> Option<Place> {
        if self.bad.contains(&hash) {
            return None;
        }
        if let Some(slot) = self.host.get(hash) {
            return Some(Place::Host(HostSlot(slot)));
        }
        let slot = self.disk.get(hash)?;
        (!self.writing.contains(&hash)).then_some(Place::Disk(DiskSlot(slot)))
    }

    /// Keeps a block where it is while it is read from there.
    pub fn pin(&mut self, hash: BlockHash, place: Place) {
        self.tier_of(place).pin(hash);
    }

    /// Undoes [`TierIndex::pin`]; the block counts as just used.
    pub fn unpin(&mut self, hash: BlockHash, place: Place) {
        self.tier_of(place).unpin(hash);
        self.remove_bad(hash);
    }

    /// Gives up a block that can't be read: it is not found any more, and goes when nobody reads
    /// it.
    pub fn forget(&mut self, hash: BlockHash) {
        self.bad.insert(hash);
        self.remove_bad(hash);
    }

    fn remove_bad(&mut self, hash: BlockHash) {
        if !self.host.is_pinned(hash) && !self.disk.is_pinned(hash) && self.bad.remove(&hash) {
            self.host.remove(hash);
            self.disk.remove(hash);
            self.uses.remove(&hash);
        }
    }

    fn tier_of(&mut self, place: Place) -> &mut LruSlots<BlockHash> {
        match place {
            Place::Host(_) => &mut self.host,
            Place::Disk(_) => &mut self.disk,
        }
    }

    /// The block was computed, or found again, on the device.
    pub fn used(&mut self, hash: BlockHash, stores: &mut Vec<Store>) {
        self.forget_old_uses();
        let uses = self.uses.entry(hash).or_default();
        *uses = uses.saturating_add(1);
        self.host.touch(hash);
        self.disk.touch(hash);
        if self.limits.write == WriteMode::Through {
            self.offer(hash, stores);
        }
    }

    /// The device evicted the block.
    pub fn evicted(&mut self, hash: BlockHash, stores: &mut Vec<Store>) {
        if self.limits.write == WriteMode::Back {
            self.offer(hash, stores);
        }
    }

    /// A write to disk has ended.
    pub fn stored(&mut self, hash: BlockHash, ok: bool) {
        if self.writing.remove(&hash) {
            self.disk.unpin(hash);
            if !ok {
                self.disk.remove(hash);
            }
            self.remove_bad(hash);
        }
    }

    fn offer(&mut self, hash: BlockHash, stores: &mut Vec<Store>) {
        if self.limits.host_blocks > 0 && self.host.get(hash).is_none() {
            // None: all of memory is being read from.
            if let Some(taken) = self.host.take(hash) {
                if let Some(evicted) = taken.evicted
                    && self.limits.write == WriteMode::Back
                {
                    // Decided before the slot is overwritten, so begun before it.
                    self.offer_disk(evicted, stores);
                }
                let to = HostSlot(taken.slot);
                stores.push(Store::Host { hash, to });
            }
        }
        if self.limits.host_blocks == 0 || self.limits.write == WriteMode::Through {
            self.offer_disk(hash, stores);
        }
    }

    fn offer_disk(&mut self, hash: BlockHash, stores: &mut Vec<Store>) {
        let uses = self.uses.get(&hash).copied().unwrap_or(0);
        if uses < self.limits.min_uses || self.disk.get(hash).is_some() {
            return;
        }
        let Some(taken) = self.disk.take(hash) else {
            return;
        };
        self.disk.pin(hash);
        self.writing.insert(hash);
        let to = DiskSlot(taken.slot);
        stores.push(Store::Disk { hash, to });
    }

    /// Halves all counts when there are far more than blocks, so that they stay few and recent.
    fn forget_old_uses(&mut self) {
        let blocks = self.limits.host_blocks as usize + self.limits.disk_blocks as usize;
        if self.uses.len() > (4 * blocks).max(1 << 16) {
            self.uses.retain(|_, uses| {
                *uses /= 2;
                *uses > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn index(host_blocks: u32, disk_blocks: u32, write: WriteMode, min_uses: u8) -> TierIndex {
        TierIndex::new(TierLimits {
            host_blocks,
            disk_blocks,
            write,
            min_uses,
        })
    }

    fn hash(n: u64) -> BlockHash {
        BlockHash(n)
    }

    fn host(n: u64, to: u32) -> Store {
        Store::Host {
            hash: hash(n),
            to: HostSlot(to),
        }
    }

    fn disk(n: u64, to: u32) -> Store {
        Store::Disk {
            hash: hash(n),
            to: DiskSlot(to),
        }
    }

    #[test]
    fn write_through_copies_at_once_and_eviction_copies_nothing() {
        let mut index = index(2, 2, WriteMode::Through, 1);
        let mut stores = Vec::new();
        index.used(hash(1), &mut stores);
        assert_eq!(stores, [host(1, 0), disk(1, 0)]);
        index.evicted(hash(1), &mut stores);
        assert_eq!(stores.len(), 2);
    }

    #[test]
    fn write_back_copies_to_memory_and_from_there_to_disk() {
        let mut index = index(1, 2, WriteMode::Back, 1);
        let mut stores = Vec::new();
        index.used(hash(1), &mut stores);
        assert_eq!(stores, []);
        index.evicted(hash(1), &mut stores);
        index.used(hash(2), &mut stores);
        index.evicted(hash(2), &mut stores);
        assert_eq!(stores, [host(1, 0), disk(1, 0), host(2, 0)]);
        assert_eq!(index.find(hash(1)), None, "not before it is written");
        index.stored(hash(1), true);
        assert_eq!(index.find(hash(1)), Some(Place::Disk(DiskSlot(0))));
        assert_eq!(index.find(hash(2)), Some(Place::Host(HostSlot(0))));
    }

    #[test]
    fn a_block_that_was_used_once_does_not_pass_the_filter() {
        let mut index = index(0, 4, WriteMode::Through, 2);
        let mut stores = Vec::new();
        index.used(hash(1), &mut stores);
        assert_eq!(stores, []);
        index.used(hash(1), &mut stores);
        assert_eq!(stores, [disk(1, 0)]);
        index.used(hash(1), &mut stores);
        assert_eq!(stores.len(), 1, "written once");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let mut index = index(0, 1, WriteMode::Through, 1);
        let mut stores = Vec::new();
        index.used(hash(1), &mut stores);
        index.used(hash(2), &mut stores);
        assert_eq!(stores, [disk(1, 0)], "the only slot is being written");
        index.stored(hash(1), false);
        assert!(index.is_empty());
        index.used(hash(2), &mut stores);
        assert_eq!(stores[1], disk(2, 0));
    }

    #[test]
    fn a_block_left_by_an_earlier_run_is_found() {
        let mut index = index(0, 4, WriteMode::Back, 2);
        assert!(index.restore(hash(7), DiskSlot(3)));
        assert!(!index.restore(hash(8), DiskSlot(3)) && !index.restore(hash(7), DiskSlot(1)));
        assert_eq!(index.find(hash(7)), Some(Place::Disk(DiskSlot(3))));
        index.forget(hash(7));
        assert_eq!(index.find(hash(7)), None);
    }

    proptest! {
        /// The tiers simulated as arrays of what each slot holds: what is found is what is there.
        #[test]
        fn what_is_found_is_what_was_stored(
            ops in prop::collection::vec((0..4u8, 0..12u64), 0..200),
            host_blocks in 0..4u32, disk_blocks in 0..4u32, through in any::<bool>(),
            min_uses in 1..3u8,
        ) {
            let write = if through { WriteMode::Through } else { WriteMode::Back };
            let mut index = index(host_blocks, disk_blocks, write, min_uses);
            let mut host = vec![None; host_blocks as usize];
            let mut disk = vec![None; disk_blocks as usize];
            let mut writing = Vec::new();
            for (op, n) in ops {
                let mut stores = Vec::new();
                match op {
                    0 => index.used(hash(n), &mut stores),
                    1 => index.evicted(hash(n), &mut stores),
                    2 if !writing.is_empty() => {
                        let (hash, slot): (_, DiskSlot) = writing.swap_remove(n as usize % writing.len());
                        let ok = n % 3 > 0;
                        if ok {
                            disk[slot.0 as usize] = Some(hash);
                        }
                        index.stored(hash, ok);
                    }
                    3 => index.forget(hash(n)),
                    _ => {}
                }
                for store in stores {
                    match store {
                        Store::Host { hash, to } => host[to.0 as usize] = Some(hash),
                        Store::Disk { hash, to } => {
                            disk[to.0 as usize] = None;
                            prop_assert!(writing.iter().all(|(_, slot)| *slot != to));
                            writing.push((hash, to));
                        }
                    }
                }
                for n in 0..12 {
                    match index.find(hash(n)) {
                        Some(Place::Host(slot)) => prop_assert_eq!(host[slot.0 as usize], Some(hash(n))),
                        Some(Place::Disk(slot)) => prop_assert_eq!(disk[slot.0 as usize], Some(hash(n))),
                        None => {}
                    }
                }
            }
        }
    }
}
