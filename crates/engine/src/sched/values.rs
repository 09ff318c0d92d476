//! What goes into the scheduler and what comes out of it.

use super::BlockHash;
use crate::{
    reply::{Finish, Reply},
    roofline::StepWork,
    storage::tier::{Place, TierLimits},
    token::Token,
};

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
    /// Tiers below the device; of no use without the prefix cache.
    pub tier: Option<TierLimits>,
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

/// Blocks to be read from the tiers for a request; [`Scheduler::fetched`] says how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// For whom.
    pub id: RequestId,
    /// Which, in the order of the prompt, and where they lie.
    pub blocks: Vec<(BlockHash, Place)>,
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
    /// What is to be read meanwhile.
    pub fetches: Vec<Fetch>,
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
    /// Prompt tokens looked up in the tiers, ever.
    pub tier_queries_tokens: u64,
    /// Of these, read back.
    pub tier_hits_tokens: u64,
    /// Preemptions, ever.
    pub preemptions: u64,
    /// Prompt tokens of sequences that have emitted their first token, ever.
    pub prompt_tokens: u64,
    /// Tokens emitted, ever.
    pub generation_tokens: u64,
}
