//! What requests look like: lengths, reuse of prefixes, adapters. Pure, but for the files that a
//! workload may be read from.
//!
//! A request's shape follows from the workload's seed and the request's key alone, so that a run
//! can be repeated whatever the timing was.

mod adapters;
mod lengths;
mod texts;

pub use adapters::{Adapter, AdapterListError, AdapterPolicy, Adapters, LoraDialect};
pub use lengths::{BadLengths, TokenLengths};
pub use texts::{TextError, Texts};

use crate::prompt::{ExactLengths, PromptKey, TokenPool, Tokenizer, WordPool, mix};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{num::NonZeroU32, sync::Arc};

/// What the requests of a phase look like. Made by [`Workload::new`]; then set what is to differ.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Workload {
    /// The lengths of prompts, by the server's count.
    pub prompt: TokenLengths,
    /// How many tokens requests ask for.
    pub output: TokenLengths,
    /// The sampling temperature.
    pub temperature: f64,
    /// Fixes the prompts' words and all draws.
    pub seed: u64,
    /// Makes the nonces; another for every run, or a prefix cache answers.
    pub salt: u64,
    /// What prompts have in common.
    pub reuse: Reuse,
    /// Each user has so many prompts and asks for them in turn, again and again. Absent: every prompt
    /// is new.
    pub own_prompts: Option<NonZeroU32>,
    /// How many requests make a conversation; each repeats what was said before it. Closed loops only.
    pub turns: NonZeroU32,
    /// LoRA adapters, and who takes which.
    pub adapters: Option<Adapters>,
    /// Prompts made of token ids: exactly as long as wanted. Only `completions` takes them.
    pub token_pool: Option<TokenPool>,
    /// Prompts of words that are one token each to the server: exactly as long as wanted, in every
    /// dialect. Goes before the tokenizer.
    pub word_pool: Option<WordPool>,
    /// Prompts of text that are exactly as long as wanted by this tokenizer; goes before the pool of
    /// ids.
    pub tokenizer: Option<Tokenizer>,
    /// Prompts from files instead of the generator's; `prompt` is then only what is expected.
    pub texts: Option<Texts>,
}

/// How much of their prompts requests share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Nothing: each prompt begins with its own nonce.
    Unique,
    /// All begin with the same so many tokens.
    Shared {
        /// Length of the common part.
        tokens: u32,
    },
    /// Users fall into groups, each with a common part of its own.
    Groups {
        /// How many groups.
        groups: NonZeroU32,
        /// Length of the common part.
        tokens: u32,
    },
}

/// What one request is to be, as a trace says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceShape {
    /// Length of the prompt.
    pub prompt_tokens: u32,
    /// Length of the answer.
    pub output_tokens: u32,
    /// The prompt's blocks: equal ids mean equal text. May be empty.
    pub blocks: Arc<[u64]>,
    /// Tokens in a block.
    pub block_tokens: u32,
}

/// What one request is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) prompt_tokens: u32,
    pub(crate) max_tokens: u32,
    /// Its prompt, part by part.
    pub(crate) layout: Vec<Segment>,
}

/// A part of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Makes all that follows new to every cache.
    Nonce(u64),
    /// Words that the seed fixes; as many as make so many tokens.
    Common { seed: u64, tokens: u32 },
    /// Words that the seed fixes, up to the prompt's whole length.
    Rest { seed: u64 },
}

impl Workload {
    /// Prompts and answers of fixed lengths, at temperature 0, with nothing in common.
    pub fn new(prompt_tokens: u32, max_tokens: u32, seed: u64, salt: u64) -> Self {
        Self {
            prompt: TokenLengths::fixed(prompt_tokens),
            output: TokenLengths::fixed(max_tokens),
            temperature: 0.0,
            seed,
            salt,
            reuse: Reuse::Unique,
            own_prompts: None,
            turns: NonZeroU32::MIN,
            adapters: None,
            token_pool: None,
            word_pool: None,
            tokenizer: None,
            texts: None,
        }
    }

    /// Makes prompts exactly as long as wanted.
    pub fn make_exact(&mut self, exact: ExactLengths) {
        self.tokenizer = exact.tokenizer;
        self.word_pool = exact.word_pool;
        self.token_pool = exact.token_pool;
    }

    /// Whether requests go on with what was said before.
    pub(crate) fn converses(&self) -> bool {
        self.turns > NonZeroU32::MIN
    }

    /// The shape of a request: its own draw, or what a trace says.
    pub(crate) fn shape(&self, key: PromptKey, trace: Option<&TraceShape>) -> Shape {
        let key = self.in_turn(key);
        let body = mix(self.seed, key);
        let (prompt_tokens, max_tokens) = match trace {
            Some(trace) => (trace.prompt_tokens, trace.output_tokens),
            None => {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(body);
                (self.prompt.draw(&mut rng), self.output.draw(&mut rng))
            }
        };
        let layout = match trace {
            Some(trace) if !trace.blocks.is_empty() => self.blocks(trace),
            _ => self.with_common_part(key, body, prompt_tokens),
        };
        Shape {
            prompt_tokens,
            max_tokens: max_tokens.max(1),
            layout,
        }
    }

