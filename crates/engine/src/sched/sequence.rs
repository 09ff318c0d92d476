//! One request inside the scheduler: its tokens, how many are computed, and its blocks.

use super::{BlockHash, BlockId, BlockPool, Emission, RequestId, Submission};
use crate::{
    reply::Reply,
    roofline::StepWork,
    storage::{
        adapters::AdapterNumber,
        tier::{Place, TierIndex},
    },
    token::Token,
};

#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// Prompt and what was emitted.
    tokens: Vec<Token>,
    prompt_tokens: u32,
    reply: Reply,
    /// How many of `tokens` have their keys and values in `blocks`.
    computed: u32,
    blocks: Vec<BlockId>,
    /// Hashes of the full blocks of `tokens`, as far as they were needed.
    hashes: Vec<BlockHash>,
    root: BlockHash,
    /// How many of `blocks` were offered to the prefix cache.
    published: usize,
    block_tokens: u32,
    was_admitted: bool,
    /// Both caches were asked; what they had is in `blocks`.
    looked_up: bool,
    /// How many of the computed tokens came from a tier.
    fetched_tokens: u32,
    /// The adapter it is answered with; 0 for none.
    adapter: AdapterNumber,
    has_adapter: bool,
}

impl Sequence {
    pub(super) fn new(submission: Submission, block_tokens: u32) -> Self {
        let mut tokens = submission.prompt;
        let prompt_tokens = tokens.len() as u32;
        tokens.reserve_exact(submission.reply.len() as usize);
        Self {
            tokens,
            prompt_tokens,
            reply: submission.reply,
            computed: 0,
            blocks: Vec::new(),
            hashes: Vec::new(),
            root: BlockHash::root(submission.speaker),
            published: 0,
            block_tokens,
            was_admitted: false,
            looked_up: false,
            fetched_tokens: 0,
            adapter: submission.adapter,
            has_adapter: false,
        }
    }

    pub(super) fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    /// Marks it as running; true the first time.
    pub(super) fn admit(&mut self) -> bool {
        !std::mem::replace(&mut self.was_admitted, true)
    }

    /// The adapter it still needs.
    pub(super) fn wanted_adapter(&self) -> Option<AdapterNumber> {
        (self.adapter > 0 && !self.has_adapter).then_some(self.adapter)
    }

    pub(super) fn take_adapter(&mut self) {
        self.has_adapter = true;
    }

    /// The adapter that it has no more use for.
    pub(super) fn give_up_adapter(&mut self) -> Option<AdapterNumber> {
        std::mem::take(&mut self.has_adapter).then_some(self.adapter)
    }

    /// Whether the caches are still to be asked.
    pub(super) fn wants_lookup(&self) -> bool {
        !self.looked_up
    }

    /// Whether it has blocks.
    pub(super) fn holds_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Tokens that need not be computed.
    pub(super) fn computed_tokens(&self) -> u32 {
        self.computed
    }

    /// Of these, tokens that a tier had.
    pub(super) fn fetched_tokens(&self) -> u32 {
        self.fetched_tokens
    }

    /// Takes over the blocks of an equal prefix that the device has, for a sequence that has none.
    /// At least one token is left to compute, because the next token comes out of that. Adds what
    /// was found to `found`.
    pub(super) fn reuse_prefix(&mut self, pool: &mut BlockPool, found: &mut Vec<BlockHash>) {
        self.looked_up = true;
        for index in 0..self.reusable_blocks() {
            let hash = self.hash(index);
            let Some(block) = pool.find(hash) else {
                break;
            };
            pool.share(block);
            self.blocks.push(block);
            found.push(hash);
        }
        self.published = self.blocks.len();
        self.computed = self.blocks.len() as u32 * self.block_tokens;
    }

    /// The blocks that follow what it has and lie in a tier, as far as the pool has room for them.
    /// It gets blocks to read them into.
    pub(super) fn reserve_from_tier(
        &mut self,
        tier: &TierIndex,
        pool: &mut BlockPool,
        evicted: &mut Vec<BlockHash>,
    ) -> Vec<(BlockHash, Place)> {
        let mut places = Vec::new();
        for index in self.blocks.len()..self.reusable_blocks() {
            let hash = self.hash(index);
            let Some(place) = tier.find(hash) else { break };
            let Some(taken) = pool.take() else { break };
            evicted.extend(taken.evicted);
            self.blocks.push(taken.block);
            places.push((hash, place));
        }
        places
    }

    /// The first `good` of the blocks that were reserved from a tier have been read.
    pub(super) fn arrive(&mut self, good: u32) {
        self.fetched_tokens = good * self.block_tokens;
        self.computed += self.fetched_tokens;
    }

    fn reusable_blocks(&self) -> usize {
        (self.tokens.len() - 1) / self.block_tokens as usize
    }

    /// Makes room for the next tokens, at most `budget`; None, with nothing taken, if the pool has
    /// too few blocks. Adds what was given up for it to `evicted`.
    pub(super) fn reserve(
        &mut self,
        budget: u32,
        pool: &mut BlockPool,
        evicted: &mut Vec<BlockHash>,
    ) -> Option<StepWork> {
        let new_tokens = (self.tokens.len() as u32 - self.computed).min(budget);
        let context_tokens = self.computed + new_tokens;
        let needed = context_tokens.div_ceil(self.block_tokens) as usize;
        let missing = needed.saturating_sub(self.blocks.len());
        if missing > pool.free() as usize {
            return None;
        }
        for _ in 0..missing {
            let taken = pool.take()?;
            evicted.extend(taken.evicted);
            self.blocks.push(taken.block);
        }
        Some(StepWork {
            new_tokens,
            context_tokens,
        })
    }

    pub(super) fn advance(&mut self, new_tokens: u32) {
        self.computed += new_tokens;
    }

    /// Offers the blocks that have become full to the prefix cache, and adds them to `published`.
    pub(super) fn publish_full_blocks(
        &mut self,
        pool: &mut BlockPool,
        published: &mut Vec<BlockHash>,
    ) {
        let full = (self.computed / self.block_tokens) as usize;
        while self.published < full {
            let hash = self.hash(self.published);
            pool.publish(self.blocks[self.published], hash);
            published.push(hash);
            self.published += 1;
        }
    }

    /// The next token of the reply, once all known tokens are computed.
    pub(super) fn emit(&mut self, id: RequestId) -> Option<Emission> {
        if (self.computed as usize) < self.tokens.len() {
            return None;
        }
        let index = self.tokens.len() as u32 - self.prompt_tokens;
        let token = self.reply.token(index);
        self.tokens.push(token);
        Some(Emission {
            id,
            index,
            token,
            finish: self.reply.finish_at(index),
        })
    }

    /// Gives all blocks up; what was emitted stays known. The end of the sequence goes first, since a prefix is worth more.
    pub(super) fn drop_blocks(&mut self, pool: &mut BlockPool) {
        while let Some(block) = self.blocks.pop() {
            pool.release(block);
        }
        self.computed = 0;
        self.published = 0;
        self.looked_up = false;
        self.fetched_tokens = 0;
    }

    fn hash(&mut self, index: usize) -> BlockHash {
        let size = self.block_tokens as usize;
        while self.hashes.len() <= index {
            let at = self.hashes.len();
            let parent = self.hashes.last().copied().unwrap_or(self.root);
            self.hashes
                .push(parent.child(&self.tokens[at * size..(at + 1) * size]));
        }
        self.hashes[index]
    }
}
