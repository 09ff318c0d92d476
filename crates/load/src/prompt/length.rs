//! How many tokens a prompt of so many words has, by the server's own count. Pure.

/// `tokens = overhead + per_word · words`.
///
/// The overhead is what the server adds (a chat template, a start token). Both numbers come from
/// two calibration requests and are corrected by every response, since neither the server's
/// tokenizer nor its template can be known from here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthModel {
    overhead: f64,
    per_word: f64,
}

/// How much of a prompt's error is corrected at once: one prompt's words are cheap or dear by
/// chance, so a part only.
const CORRECTION: f64 = 0.1;
/// How much the overhead takes of a correction, as if it were so many words.
const OVERHEAD_WORDS: f64 = 256.0;
const PER_WORD: std::ops::RangeInclusive<f64> = 0.5..=16.0;

impl LengthModel {
    /// A model that fits no server in particular: English words with modern tokenizers.
    pub fn guess() -> Self {
        Self {
            overhead: 0.0,
            per_word: 1.3,
        }
    }

    /// The line through two `(words, tokens)` observations.
    pub(crate) fn through(short: (u32, u32), long: (u32, u32)) -> Self {
        let [words, tokens] = [
            f64::from(long.0) - f64::from(short.0),
            f64::from(long.1) - f64::from(short.1),
        ];
        let per_word = match tokens / words {
            slope if slope.is_finite() => slope.clamp(*PER_WORD.start(), *PER_WORD.end()),
            _ => Self::guess().per_word,
        };
        Self {
            overhead: f64::from(long.1) - per_word * f64::from(long.0),
            per_word,
        }
    }

    /// The words that make a prompt of about that many tokens.
    pub(crate) fn words_for(&self, tokens: u32) -> u32 {
        let words = (f64::from(tokens) - self.overhead) / self.per_word;
        // Saturates: a negative number of words is none.
        words.round() as u32
    }

    /// The words that make so many tokens of a part of a prompt.
    pub(crate) fn words_in(&self, tokens: u32) -> u32 {
        (f64::from(tokens) / self.per_word).round() as u32
    }

    fn tokens_of(&self, words: u32) -> f64 {
        self.overhead + self.per_word * f64::from(words)
    }

    /// Corrects the model by what the server counted: a normalised step towards the observation.
    pub(crate) fn observe(&mut self, words: u32, tokens: u32) {
        let error = f64::from(tokens) - self.tokens_of(words);
        let words = f64::from(words);
        let norm = words * words + OVERHEAD_WORDS * OVERHEAD_WORDS;
        let step = CORRECTION * error / norm;
        self.per_word = (self.per_word + step * words).clamp(*PER_WORD.start(), *PER_WORD.end());
        self.overhead += step * OVERHEAD_WORDS * OVERHEAD_WORDS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_observations_make_a_line() {
        let model = LengthModel::through((64, 130), (200, 402));
        assert_eq!(model.words_for(1_002), 500);
        assert_eq!(model.words_for(1), 0);
    }

    #[test]
    fn nonsense_does_not_break_it() {
        // A server that always counts 1, as one that does not count may.
        let model = LengthModel::through((64, 1), (200, 1));
        assert!(model.words_for(1_000) < 3_000);
        let model = LengthModel::through((64, 100), (64, 100));
        assert_eq!(model.words_for(100), 64);
    }

    #[test]
    fn it_finds_a_server_that_counts_otherwise() {
        let mut model = LengthModel::guess();
        for _ in 0..200 {
            for want in [1_000, 4_000] {
                let words = model.words_for(want);
                model.observe(words, 30 + words * 2);
            }
        }
        for want in [1_000, 4_000] {
            let got = 30 + model.words_for(want) * 2;
            assert!(got.abs_diff(want) <= want / 100, "{got} of {want}");
        }
    }
}
