//! Prompts of words that the server's own tokenizer makes one token of: exactly as long as wanted.

use super::{ids::draw, words::all_words};
use crate::workload::Shape;
use std::sync::Arc;

/// Words that are one token each to a server, and what it adds to a prompt of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordPool {
    words: Arc<[&'static str]>,
    /// Tokens that the server counts beyond the words: a chat template's, the opening's.
    surplus: i64,
}

/// What every prompt begins with: a first word may cost another number of tokens than one after a
/// blank.
const OPENING: &str = "Read.";
/// Words asked for at once: a few thousand tokens.
const PART: usize = 256;
/// Fewer make no prompts that differ.
const LEAST: usize = 400;

/// Texts to be tokenised: each word three times, and a full stop.
pub(crate) fn probes() -> impl Iterator<Item = (&'static [&'static str], String)> {
    all_words().chunks(PART).map(|words| {
        let said = words.iter().map(|word| format!(" {word} {word} {word}."));
        (words, said.collect())
    })
}

/// Of a probe's words, those that are one token; none where the tokens can't be told apart.
pub(crate) fn one_token_words<'a>(words: &[&'a str], tokens: &[u32]) -> Vec<&'a str> {
    let Some((stop, _)) = tokens.split_last() else {
        return Vec::new();
    };
    let groups: Vec<&[u32]> = tokens.split_inclusive(|token| token == stop).collect();
    if groups.len() != words.len() {
        return Vec::new();
    }
    // A start token may stand before the first group, which then is no word's.
    let is_one = |group: &[u32]| matches!(group, [a, b, c, _] if a == b && b == c);
    let found = words.iter().zip(groups).filter(|(_, group)| is_one(group));
    found.map(|(word, _)| *word).collect()
}

impl WordPool {
    /// A pool; None if it is too small to make prompts that differ.
    pub(crate) fn new(words: Vec<&'static str>) -> Option<Self> {
        (words.len() >= LEAST).then(|| Self {
            words: words.into(),
            surplus: 0,
        })
    }

    /// The same, before a server that counts so many tokens more than there are words.
    pub(crate) fn with_surplus(&self, surplus: i64) -> Self {
        Self {
            surplus,
            ..self.clone()
        }
    }

    /// The prompt's text: the opening, and a word for every token that is left.
    pub(crate) fn write(&self, shape: &Shape) -> String {
        let words = (i64::from(shape.prompt_tokens) - self.surplus).max(0);
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        let mut text = OPENING.to_owned();
        for place in draw(shape, words, self.words.len()) {
            text.push(' ');
            text.push_str(self.words[place]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        prompt::PromptKey,
        workload::{Reuse, Workload},
    };

    #[test]
    fn a_word_of_one_token_is_one_thrice() {
        let words = ["able", "about", "zebra"];
        let tokens = [1, 5, 5, 5, 9, 6, 7, 6, 7, 6, 7, 9, 8, 8, 8, 9];
        assert_eq!(one_token_words(&words, &tokens[1..]), ["able", "zebra"]);
        // A start token costs the first word, no more.
        assert_eq!(one_token_words(&words, &tokens), ["zebra"]);
        assert!(one_token_words(&words, &tokens[5..]).is_empty());
        assert!(one_token_words(&words, &[]).is_empty());
    }

    #[test]
    fn every_word_is_asked_for_once() {
        let asked: Vec<&str> = probes().flat_map(|(words, _)| words).copied().collect();
        assert_eq!(asked, all_words());
        let (words, text) = probes().next().unwrap();
        assert_eq!(text.matches('.').count(), words.len());
    }

    #[test]
    fn a_prompt_has_a_word_a_token() {
        let pool = WordPool::new(all_words()[..600].to_vec()).unwrap();
        let pool = pool.with_surplus(12);
        let mut workload = Workload::new(512, 1, 1, 2);
        workload.reuse = Reuse::Shared { tokens: 100 };
        let prompt = |user| {
            let key = PromptKey { user, sequence: 0 };
            pool.write(&workload.shape(key, None))
        };
        let (a, b) = (prompt(0), prompt(1));
        // The opening is in the surplus.
        assert_eq!(a.split(' ').count(), 500 + 1);
        let common = a.split(' ').zip(b.split(' ')).take_while(|(a, b)| a == b);
        assert!((101..110).contains(&common.count()));
        assert_eq!(WordPool::new(all_words()[..10].to_vec()), None);
    }
}
