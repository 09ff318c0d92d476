//! One request inside the scheduler: its tokens, how many are computed, and its blocks.

use super::{BlockHash, BlockId, BlockPool, Emission, RequestId, Submission};
use crate::{reply::Reply, roofline::StepWork, token::Token};

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
        }
    }

    pub(super) fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    /// Marks it as running; true the first time.
    pub(super) fn admit(&mut self) -> bool {
        !std::mem::replace(&mut self.was_admitted, true)
    }

    /// Takes over the blocks of an equal prefix, for a sequence that has none. At least one token
    /// is left to compute, because the next token comes out of that. Returns the tokens found.
    pub(super) fn reuse_prefix(&mut self, pool: &mut BlockPool) -> u32 {
        let most = (self.tokens.len() as u32 - 1) / self.block_tokens;
        for index in 0..most as usize {
            let Some(block) = pool.find(self.hash(index)) else {
                break;
            };
            pool.share(block);
            self.blocks.push(block);
        }
        self.published = self.blocks.len();
        self.computed = self.blocks.len() as u32 * self.block_tokens;
        self.computed
    }

    /// Makes room for the next tokens, at most `budget`; None, with nothing taken, if the pool has
    /// too few blocks.
    pub(super) fn reserve(&mut self, budget: u32, pool: &mut BlockPool) -> Option<StepWork> {
        let new_tokens = (self.tokens.len() as u32 - self.computed).min(budget);
        let context_tokens = self.computed + new_tokens;
        let needed = context_tokens.div_ceil(self.block_tokens) as usize;
        let missing = needed.saturating_sub(self.blocks.len());
        if missing > pool.free() as usize {
            return None;
        }
        for _ in 0..missing {
            self.blocks.push(pool.take()?.block);
        }
        Some(StepWork {
            new_tokens,
            context_tokens,
        })
    }

    pub(super) fn advance(&mut self, new_tokens: u32) {
        self.computed += new_tokens;
    }

    /// Offers the blocks that have become full to the prefix cache.
    pub(super) fn publish_full_blocks(&mut self, pool: &mut BlockPool) {
        let full = (self.computed / self.block_tokens) as usize;
        while self.published < full {
            let hash = self.hash(self.published);
            pool.publish(self.blocks[self.published], hash);
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
