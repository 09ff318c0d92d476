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

mod pool;
mod sequence;

pub use pool::{BlockHash, BlockId, BlockPool, Taken};

use crate::{
    reply::{Finish, Reply},
    roofline::StepWork,
    token::Token,
};
use sequence::Sequence;
use std::collections::{HashMap, VecDeque};

/// A request as the scheduler knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What the scheduler has to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most sequences in a step.
    pub max_batch: usize,
    /// Most tokens computed in a step.
    pub step_tokens: u32,
    /// Tokens in a block.
    pub block_tokens: u32,
    /// Blocks in the pool.
    pub blocks: u32,
    /// Whether a prompt reuses the blocks of an equal prefix.
    pub prefix_cache: bool,
}

/// A request to be scheduled.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id, new to the scheduler.
    pub id: RequestId,
    /// Its prompt.
    pub prompt: Vec<Token>,
    /// What it will be answered.
    pub reply: Reply,
    /// Which model or adapter answers.
    pub speaker: u64,
}

/// A request that can never run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unschedulable {
    /// Nothing to compute.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// The whole pool would not hold it.
    #[error(
        "prompt and reply need {needed_tokens} tokens of KV cache and the pool holds {pool_tokens}"
    )]
    LargerThanPool {
        /// Prompt plus the longest reply.
        needed_tokens: u64,
        /// What the pool holds.
        pool_tokens: u64,
    },
}

/// A sequence's part in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Whose part.
    pub id: RequestId,
    /// What is computed.
    pub work: StepWork,
}

/// A sequence that joined the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Which.
    pub id: RequestId,
    /// Prompt tokens that it need not compute.
    pub cached_tokens: u32,
    /// False when it comes back after a preemption.
    pub first: bool,
}

/// One step to be computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepPlan {
    /// Who computes what.
    pub slices: Vec<Slice>,
    /// Who joined for this step.
    pub admitted: Vec<Admission>,
    /// Who lost its blocks for this step.
    pub preempted: Vec<RequestId>,
}

/// What a step brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// For whom.
    pub id: RequestId,
    /// The token's index in the reply.
    pub index: u32,
    /// The token.
    pub token: Token,
    /// Set on the last.
    pub finish: Option<Finish>,
}

/// The scheduler's state in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sequences in the batch.
    pub running: usize,
    /// Sequences in the queue.
    pub waiting: usize,
    /// Blocks in use.
    pub blocks_used: u32,
    /// Blocks in the pool.
    pub blocks: u32,
    /// Prompt tokens looked up in the prefix cache, ever.
    pub cache_queries_tokens: u64,
    /// Of these, found.
    pub cache_hits_tokens: u64,
    /// Preemptions, ever.
    pub preemptions: u64,
    /// Prompt tokens of sequences that have emitted their first token, ever.
    pub prompt_tokens: u64,
    /// Tokens emitted, ever.
    pub generation_tokens: u64,
}

/// The scheduler.
#[derive(Clone, Debug)]
pub struct Scheduler {
    limits: Limits,
    pool: BlockPool,
    sequences: HashMap<RequestId, Sequence>,
    waiting: VecDeque<RequestId>,
    running: Vec<RequestId>,
    tally: Tally,
}

impl Scheduler {
    /// An idle scheduler.
    pub fn new(limits: Limits) -> Self {
        Self {
            pool: BlockPool::new(limits.blocks),
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
        self.waiting.retain(|other| *other != id);
        self.running.retain(|other| *other != id);
        true
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// The state in numbers.
    pub fn tally(&self) -> Tally {
        Tally {
            running: self.running.len(),
            waiting: self.waiting.len(),
            blocks_used: self.pool.size() - self.pool.free(),
            blocks: self.pool.size(),
            ..self.tally
        }
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

    /// Gives `id` its next slice, preempting the youngest until there are blocks for it.
    fn slice_or_preempt(
        &mut self,
        id: RequestId,
        budget: u32,
        plan: &mut StepPlan,
    ) -> Option<Slice> {
        loop {
            if let Some(work) = self.sequences.get_mut(&id)?.reserve(budget, &mut self.pool) {
                return Some(Slice { id, work });
            }
            let youngest = self.running.pop()?;
            self.preempt(youngest);
            plan.preempted.push(youngest);
            if youngest == id {
                return None;
            }
        }
    }

    fn preempt(&mut self, id: RequestId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            sequence.drop_blocks(&mut self.pool);
        }
        self.waiting.push_front(id);
        self.tally.preemptions += 1;
    }

    fn plan_waiting(&mut self, plan: &mut StepPlan, budget: &mut u32) {
        while *budget > 0 && self.running.len() < self.limits.max_batch {
            let Some(&id) = self.waiting.front() else {
                break;
            };
            let Some(sequence) = self.sequences.get_mut(&id) else {
                self.waiting.pop_front();
                continue;
            };
            let cached_tokens = if self.limits.prefix_cache {
                sequence.reuse_prefix(&mut self.pool)
            } else {
                0
            };
            let Some(work) = sequence.reserve(*budget, &mut self.pool) else {
                // First come, first served: nobody overtakes the head of the queue.
                sequence.drop_blocks(&mut self.pool);
                break;
            };
            let first = sequence.admit();
            if first && self.limits.prefix_cache {
                self.tally.cache_queries_tokens += u64::from(sequence.prompt_tokens());
                self.tally.cache_hits_tokens += u64::from(cached_tokens);
            }
            self.waiting.pop_front();
            self.running.push(id);
            *budget -= work.new_tokens;
            plan.slices.push(Slice { id, work });
            plan.admitted.push(Admission {
                id,
                cached_tokens,
                first,
            });
        }
    }

    /// Applies a step that was computed: what it emits, in the plan's order. Requests cancelled
    /// meanwhile emit nothing.
    pub fn finish_step(&mut self, plan: &StepPlan) -> Vec<Emission> {
        let mut emissions = Vec::with_capacity(plan.slices.len());
        for slice in &plan.slices {
            let Some(sequence) = self.sequences.get_mut(&slice.id) else {
                continue;
            };
            sequence.advance(slice.work.new_tokens);
            if self.limits.prefix_cache {
                sequence.publish_full_blocks(&mut self.pool);
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
        emissions
    }
}

#[cfg(test)]
mod tests;
