//! The key that a server wants.

use std::fmt;

/// A secret. It is sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(pub(super) String);

impl ApiKey {
    /// Takes the key; None if it could not be sent in a header as it is.
    pub fn new(key: impl Into<String>) -> Option<Self> {
        let key = key.into();
        let sendable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        sendable.then_some(Self(key))
    }

    /// Whether the key stands in the text.
    pub fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// The text without the key, if there is one: servers repeat it in the words of a refusal and
    /// in their logs, and those are kept. A text that was cut within the key ends in a part of it,
    /// which goes too.
    #[must_use]
    pub fn hide(key: Option<&Self>, text: String) -> String {
        let Some(secret) = key else { return text };
        let Self(key) = secret;
        let text = match secret.is_in(&text) {
            true => text.replace(key.as_str(), HIDDEN),
            false => text,
        };
        let cut = (TELLING_CHARS..key.len()).rev();
        let whole = cut
            .filter_map(|length| text.strip_suffix(&key[..length]))
            .next();
        match whole {
            Some(whole) => format!("{whole}{HIDDEN}"),
            None => text,
        }
    }
}

/// Stands where the key stood.
const HIDDEN: &str = "(the API key)";

/// So many of a key's first characters tell something of it.
const TELLING_CHARS: usize = 8;

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hidden_wherever_it_stands_in_a_text() {
        let key = ApiKey::new("sk-0123456789").unwrap();
        let hide = |text: &str| ApiKey::hide(Some(&key), text.to_owned());
        assert_eq!(
            hide("wrong key sk-0123456789, not sk-0123456789!"),
            "wrong key (the API key), not (the API key)!"
        );
        assert_eq!(
            hide("cut within it: sk-012345"),
            "cut within it: (the API key)"
        );
        assert_eq!(hide("all keys begin with sk-"), "all keys begin with sk-");
        assert_eq!(ApiKey::hide(None, "no key".to_owned()), "no key");
    }

    #[test]
    fn what_cannot_be_sent_in_a_header_is_no_key() {
        assert!(ApiKey::new("").is_none());
        assert!(ApiKey::new("two words").is_none());
        assert!(ApiKey::new("a\r\nhost: else").is_none());
        assert!(ApiKey::new("schlüssel").is_none());
    }
}
