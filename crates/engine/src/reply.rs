//! What the model says: a reply is a pure function of the prompt, so that the same request gets
//! the same answer, as it would at temperature zero.
//!
//! Every token of a reply is one short word, so that counting tokens in its text gives what
//! `usage` says.

use crate::token::{Token, tokenize};
use std::sync::LazyLock;

const WORDS: [&str; 64] = [
    "a", "air", "all", "and", "arm", "at", "be", "big", "blue", "boat", "by", "can", "city",
    "cold", "day", "deep", "do", "door", "dry", "each", "east", "egg", "far", "fire", "fish",
    "for", "from", "gold", "good", "hand", "hill", "home", "ice", "in", "iron", "it", "key",
    "lake", "land", "leaf", "long", "map", "moon", "near", "new", "of", "old", "on", "over",
    "path", "rain", "red", "rock", "salt", "sea", "sky", "snow", "star", "the", "to", "tree",
    "warm", "wind", "wood",
];

static WORD_TOKENS: LazyLock<Vec<Token>> = LazyLock::new(|| {
    WORDS
        .iter()
        .flat_map(|word| tokenize(&format!(" {word}")))
        .collect()
});

/// Why a reply ended, as the protocol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It reached the request's token limit.
    Length,
}

impl Finish {
    /// The protocol's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

/// How long a reply may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The most tokens, at least one.
    pub max_tokens: u32,
    /// The model may not end the reply before this many tokens.
    pub min_tokens: u32,
    /// The model never ends the reply.
    pub ignore_eos: bool,
    /// How long the model's own replies are on average.
    pub mean_tokens: u32,
}

/// A reply that will be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    seed: u64,
    len: u32,
    finish: Finish,
}

impl Reply {
    /// The reply to `prompt` by the model or adapter numbered `speaker`.
    pub fn to(prompt: &[Token], speaker: u64, limits: ReplyLimits) -> Self {
        let seed = prompt
            .iter()
            .fold(mix(speaker), |hash, token| mix(hash ^ u64::from(token.0)));
        let mean = limits.mean_tokens.max(1);
        // Uniform over mean/2 ..= 3·mean/2, and the end itself is a token.
        let own = mean / 2 + (mix(!seed) % (u64::from(mean) + 1)) as u32;
        let own = own.max(limits.min_tokens).max(1);
        let max = limits.max_tokens.max(1);
        let (len, finish) = if !limits.ignore_eos && own < max {
            (own + 1, Finish::Stop)
        } else {
            (max, Finish::Length)
        };
        Self { seed, len, finish }
    }

    /// How many tokens the reply has, with the one that ends it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// A reply has at least one token.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The token at `index`, which must be below [`Reply::len`].
    pub fn token(&self, index: u32) -> Token {
        if self.finish == Finish::Stop && index + 1 == self.len {
            return Token::END;
        }
        let word = mix(self.seed.wrapping_add(u64::from(index) + 1)) as usize % WORDS.len();
        WORD_TOKENS[word]
    }

    /// Why the reply ends at `index`, if it does.
    pub fn finish_at(&self, index: u32) -> Option<Finish> {
        (index + 1 >= self.len).then_some(self.finish)
    }
}

/// splitmix64's finalizer: every input bit moves every output bit.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::detokenize;
    use proptest::prelude::*;

    fn limits(max_tokens: u32, ignore_eos: bool) -> ReplyLimits {
        ReplyLimits {
            max_tokens,
            min_tokens: 0,
            ignore_eos,
            mean_tokens: 256,
        }
    }

    #[test]
    fn the_same_prompt_gets_the_same_reply_and_another_one_another() {
        let text = |prompt: &str, speaker| {
            let reply = Reply::to(&tokenize(prompt), speaker, limits(20, true));
            detokenize(&(0..20).map(|i| reply.token(i)).collect::<Vec<_>>())
        };
        assert_eq!(text("hello", 0), text("hello", 0));
        assert_ne!(text("hello", 0), text("hellp", 0));
        assert_ne!(text("hello", 0), text("hello", 1));
    }

    #[test]
    fn ignore_eos_runs_to_the_limit() {
        let reply = Reply::to(&tokenize("x"), 0, limits(10_000, true));
        assert_eq!(
            (reply.len(), reply.finish_at(9_999)),
            (10_000, Some(Finish::Length))
        );
        assert_eq!(reply.finish_at(9_998), None);
    }

    #[test]
    fn the_models_own_end_has_no_text() {
        let reply = Reply::to(&tokenize("x"), 0, limits(10_000, false));
        assert!((128..=386).contains(&reply.len()));
        assert_eq!(reply.token(reply.len() - 1), Token::END);
        assert_eq!(reply.finish_at(reply.len() - 1), Some(Finish::Stop));
    }

    proptest! {
        #[test]
        fn counting_the_text_gives_the_number_of_tokens(seed in any::<u32>(), len in 1..200u32) {
            let reply = Reply::to(&[Token(seed)], 0, limits(len, true));
            let tokens: Vec<_> = (0..reply.len()).map(|i| reply.token(i)).collect();
            prop_assert_eq!(tokenize(&detokenize(&tokens)), tokens);
        }

        #[test]
        fn min_tokens_holds(seed in any::<u32>(), min in 0..1000u32, max in 1..1000u32) {
            let reply = Reply::to(&[Token(seed)], 0, ReplyLimits {
                max_tokens: max, min_tokens: min, ignore_eos: false, mean_tokens: 64,
            });
            prop_assert!(reply.len() >= min.min(max));
            prop_assert!(reply.len() <= max);
        }
    }
}
