//! Prompts as text: sentences that a tokenizer can't fold, since no word sequence repeats.

use super::LengthModel;
use crate::workload::{Segment, Shape};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Words of a nonce: 6 of 2,048 hold a hash of 64 bits.
const NONCE_WORDS: u32 = 6;
const SENTENCE_WORDS: std::ops::RangeInclusive<u32> = 6..=14;

/// The prompt's text and its words, as many as the model says make the wanted tokens. Never fewer
/// than a nonce has.
pub(crate) fn write_words(shape: &Shape, lengths: &LengthModel) -> (String, u32) {
    write_of(shape, lengths, lengths.words_for(shape.prompt_tokens))
}

/// The same, but of `all` words; the model only tells how many make a common part.
pub(super) fn write_of(shape: &Shape, lengths: &LengthModel, all: u32) -> (String, u32) {
    // Eight bytes a word, its blank included, are more than the list needs on average.
    let mut text = String::with_capacity(all as usize * 8);
    let mut written = 0;
    for (nth, segment) in shape.layout.iter().enumerate() {
        let left = all.saturating_sub(written);
        let is_last = nth + 1 == shape.layout.len();
        written += match *segment {
            Segment::Nonce(hash) => write_nonce(hash, &mut text),
            Segment::Rest { seed } => write_sentences(seed, left, &mut text),
            // The last part takes up what the overhead and rounding have left.
            Segment::Common { seed, .. } if is_last => write_sentences(seed, left, &mut text),
            Segment::Common { seed, tokens } => {
                write_sentences(seed, lengths.words_in(tokens).min(left), &mut text)
            }
        };
    }
    (text, written)
}

/// Not a hash in hexadecimal: words cost every tokenizer about the same.
fn write_nonce(mut hash: u64, text: &mut String) -> u32 {
    for nth in 0..NONCE_WORDS {
        push_word(word(hash), nth == 0, text);
        hash >>= 11;
    }
    text.push(':');
    NONCE_WORDS
}

fn write_sentences(seed: u64, words: u32, text: &mut String) -> u32 {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut left = words;
    while left > 0 {
        let length = rng.random_range(SENTENCE_WORDS).min(left);
        write_sentence(&mut rng, length, text);
        left -= length;
    }
    words
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
    all_words()[(bits % 2048) as usize]
}

/// The words that prompts are made of.
pub(super) fn all_words() -> &'static [&'static str; 2048] {
    bip39::Language::English.word_list()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prompt::PromptKey,
        workload::{Reuse, Workload},
    };
    use std::collections::HashSet;

    /// A prompt of that many words, by a model of a token a word.
    fn prompt(workload: &Workload, user: u32, sequence: u64) -> String {
        let shape = workload.shape(PromptKey { user, sequence }, None);
        let model = LengthModel::through((10, 10), (20, 20));
        let (text, words) = write_words(&shape, &model);
        assert_eq!(text.split(' ').count(), words as usize);
        text
    }

    fn plain(words: u32, seed: u64, salt: u64) -> String {
        prompt(&Workload::new(words, 1, seed, salt), 3, 4)
    }

    #[test]
    fn a_prompt_has_the_words_that_were_asked_for() {
        for words in [6, 7, 100, 5_000] {
            assert_eq!(plain(words, 1, 2).split(' ').count(), words as usize);
        }
    }

    #[test]
    fn the_seed_fixes_the_words_and_the_salt_the_nonce() {
        let parts = |text: &str| {
            let (nonce, words) = text.split_once(':').unwrap();
            (nonce.to_owned(), words.to_owned())
        };
        assert_eq!(plain(50, 1, 2), plain(50, 1, 2));
        let (nonce, words) = parts(&plain(50, 1, 2));
        let (other_nonce, same_words) = parts(&plain(50, 1, 9));
        assert_eq!(words, same_words);
        assert_ne!(nonce, other_nonce);
        assert_ne!(words, parts(&plain(50, 8, 2)).1);
    }

    #[test]
    fn no_two_prompts_begin_alike() {
        let workload = Workload::new(6, 1, 1, 2);
        let nonces: HashSet<String> = (0..50)
            .flat_map(|user| (0..50).map(move |sequence| (user, sequence)))
            .map(|(user, sequence)| prompt(&workload, user, sequence))
            .collect();
        assert_eq!(nonces.len(), 2_500);
    }

    #[test]
    fn a_common_part_is_common_and_of_its_length() {
        let mut workload = Workload::new(100, 1, 1, 2);
        workload.reuse = Reuse::Shared { tokens: 40 };
        let (a, b) = (prompt(&workload, 0, 0), prompt(&workload, 1, 5));
        let common = a
            .split(' ')
            .zip(b.split(' '))
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(common, 40);
        assert_eq!(a.split(' ').count(), 100);
    }

    #[test]
    fn it_reads_like_sentences() {
        let text = plain(200, 1, 2);
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
