//! Prompts: sentences of real English words or token ids, reproducible from a seed, with a nonce in
//! front so that no prefix cache can answer them. Pure, but for the composer's thread.

mod composer;
mod ids;
mod length;
mod tokenizer;
mod vocabulary;
mod words;

pub(crate) use composer::{Composed, Composer, History, Order};
pub use ids::TokenPool;
pub use length::LengthModel;
pub use tokenizer::{Tokenizer, TokenizerError};
pub use vocabulary::WordPool;
pub(crate) use vocabulary::{one_token_words, probes};
pub(crate) use words::write_words;

/// What makes prompts exactly as long as wanted. At most one is there; where none can be had, lengths
/// are corrected by what the server counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExactLengths {
    /// A tokenizer that was named, fitted to the server.
    pub tokenizer: Option<Tokenizer>,
    /// Words that are one token each, by the server's own tokenizer.
    pub word_pool: Option<WordPool>,
    /// Token ids.
    pub token_pool: Option<TokenPool>,
}

/// Which request of which user a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PromptKey {
    pub(crate) user: u32,
    /// The user's requests, counted from 0.
    pub(crate) sequence: u64,
}

/// SplitMix64 over all three: neighbouring users and sequences give unrelated numbers.
pub(crate) fn mix(salt: u64, key: PromptKey) -> u64 {
    let parts = [u64::from(key.user), key.sequence];
    parts.into_iter().fold(split_mix(salt), |hash, part| {
        split_mix(hash ^ split_mix(part))
    })
}

fn split_mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
