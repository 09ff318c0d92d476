//! What goes into the scheduler and what comes out of it.

use super::BlockHash;
use crate::{
    reply::{Finish, Reply, mix},
    roofline::StepWork,
    storage::{
        adapters::{AdapterCounts, AdapterLimits, AdapterNumber},
        tier::{Place, TierLimits},
    },
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
    /// Caches for adapters. Without them adapters are always there.
    pub adapters: Option<AdapterLimits>,
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
    /// Whose keys and values these are: no two adapters' are the same. See [`speaker`].
    pub speaker: u64,
    /// The adapter that answers; 0 for the base model.
    pub adapter: AdapterNumber,
}

/// The number that stands for an adapter of this name in block hashes and replies: unlike the
/// adapter's own number it is the same in every run. The base model's is 0.
pub fn speaker(adapter: &str) -> u64 {
    adapter
        .bytes()
        .fold(1, |hash, byte| mix(hash ^ u64::from(byte)))
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

/// Blocks to be read from the tiers for a request; [`Scheduler::fetched`](super::Scheduler::fetched) says
/// how it went.
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
    /// Which adapters are to be read meanwhile.
    pub adapter_loads: Vec<AdapterLoad>,
}

/// An adapter to be read; [`Scheduler::adapter_loaded`](super::Scheduler::adapter_loaded) says how
/// it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterLoad {
    /// The request that wants it first, and names it.
    pub id: RequestId,
    /// The adapter that memory gives up for it.
    pub evicted: Option<AdapterNumber>,
}

/// What an adapter's arrival, or its failure to, meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterOutcome {
    /// Requests that can go on.
    pub resumed: Vec<RequestId>,
    /// Requests that can't be served and are forgotten.
    pub failed: Vec<RequestId>,
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
    /// What the adapter caches did, ever.
    pub adapters: Option<AdapterCounts>,
    /// Preemptions, ever.
    pub preemptions: u64,
    /// Prompt tokens of sequences that have emitted their first token, ever.
    pub prompt_tokens: u64,
    /// Tokens emitted, ever.
    pub generation_tokens: u64,
}
