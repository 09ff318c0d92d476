//! /etc/os-release (os-release(5)).

use super::{lines, split_once};

/// The distribution's name for people.
pub fn pretty_name(text: &[u8]) -> Option<String> {
    let value = lines(text)
        .filter_map(|line| split_once(line, b'='))
        .find_map(|(key, value)| (key == b"PRETTY_NAME").then_some(value))?;
    let value = String::from_utf8_lossy(value.trim_ascii());
    let value = value.trim_matches(|quote| matches!(quote, '"' | '\''));
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_or_bare() {
        let name = |text: &str| pretty_name(text.as_bytes());
        assert_eq!(
            name("NAME=x\nPRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\n").as_deref(),
            Some("Ubuntu 24.04.3 LTS")
        );
        assert_eq!(name("PRETTY_NAME=Void").as_deref(), Some("Void"));
        assert_eq!(name("NAME=x\nPRETTY_NAME=\"\"\n"), None);
    }
}
