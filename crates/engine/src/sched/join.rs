//! Letting waiting sequences join the batch.

use super::{AdapterLoad, Admission, Fetch, RequestId, Scheduler, Slice, StepPlan};
use crate::storage::adapters::Acquired;

/// How an attempt to let a sequence join ended.
enum Attempt {
    Joined(Slice, Admission),
    /// Blocks are read for it first.
    Loading(Fetch),
    /// Its adapter is read first; for the first that wants it, this says so.
    Parked(Option<AdapterLoad>),
    /// The device's places for adapters are all in use.
    NoAdapterSlot,
    NoRoom,
}

impl Scheduler {
    pub(super) fn plan_waiting(&mut self, plan: &mut StepPlan, budget: &mut u32) {
        // How many in the queue have been overtaken.
        let mut at = 0;
        while *budget > 0 && self.has_place() {
            let Some(&id) = self.waiting.get(at) else {
                break;
            };
            match self.try_join(id, *budget) {
                Attempt::Joined(slice, admission) => {
                    self.waiting.remove(at);
                    self.running.push(id);
                    *budget -= slice.work.new_tokens;
                    plan.slices.push(slice);
                    plan.admitted.push(admission);
                }
                Attempt::Loading(fetch) => {
                    self.waiting.remove(at);
                    plan.fetches.push(fetch);
                }
                Attempt::Parked(load) => {
                    self.waiting.remove(at);
                    plan.adapter_loads.extend(load);
                }
                Attempt::NoAdapterSlot => at += 1,
                // First come, first served: nobody overtakes whoever lacks only blocks. But nobody
                // else in the queue may hold them, either, once nothing else can free any.
                Attempt::NoRoom => {
                    if !(self.is_stuck() && self.strip_waiting(Some(id))) {
                        break;
                    }
                }
            }
        }
    }

    fn has_place(&self) -> bool {
        self.running.len() + self.loading.len() + self.parked() < self.limits.max_batch
    }

    /// Whether nothing is under way that could free blocks.
    fn is_stuck(&self) -> bool {
        self.running.is_empty() && self.loading.is_empty() && self.parked() == 0
    }

    fn try_join(&mut self, id: RequestId, budget: u32) -> Attempt {
        match self.acquire_adapter(id) {
            None | Some(Acquired::Ready) => {}
            Some(Acquired::Full) => return Attempt::NoAdapterSlot,
            Some(Acquired::Loading) => return Attempt::Parked(None),
            Some(Acquired::Load { evicted }) => {
                return Attempt::Parked(Some(AdapterLoad { id, evicted }));
            }
        }
        if self.limits.prefix_cache
            && let Some(fetch) = self.look_up(id)
        {
            return Attempt::Loading(fetch);
        }
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return Attempt::NoRoom;
        };
        let cached_tokens = sequence.computed_tokens();
        let mut evicted = Vec::new();
        let Some(work) = sequence.reserve(budget, &mut self.pool, &mut evicted) else {
            // What lies on the device may be found again; what was read from a tier is kept.
            if self.tier.is_none() {
                sequence.drop_blocks(&mut self.pool);
            }
            return Attempt::NoRoom;
        };
        let first = sequence.admit();
        if first && self.limits.prefix_cache {
            self.tally.cache_queries_tokens += u64::from(sequence.prompt_tokens());
            self.tally.cache_hits_tokens += u64::from(cached_tokens - sequence.fetched_tokens());
        }
        self.note_evicted(&evicted);
        let admission = Admission {
            id,
            cached_tokens,
            first,
        };
        Attempt::Joined(Slice { id, work }, admission)
    }

    /// Gets a sequence its adapter, if it needs one and does not have it. If that is not there
    /// yet, the sequence is parked.
    fn acquire_adapter(&mut self, id: RequestId) -> Option<Acquired> {
        let sequence = self.sequences.get_mut(&id)?;
        let adapter = sequence.wanted_adapter()?;
        let acquired = self.adapters.as_mut()?.acquire(adapter);
        if acquired == Acquired::Full {
            return Some(acquired);
        }
        sequence.take_adapter();
        if acquired != Acquired::Ready {
            self.parked.entry(adapter).or_default().push(id);
        }
        Some(acquired)
    }

    /// Asks the caches for the beginning of a sequence, once. Some if a tier has a part of it.
    fn look_up(&mut self, id: RequestId) -> Option<Fetch> {
        let sequence = self.sequences.get_mut(&id)?;
        if !sequence.wants_lookup() {
            return None;
        }
        let (mut found, mut evicted) = (Vec::new(), Vec::new());
        sequence.reuse_prefix(&mut self.pool, &mut found);
        let tier = self.tier.as_mut()?;
        let known = u64::from(sequence.computed_tokens());
        self.tally.tier_queries_tokens += u64::from(sequence.prompt_tokens()).saturating_sub(known);
        let blocks = sequence.reserve_from_tier(tier, &mut self.pool, &mut evicted);
        // Pinned before anything else moves in the tiers.
        for (hash, place) in &blocks {
            tier.pin(*hash, *place);
        }
        self.note_evicted(&evicted);
        self.note_used(&found);
        if blocks.is_empty() {
            return None;
        }
        self.loading.insert(id, blocks.clone());
        Some(Fetch { id, blocks })
    }
}
