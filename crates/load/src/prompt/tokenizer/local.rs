//! Tokenizers by Hugging Face's library.

use super::TokenizerError;
use crate::{
    prompt::{
        LengthModel,
        words::{all_words, write_of},
    },
    workload::{Segment, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{cmp::Ordering, fmt, path::Path, sync::Arc};

/// A model's tokenizer, from a local file, and what the server adds to its count.
#[derive(Clone)]
pub struct Tokenizer {
    parts: Arc<Parts>,
    /// Tokens that the server counts beyond this one's count: a chat template's.
    surplus: i64,
}

struct Parts {
    tokenizer: tokenizers::Tokenizer,
    /// The generator's words that are one token each, after a blank.
    short_words: Vec<&'static str>,
}

/// Each is a pass over the whole text.
const TRIES: u32 = 4;

impl Tokenizer {
    /// Reads a `tokenizer.json`, as Hugging Face models have it.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        let unreadable = |reason: tokenizers::Error| TokenizerError::Unreadable {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let mut tokenizer = tokenizers::Tokenizer::from_file(path).map_err(unreadable)?;
        // What it was saved with would make prompts equally long.
        tokenizer.with_truncation(None).map_err(unreadable)?;
        tokenizer.with_padding(None);
        let alone = count(&tokenizer, "one.");
        let is_short = |word: &&str| count(&tokenizer, &format!("one. {word}")) == alone + 1;
        let short_words = all_words().iter().copied().filter(is_short).collect();
        let parts = Parts {
            tokenizer,
            short_words,
        };
        Ok(Self {
            parts: Arc::new(parts),
            surplus: 0,
        })
    }

    /// The same, before a server that counts so many tokens more.
    pub(crate) fn with_surplus(&self, surplus: i64) -> Self {
        Self {
            surplus,
            ..self.clone()
        }
    }

    /// The tokens of a text, with those that the model wants around it.
    pub(crate) fn count(&self, text: &str) -> u32 {
        count(&self.parts.tokenizer, text)
    }

    /// The prompt's text: exactly its tokens by the server's count, where words can make them.
    pub(crate) fn write(&self, shape: &Shape, lengths: &LengthModel) -> String {
        let want = i64::from(shape.prompt_tokens) - self.surplus;
        let want = u32::try_from(want.max(0)).unwrap_or(u32::MAX);
        let mut words = lengths.words_for(shape.prompt_tokens);
        let write = |words| {
            let (text, _) = write_of(shape, lengths, words);
            let count = self.count(&text);
            (text, count)
        };
        let (mut text, mut count) = write(words);
        for _ in 0..TRIES {
            if count <= want || words == 0 {
                break;
            }
            let fewer = u64::from(words) * u64::from(want) / u64::from(count);
            // Less than `words`, which fits.
            words = fewer as u32;
            (text, count) = write(words);
        }
        self.fill_up(text, count, want, shape)
    }

    /// Appends words of one token each until the text is as long as wanted.
    fn fill_up(&self, mut text: String, mut count: u32, want: u32, shape: &Shape) -> String {
        let (short_words, bare) = (&self.parts.short_words, text.len());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(last_seed(shape));
        // Here a word may cost another number of tokens than it did alone: so it is counted again.
        for _ in 0..TRIES {
            match count.cmp(&want) {
                Ordering::Less if !short_words.is_empty() => {
                    for _ in count..want {
                        text.push(' ');
                        text.push_str(short_words[rng.random_range(0..short_words.len())]);
                    }
                }
                Ordering::Greater if text.len() > bare => {
                    for _ in want..count {
                        let end = text.rfind(' ').unwrap_or(bare);
                        text.truncate(end.max(bare));
                    }
                }
                _ => break,
            }
            count = self.count(&text);
        }
        text
    }
}

fn count(tokenizer: &tokenizers::Tokenizer, text: &str) -> u32 {
    // One that was read whole fails on no text of words.
    let encoded = tokenizer.encode_fast(text, true);
    encoded.map_or(0, |tokens| u32::try_from(tokens.len()).unwrap_or(u32::MAX))
}

/// Equal parts of prompts go on alike.
fn last_seed(shape: &Shape) -> u64 {
    match shape.layout.last() {
        Some(Segment::Nonce(seed) | Segment::Common { seed, .. } | Segment::Rest { seed }) => *seed,
        None => 0,
    }
}

/// The same tokenizer, not an equal one.
impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parts, &other.parts) && self.surplus == other.surplus
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("surplus", &self.surplus)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{prompt::PromptKey, workload::Workload};

    /// A token a letter, but for a few whole words.
    fn letters(whole: &[&str]) -> Tokenizer {
        let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
        let others = ["[UNK]", ".", ",", ":"].map(str::to_owned);
        let whole = whole.iter().map(|&word| word.to_owned());
        let names = others.into_iter().chain(letters).chain(whole);
        let vocabulary: serde_json::Map<_, _> = names
            .zip(0..)
            .map(|(name, id): (String, u32)| (name, id.into()))
            .collect();
        let json = serde_json::json!({
            "version": "1.0", "truncation": {"max_length": 9, "strategy": "LongestFirst",
            "stride": 0, "direction": "Right"}, "padding": null, "added_tokens": [],
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": null, "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocabulary,
                      "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, json.to_string()).unwrap();
        Tokenizer::read(&path).unwrap()
    }

    #[test]
    fn a_prompt_is_exactly_as_long_as_wanted() {
        let tokenizer = letters(&["able", "above", "zoo"]).with_surplus(30);
        for (sequence, tokens) in (0..).zip([100, 101, 102, 1_000, 5_000]) {
            let key = PromptKey { user: 1, sequence };
            let shape = Workload::new(tokens, 1, 1, 2).shape(key, None);
            let text = tokenizer.write(&shape, &LengthModel::guess());
            assert_eq!(tokenizer.count(&text) + 30, tokens);
            assert_eq!(text, tokenizer.write(&shape, &LengthModel::guess()));
        }
    }

    #[test]
    fn without_short_words_it_comes_close() {
        let tokenizer = letters(&[]);
        let key = PromptKey {
            user: 0,
            sequence: 0,
        };
        let shape = Workload::new(1_000, 1, 1, 2).shape(key, None);
        let count = tokenizer.count(&tokenizer.write(&shape, &LengthModel::guess()));
        assert!((900..=1_000).contains(&count), "{count}");
    }

    #[test]
    fn what_is_no_tokenizer_is_refused_with_the_file() {
        for path in ["/nowhere/tokenizer.json", "/proc/version"] {
            let error = Tokenizer::read(Path::new(path)).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
