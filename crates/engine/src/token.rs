//! The engine's own tokenizer: small, deterministic, and exactly reversible.
//!
//! A token is either up to four ASCII letters and digits of one word, or any other single
//! character; a single space in front of either belongs to it. English text comes to about 1.4
//! tokens a word. There is no vocabulary file: an id *is* its text, written as a number, so that
//! `usage.prompt_tokens`, `/tokenize` and `/detokenize` cannot disagree.
//!
//! | ids | text |
//! |---|---|
//! | `0 .. 2·63⁴` | a word piece: four base-63 digits (0 for none), times two, plus one for a leading space |
//! | `.. + 2·0x110000` | one character: its scalar value, times two, plus one for a leading space |
//! | the last | the end of a reply |

use serde::{Deserialize, Serialize};

/// The most letters and digits one token holds.
const PIECE_CHARS: usize = 4;
const RADIX: u32 = 63;
const PIECES: u32 = 2 * RADIX.pow(PIECE_CHARS as u32);
const CHARS: u32 = 2 * 0x11_0000;

/// One token id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u32);

impl Token {
    /// The token that ends a reply; it has no text.
    pub const END: Token = Token(PIECES + CHARS);

    /// How many ids there are; a prompt of ids may use any below this.
    pub const VOCABULARY: u32 = PIECES + CHARS + 1;

    /// Appends this token's text.
    pub fn push_text(self, text: &mut String) {
        let (kind, space) = match self.0 {
            id if id < PIECES => (Kind::Piece(id / 2), id % 2 == 1),
            id if id < PIECES + CHARS => (Kind::Char((id - PIECES) / 2), id % 2 == 1),
            _ => return,
        };
        if space {
            text.push(' ');
        }
        match kind {
            Kind::Piece(mut digits) => {
                while digits > 0 {
                    text.extend(digit_char(digits % RADIX));
                    digits /= RADIX;
                }
            }
            // Surrogates are no characters; no text yields them, a prompt of ids may.
            Kind::Char(scalar) => text.push(char::from_u32(scalar).unwrap_or('\u{fffd}')),
        }
    }
}

enum Kind {
    Piece(u32),
    Char(u32),
}

/// Splits `text` into tokens.
pub fn tokenize(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
    let mut rest = text;
    while !rest.is_empty() {
        let (token, len) = first_token(rest);
        tokens.push(token);
        rest = &rest[len..];
    }
    tokens
}

/// The text of `tokens`.
pub fn detokenize(tokens: &[Token]) -> String {
    let mut text = String::with_capacity(tokens.len() * 4);
    for token in tokens {
        token.push_text(&mut text);
    }
    text
}

/// The first token of a text that is not empty, and how many bytes it takes.
fn first_token(text: &str) -> (Token, usize) {
    let (space, body) = match text.strip_prefix(' ') {
        Some(body) if !body.is_empty() && !body.starts_with(' ') => (1, body),
        _ => (0, text),
    };
    let mut digits = 0;
    let mut len = 0;
    for byte in body.bytes().take(PIECE_CHARS) {
        let Some(digit) = char_digit(byte) else { break };
        digits += digit * RADIX.pow(len as u32);
        len += 1;
    }
    if len > 0 {
        return (Token(digits * 2 + space), len + space as usize);
    }
    let first = body.chars().next().unwrap_or('\u{fffd}');
    let id = PIECES + u32::from(first) * 2 + space;
    (Token(id), first.len_utf8() + space as usize)
}

fn char_digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        b'a'..=b'z' => byte - b'a' + 36,
        _ => return None,
    };
    Some(u32::from(digit) + 1)
}

fn digit_char(digit: u32) -> Option<char> {
    let index = digit.checked_sub(1)? as usize;
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        .get(index)
        .map(|&byte| char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> Vec<String> {
        tokenize(text).iter().map(|&t| detokenize(&[t])).collect()
    }

    #[test]
    fn words_are_cut_into_pieces_of_four() {
        assert_eq!(
            pieces("The capital, of 2026 naïve"),
            ["The", " capi", "tal", ",", " of", " 2026", " na", "ï", "ve"]
        );
    }

    #[test]
    fn only_one_space_belongs_to_a_token() {
        assert_eq!(pieces("a  b\n c "), ["a", " ", " b", "\n", " c", " "]);
        assert_eq!(pieces(" "), [" "]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn the_end_has_no_text_and_is_the_last_id() {
        assert_eq!(detokenize(&[Token::END]), "");
        assert_eq!(Token::END.0 + 1, Token::VOCABULARY);
    }

    proptest! {
        #[test]
        fn text_survives_the_round_trip(text in "\\PC*|[ a-z0-9]*") {
            prop_assert_eq!(detokenize(&tokenize(&text)), text);
        }

        #[test]
        fn every_id_has_a_text(id in 0..Token::VOCABULARY) {
            let text = detokenize(&[Token(id)]);
            prop_assert!(text.len() <= 5);
        }

        #[test]
        fn text_never_makes_an_id_outside_the_vocabulary(text in any::<String>()) {
            prop_assert!(tokenize(&text).iter().all(|t| t.0 < Token::END.0));
        }
    }
}
