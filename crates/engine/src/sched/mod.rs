//! The scheduler: which sequence computes how many tokens in each step. Pure: values in, values
//! out, no clock and no I/O, so that every decision can be replayed and tested.
//!
//! As in vLLM's V1 engine there is no prefill phase and no decode phase. A sequence has tokens
//! that are known (prompt and emitted) and tokens that are computed; each step computes some of
//! the difference. A prompt that exceeds the step's budget is spread over steps (chunked prefill);
//! a sequence that computes its last known token emits the next one. Running sequences come first;
//! when no block is left for one, the youngest running sequence is preempted: its blocks go, and
//! it waits, first in line, to be computed again. New sequences join while the batch, the budget
//! and the pool allow, in order of arrival.
//!
//! Before a sequence joins, the caches are asked for its beginning: the device's own blocks first,
//! then the tiers below. What the tiers have is read while others compute; the sequence joins when
//! it is there, and computes the rest. A sequence whose adapter is not in memory waits for that
//! first; one whose adapter finds no place on the device is overtaken.

mod join;
mod pool;
mod sequence;
mod values;

pub use pool::{BlockHash, BlockId, BlockPool, Taken};
pub use values::{
    AdapterLoad, AdapterOutcome, Admission, Emission, Fetch, Limits, RequestId, Slice, StepPlan,
    Submission, Tally, Unschedulable, speaker,
};

use crate::storage::{
    adapters::{AdapterCache, AdapterNumber},
    tier::{DiskSlot, Place, Store, TierIndex},
};
use sequence::Sequence;
use std::collections::{HashMap, VecDeque};

/// The scheduler.
#[derive(Clone, Debug)]
pub struct Scheduler {
    limits: Limits,
    pool: BlockPool,
    sequences: HashMap<RequestId, Sequence>,
    waiting: VecDeque<RequestId>,
    running: Vec<RequestId>,
    /// Sequences that blocks are read for, and these blocks; also of those cancelled meanwhile.
    loading: HashMap<RequestId, Vec<(BlockHash, Place)>>,
    /// Sequences that wait for an adapter that is being read.
    parked: HashMap<AdapterNumber, Vec<RequestId>>,
    adapters: Option<AdapterCache>,
    tier: Option<TierIndex>,
    stores: Vec<Store>,
    tally: Tally,
}

