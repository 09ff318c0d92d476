//! Text for a terminal that may come from anybody: a server's model, a session's file.

/// The text with what would command a terminal, or turn its direction round, made visible. Lines and
/// tabs stay.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => plain.push(c),
            _ if c.is_control() || turns(c) => plain.extend(c.escape_unicode()),
            _ => plain.push(c),
        }
    }
    plain
}

/// Unicode's marks, embeddings, overrides and isolates of direction (UAX #9, section 2).
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_seen_and_not_obeyed() {
        assert_eq!(
            plain("a\x1b[31m\u{202e}b\r\n\tü"),
            "a\\u{1b}[31m\\u{202e}b\\u{d}\n\tü"
        );
    }
}