    /// The key of the prompt that is asked for where users have a number of their own.
    fn in_turn(&self, key: PromptKey) -> PromptKey {
        let sequence = match self.own_prompts {
            Some(prompts) => key.sequence % u64::from(prompts.get()),
            None => key.sequence,
        };
        PromptKey { sequence, ..key }
    }

    fn with_common_part(&self, key: PromptKey, body: u64, prompt_tokens: u32) -> Vec<Segment> {
        let common = |group, tokens: u32| Segment::Common {
            seed: self.salted(group),
            tokens: tokens.min(prompt_tokens),
        };
        let own = [
            Segment::Nonce(mix(self.salt, key)),
            Segment::Rest { seed: body },
        ];
        let shared = match self.reuse {
            Reuse::Unique => None,
            Reuse::Shared { tokens } => Some(common(0, tokens)),
            Reuse::Groups { groups, tokens } => Some(common(u64::from(key.user % groups), tokens)),
        };
        shared.into_iter().chain(own).collect()
    }

    /// A trace's prompt: equal block ids give equal text within this run, and only within it.
    fn blocks(&self, trace: &TraceShape) -> Vec<Segment> {
        let mut left = trace.prompt_tokens;
        let block = |&id| {
            let tokens = left.min(trace.block_tokens);
            left -= tokens;
            Segment::Common {
                seed: self.salted(id),
                tokens,
            }
        };
        trace.blocks.iter().map(block).collect()
    }

    /// A seed for text that several requests share, but no other run.
    fn salted(&self, id: u64) -> u64 {
        let key = PromptKey {
            user: u32::MAX,
            sequence: id,
        };
        mix(self.salt, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: u32, sequence: u64) -> PromptKey {
        PromptKey { user, sequence }
    }

    #[test]
    fn a_shape_depends_on_seed_and_key_alone() {
        let mut workload = Workload::new(100, 10, 1, 2);
        workload.prompt = TokenLengths::normal(100.0, 20.0, 10, 500).unwrap();
        let shape = |workload: &Workload, key| workload.shape(key, None);
        assert_eq!(shape(&workload, key(3, 4)), shape(&workload, key(3, 4)));
        let lengths: std::collections::HashSet<u32> = (0..50)
            .map(|nth| shape(&workload, key(0, nth)).prompt_tokens)
            .collect();
        assert!(lengths.len() > 20);
    }

    #[test]
    fn the_nonce_comes_first_unless_a_common_part_was_asked_for() {
        let mut workload = Workload::new(100, 10, 1, 2);
        let first = |workload: &Workload, user| workload.shape(key(user, 0), None).layout[0];
        assert!(matches!(first(&workload, 0), Segment::Nonce(_)));
        workload.reuse = Reuse::Shared { tokens: 1_000 };
        assert_eq!(first(&workload, 0), first(&workload, 7));
        assert!(matches!(
            first(&workload, 0),
            Segment::Common { tokens: 100, .. }
        ));
        workload.reuse = Reuse::Groups {
            groups: 2.try_into().unwrap(),
            tokens: 50,
        };
        assert_eq!(first(&workload, 0), first(&workload, 2));
        assert_ne!(first(&workload, 0), first(&workload, 1));
    }

    #[test]
    fn a_user_with_prompts_of_its_own_asks_for_them_in_turn() {
        let mut workload = Workload::new(100, 10, 1, 2);
        let shape = |workload: &Workload, user, nth| workload.shape(key(user, nth), None);
        assert_ne!(shape(&workload, 0, 0), shape(&workload, 0, 3));
        workload.own_prompts = NonZeroU32::new(3);
        assert_eq!(shape(&workload, 0, 0), shape(&workload, 0, 3));
        assert_ne!(shape(&workload, 0, 0), shape(&workload, 0, 2));
        assert_ne!(shape(&workload, 0, 0), shape(&workload, 1, 0));
    }

    #[test]
    fn equal_blocks_of_a_trace_are_equal_text_in_one_run() {
        let trace = TraceShape {
            prompt_tokens: 1_100,
            output_tokens: 0,
            blocks: [7, 8, 9].into(),
            block_tokens: 512,
        };
        let shape = |salt| Workload::new(1, 1, 1, salt).shape(key(0, 0), Some(&trace));
        let tokens = |segment: &Segment| match segment {
            Segment::Common { tokens, .. } => *tokens,
            _ => 0,
        };
        let lengths: Vec<u32> = shape(1).layout.iter().map(tokens).collect();
        assert_eq!(lengths, [512, 512, 76]);
        assert_eq!(shape(1), shape(1));
        assert_ne!(shape(1).layout[0], shape(2).layout[0]);
        assert_eq!(shape(1).max_tokens, 1);
    }
}