impl Scheduler {
    /// An idle scheduler.
    pub fn new(limits: Limits) -> Self {
        Self {
            pool: BlockPool::new(limits.blocks),
            tier: limits.tier.map(TierIndex::new),
            loading: HashMap::new(),
            parked: HashMap::new(),
            adapters: limits.adapters.map(AdapterCache::new),
            stores: Vec::new(),
            limits,
            sequences: HashMap::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Puts a request at the end of the queue.
    pub fn submit(&mut self, submission: Submission) -> Result<(), Unschedulable> {
        if submission.prompt.is_empty() {
            return Err(Unschedulable::EmptyPrompt);
        }
        let needed_tokens = submission.prompt.len() as u64 + u64::from(submission.reply.len());
        let pool_tokens = u64::from(self.limits.blocks) * u64::from(self.limits.block_tokens);
        if needed_tokens > pool_tokens {
            return Err(Unschedulable::LargerThanPool {
                needed_tokens,
                pool_tokens,
            });
        }
        let id = submission.id;
        let sequence = Sequence::new(submission, self.limits.block_tokens);
        self.sequences.insert(id, sequence);
        self.waiting.push_back(id);
        Ok(())
    }

    /// Forgets a request, wherever it is. False if it is not known (any more).
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let Some(mut sequence) = self.sequences.remove(&id) else {
            return false;
        };
        sequence.drop_blocks(&mut self.pool);
        release_adapter(&mut self.adapters, &mut sequence);
        self.waiting.retain(|other| *other != id);
        self.running.retain(|other| *other != id);
        for parked in self.parked.values_mut() {
            parked.retain(|other| *other != id);
        }
        true
    }

    /// Takes up a block that an earlier run left in the disk tier.
    pub fn restore(&mut self, hash: BlockHash, slot: DiskSlot) -> bool {
        self.tier
            .as_mut()
            .is_some_and(|tier| tier.restore(hash, slot))
    }

    /// The blocks of a [`Fetch`] have been read: the first `good` of them are as they should be;
    /// `bad` are not, and are never read again.
    pub fn fetched(&mut self, id: RequestId, good: u32, bad: &[BlockHash]) {
        let Some(blocks) = self.loading.remove(&id) else {
            return;
        };
        if let Some(tier) = &mut self.tier {
            for (hash, place) in blocks {
                tier.unpin(hash, place);
            }
            bad.iter().for_each(|hash| tier.forget(*hash));
        }
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        sequence.arrive(good);
        self.tally.tier_hits_tokens += u64::from(good) * u64::from(self.limits.block_tokens);
        let mut published = Vec::new();
        sequence.publish_full_blocks(&mut self.pool, &mut published);
        self.note_used(&published);
        self.waiting.push_front(id);
    }

    /// An adapter that was to be loaded is there, or can't be read.
    pub fn adapter_loaded(&mut self, adapter: AdapterNumber, ok: bool) -> AdapterOutcome {
        let parked = self.parked.remove(&adapter).unwrap_or_default();
        let mut outcome = AdapterOutcome::default();
        if ok {
            // The first to come is first in line again.
            parked
                .iter()
                .rev()
                .for_each(|id| self.waiting.push_front(*id));
            outcome.resumed = parked;
        } else {
            for id in &parked {
                self.cancel(*id);
            }
            outcome.failed = parked;
        }
        if let Some(adapters) = &mut self.adapters {
            adapters.loaded(adapter, ok);
        }
        outcome
    }

    /// A [`Store::Disk`] has ended.
    pub fn stored(&mut self, hash: BlockHash, ok: bool) {
        if let Some(tier) = &mut self.tier {
            tier.stored(hash, ok);
        }
    }

    /// Copies that were decided since the last call, to be begun in this order.
    pub fn take_stores(&mut self) -> Vec<Store> {
        std::mem::take(&mut self.stores)
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// The state in numbers.
    pub fn tally(&self) -> Tally {
        Tally {
            running: self.running.len(),
            waiting: self.waiting.len() + self.loading.len() + self.parked(),
            adapters: self.adapters.as_ref().map(AdapterCache::counts),
            blocks_used: self.pool.size() - self.pool.free(),
            blocks: self.pool.size(),
            ..self.tally
        }
    }

    /// The batch, in order of joining.
    pub fn running(&self) -> &[RequestId] {
        &self.running
    }

    /// How many sequences wait for an adapter.
    fn parked(&self) -> usize {
        self.parked.values().map(Vec::len).sum()
    }

    /// Decides the next step. It must be finished with [`Scheduler::finish_step`] before the next
    /// is planned. Empty slices mean that there is nothing to do.
    pub fn plan_step(&mut self) -> StepPlan {
        let mut plan = StepPlan::default();
        let mut budget = self.limits.step_tokens;
        self.plan_running(&mut plan, &mut budget);
        // Whoever was just preempted would only take the blocks back.
        if plan.preempted.is_empty() {
            self.plan_waiting(&mut plan, &mut budget);
        }
        plan
    }

    fn plan_running(&mut self, plan: &mut StepPlan, budget: &mut u32) {
        let mut next = 0;
        while next < self.running.len() && *budget > 0 {
            let id = self.running[next];
            // Only preemption of this very sequence ends without a slice.
            if let Some(slice) = self.slice_or_preempt(id, *budget, plan) {
                *budget -= slice.work.new_tokens;
                plan.slices.push(slice);
            }
            next += 1;
        }
    }

    /// Gives `id` its next slice, taking blocks from those that wait, then from the youngest that
    /// runs, until there are enough.
    fn slice_or_preempt(
        &mut self,
        id: RequestId,
        budget: u32,
        plan: &mut StepPlan,
    ) -> Option<Slice> {
        loop {
            let mut evicted = Vec::new();
            let sequence = self.sequences.get_mut(&id)?;
            let work = sequence.reserve(budget, &mut self.pool, &mut evicted);
            self.note_evicted(&evicted);
            if let Some(work) = work {
                return Some(Slice { id, work });
            }
            if self.strip_waiting(None) {
                continue;
            }
            let youngest = self.running.pop()?;
            self.preempt(youngest);
            plan.preempted.push(youngest);
            if youngest == id {
                return None;
            }
        }
    }

    /// Takes the blocks of the last in the queue that has any, other than `spared`.
    fn strip_waiting(&mut self, spared: Option<RequestId>) -> bool {
        for id in self.waiting.iter().rev().filter(|id| Some(**id) != spared) {
            if let Some(sequence) = self.sequences.get_mut(id)
                && sequence.holds_blocks()
            {
                sequence.drop_blocks(&mut self.pool);
                return true;
            }
        }
        false
    }

    fn preempt(&mut self, id: RequestId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.drop_blocks(&mut self.pool);
            release_adapter(&mut self.adapters, sequence);
        }
        self.waiting.push_front(id);
        self.tally.preemptions += 1;
    }

    fn note_used(&mut self, hashes: &[BlockHash]) {
        if let Some(tier) = &mut self.tier {
            hashes
                .iter()
                .for_each(|hash| tier.used(*hash, &mut self.stores));
        }
    }

    fn note_evicted(&mut self, hashes: &[BlockHash]) {
        if let Some(tier) = &mut self.tier {
            hashes
                .iter()
                .for_each(|hash| tier.evicted(*hash, &mut self.stores));
        }
    }

    /// Applies a step that was computed: what it emits, in the plan's order. Requests cancelled
    /// meanwhile emit nothing.
    pub fn finish_step(&mut self, plan: &StepPlan) -> Vec<Emission> {
        let mut emissions = Vec::with_capacity(plan.slices.len());
        let mut published = Vec::new();
        for slice in &plan.slices {
            let Some(sequence) = self.sequences.get_mut(&slice.id) else {
                continue;
            };
            sequence.advance(slice.work.new_tokens);
            if self.limits.prefix_cache {
                sequence.publish_full_blocks(&mut self.pool, &mut published);
            }
            let Some(emission) = sequence.emit(slice.id) else {
                continue;
            };
            if emission.index == 0 {
                self.tally.prompt_tokens += u64::from(sequence.prompt_tokens());
            }
            self.tally.generation_tokens += 1;
            if emission.finish.is_some() {
                self.cancel(slice.id);
            }
            emissions.push(emission);
        }
        self.note_used(&published);
        emissions
    }
}

fn release_adapter(adapters: &mut Option<AdapterCache>, sequence: &mut Sequence) {
    if let (Some(adapters), Some(adapter)) = (adapters, sequence.give_up_adapter()) {
        adapters.release(adapter);
    }
}

#[cfg(test)]
mod tests;
