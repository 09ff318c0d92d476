//! Prompts as token ids: exactly as long as wanted, whatever the tokenizer.

use crate::workload::{Segment, Shape};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Arc;

/// Token ids that a server takes as ordinary text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPool(Arc<[u32]>);

/// Ids of a nonce: of a pool of 1,000, 7 hold 69 bits.
const NONCE_IDS: u32 = 7;

impl TokenPool {
    /// A pool; None if it is too small to make prompts that differ.
    pub(crate) fn new(mut ids: Vec<u32>) -> Option<Self> {
        ids.sort_unstable();
        ids.dedup();
        (ids.len() >= 500).then(|| Self(ids.into()))
    }

    /// Exactly the prompt's tokens.
    pub(crate) fn write(&self, shape: &Shape) -> Vec<u32> {
        let places = draw(shape, shape.prompt_tokens, self.0.len());
        places.into_iter().map(|place| self.0[place]).collect()
    }
}

/// Places in a pool of `size` for a prompt of `all` tokens, part by part.
pub(super) fn draw(shape: &Shape, all: u32, size: usize) -> Vec<usize> {
    let mut places = Vec::with_capacity(all as usize);
    for (nth, segment) in shape.layout.iter().enumerate() {
        let left = all - places.len() as u32;
        let is_last = nth + 1 == shape.layout.len();
        let (seed, tokens) = match *segment {
            Segment::Nonce(hash) => (hash, NONCE_IDS),
            Segment::Common { seed, tokens } if !is_last => (seed, tokens),
            Segment::Common { seed, .. } | Segment::Rest { seed } => (seed, left),
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        places.extend((0..tokens.min(left)).map(|_| rng.random_range(0..size)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prompt::PromptKey,
        workload::{Reuse, Workload},
    };

    #[test]
    fn a_prompt_is_exactly_as_long_as_wanted() {
        let pool = TokenPool::new((1_000..2_000).collect()).unwrap();
        let mut workload = Workload::new(1_024, 1, 1, 2);
        workload.reuse = Reuse::Shared { tokens: 300 };
        let prompt = |user| {
            let key = PromptKey { user, sequence: 0 };
            pool.write(&workload.shape(key, None))
        };
        let (a, b) = (prompt(0), prompt(1));
        assert_eq!((a.len(), b.len()), (1_024, 1_024));
        assert_eq!(a[..300], b[..300]);
        assert_ne!(a[300..307], b[300..307]);
        workload.prompt = crate::workload::TokenLengths::fixed(3);
        let key = PromptKey {
            user: 0,
            sequence: 0,
        };
        assert_eq!(pool.write(&workload.shape(key, None)).len(), 3);
    }

    #[test]
    fn a_small_pool_is_none() {
        assert_eq!(TokenPool::new(vec![5; 1_000]), None);
    }
}
