//! Prompts: sentences of real English words, reproducible from a seed, with a nonce in front so
//! that no prefix cache can answer them. Pure.

mod composer;
mod length;

pub(crate) use composer::{Composed, Composer, Order};
pub use length::LengthModel;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Which request of which user a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PromptKey {
    pub(crate) user: u32,
    /// The user's requests, counted from 0.
    pub(crate) sequence: u64,
}

/// Makes prompts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PromptWriter {
    /// Fixes the words.
    seed: u64,
    /// Fixes the nonces: another session, another salt.
    salt: u64,
}

/// Words of the nonce: 6 of 2,048 hold a hash of 64 bits.
const NONCE_WORDS: u32 = 6;
const SENTENCE_WORDS: std::ops::RangeInclusive<u32> = 6..=14;

impl PromptWriter {
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Self { seed, salt }
    }

    /// A prompt of that many words, the nonce's among them, and never fewer than the nonce has.
    pub(crate) fn write(&self, key: PromptKey, words: u32) -> String {
        // Eight bytes a word, its blank included, are more than the list needs on average.
        let mut text = String::with_capacity(words as usize * 8);
        self.write_nonce(key, &mut text);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(mix(self.seed, key));
        let mut left = words.saturating_sub(NONCE_WORDS);
        while left > 0 {
            let length = rng.random_range(SENTENCE_WORDS).min(left);
            write_sentence(&mut rng, length, &mut text);
            left -= length;
        }
        text
    }

    /// Not a hash in hexadecimal: words cost every tokenizer about the same.
    fn write_nonce(&self, key: PromptKey, text: &mut String) {
        let mut hash = mix(self.salt, key);
        for _ in 0..NONCE_WORDS {
            push_word(word(hash), text.is_empty(), text);
            hash >>= 11;
        }
        text.push(':');
    }
}

fn write_sentence(rng: &mut Xoshiro256PlusPlus, words: u32, text: &mut String) {
    for nth in 0..words {
        push_word(word(rng.random()), nth == 0, text);
        // A comma now and then, never before the full stop.
        if nth + 1 < words && rng.random_ratio(1, 9) {
            text.push(',');
        }
    }
    text.push('.');
}

fn push_word(word: &str, capital: bool, text: &mut String) {
    if !text.is_empty() {
        text.push(' ');
    }
    let start = text.len();
    text.push_str(word);
    if capital {
        // The list is ASCII: the first byte is the first character.
        text[start..=start].make_ascii_uppercase();
    }
}

/// The word that the low 11 bits name.
fn word(bits: u64) -> &'static str {
    bip39::Language::English.word_list()[(bits % 2048) as usize]
}

/// SplitMix64 over both keys: neighbouring users and sequences give unrelated numbers.
fn mix(salt: u64, key: PromptKey) -> u64 {
    [u64::from(key.user), key.sequence]
        .into_iter()
        .fold(split_mix(salt), |hash, part| {
            split_mix(hash ^ split_mix(part))
        })
}

fn split_mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(user: u32, sequence: u64) -> PromptKey {
        PromptKey { user, sequence }
    }

    #[test]
    fn a_prompt_has_the_words_that_were_asked_for() {
        let writer = PromptWriter::new(1, 2);
        for words in [6, 7, 100, 5_000] {
            let text = writer.write(key(0, 0), words);
            assert_eq!(text.split(' ').count(), words as usize);
        }
    }

    #[test]
    fn the_seed_fixes_the_words_and_the_salt_the_nonce() {
        let prompt = |seed, salt| PromptWriter::new(seed, salt).write(key(3, 4), 50);
        let parts = |text: &str| {
            let (nonce, words) = text.split_once(':').unwrap();
            (nonce.to_owned(), words.to_owned())
        };
        assert_eq!(prompt(1, 2), prompt(1, 2));
        let ((nonce, words), (other_nonce, same_words)) =
            (parts(&prompt(1, 2)), parts(&prompt(1, 9)));
        assert_eq!(words, same_words);
        assert_ne!(nonce, other_nonce);
        assert_ne!(words, parts(&prompt(8, 2)).1);
    }

    #[test]
    fn no_two_prompts_begin_alike() {
        let writer = PromptWriter::new(1, 2);
        let nonces: HashSet<String> = (0..50)
            .flat_map(|user| (0..50).map(move |sequence| key(user, sequence)))
            .map(|key| writer.write(key, 6))
            .collect();
        assert_eq!(nonces.len(), 2_500);
    }

    #[test]
    fn it_reads_like_sentences() {
        let text = PromptWriter::new(1, 2).write(key(0, 0), 200);
        let (_, body) = text.split_once(": ").unwrap();
        assert!(body.ends_with('.'));
        for sentence in body.split_terminator('.') {
            let sentence = sentence.trim_start();
            assert!(
                sentence.starts_with(|c: char| c.is_ascii_uppercase()),
                "{sentence}"
            );
            assert!(!sentence.ends_with(','));
        }
    }
}
