//! Reading the events of one stream: most are the one before with another text, and are known
//! without being parsed again.

use super::event::{Event, Token, read_event};
use crate::wire::WireError;
use memchr::memmem;

/// Reads a stream's events. The same as [`read_event`] for each, but cheaper.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventReader {
    known: Option<KnownChunk>,
}

/// A chunk that bears a token, without the token's text.
///
/// Nothing of a text matters but that there is one. So an event that is the same up to the text and
/// after it, and whose text is a plain JSON string, means the same.
#[derive(Clone, Debug)]
struct KnownChunk {
    before: Vec<u8>,
    after: Vec<u8>,
    token: Token,
    token_count: Option<u32>,
}

/// What stands before a text, as servers write it. In valid JSON the last quote of each opens a
/// string that is a field's value: the one before it closes the name, since an unescaped quote
/// that is followed by a colon, outside of a string, can do nothing else.
const OPENINGS: [&str; 8] = [
    r#""text":""#,
    r#""content":""#,
    r#""reasoning_content":""#,
    r#""reasoning":""#,
    r#""text": ""#,
    r#""content": ""#,
    r#""reasoning_content": ""#,
    r#""reasoning": ""#,
];

impl EventReader {
    /// Reads an event's data.
    pub(crate) fn read(&mut self, data: &[u8]) -> Result<Event, WireError> {
        if let Some(event) = self.known.as_ref().and_then(|known| known.read(data)) {
            #[cfg(any(test, feature = "fuzzing"))]
            assert_eq!(read_event(data).as_ref(), Ok(&event));
            return Ok(event);
        }
        let event = read_event(data)?;
        if let Some(known) = KnownChunk::learn(data, &event) {
            self.known = Some(known);
        }
        Ok(event)
    }
}

impl KnownChunk {
    /// Only of an event that says nothing but its token.
    fn learn(data: &[u8], event: &Event) -> Option<Self> {
        let token = event
            .token
            .filter(|&token| token != Token::Silent && !event.finished && event.usage.is_none())?;
        OPENINGS.into_iter().find_map(|opening| {
            let start = memmem::find(data, opening.as_bytes())? + opening.len();
            let length = memchr::memchr(b'"', &data[start..])?;
            let (before, rest) = data.split_at(start);
            let (text, after) = rest.split_at(length);
            is_plain(text).then(|| Self {
                before: before.to_vec(),
                after: after.to_vec(),
                token,
                token_count: event.token_count,
            })
        })
    }

    fn read(&self, data: &[u8]) -> Option<Event> {
        let text = data
            .strip_prefix(self.before.as_slice())?
            .strip_suffix(self.after.as_slice())?;
        is_plain(text).then(|| Event {
            token: Some(self.token),
            token_count: self.token_count,
            ..Event::default()
        })
    }
}

/// Whether these bytes between quotes are a JSON string with something in it, and nothing escaped.
fn is_plain(text: &[u8]) -> bool {
    let plain = |&byte: &u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.iter().all(plain) && std::str::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether the second event is known from the first.
    fn knows(first: &str, second: &str) -> bool {
        let event = read_event(first.as_bytes()).unwrap();
        let known = KnownChunk::learn(first.as_bytes(), &event);
        let read = known.and_then(|known| known.read(second.as_bytes()));
        assert!(read.is_none() || read == read_event(second.as_bytes()).ok());
        read.is_some()
    }

    #[test]
    fn another_text_is_known_and_anything_else_is_not() {
        let chunk = |text: &str, reason: &str| {
            format!(r#"{{"choices":[{{"index":0,"text":"{text}","finish_reason":{reason}}}]}}"#)
        };
        let first = chunk(" Paris", "null");
        assert!(knows(&first, &chunk(" is \u{e9}", "null")));
        for (text, reason) in [("", "null"), (r"\n", "null"), ("a", r#""stop""#)] {
            assert!(!knows(&first, &chunk(text, reason)), "{text} {reason}");
        }
        assert!(!knows(&chunk("", "null"), &first));
        assert!(!knows(
            &chunk("a", r#""length""#),
            &chunk("b", r#""length""#)
        ));
    }

    #[test]
    fn every_dialects_tokens_are_known() {
        let chunks = [
            r#"{"choices":[{"delta":{"content":"@"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":null,"reasoning_content":"@"}}]}"#,
            r#"{"choices": [{"delta": {"reasoning": "@"}}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":"@"}}]}"#,
        ];
        for chunk in chunks {
            assert!(
                knows(&chunk.replace('@', "a"), &chunk.replace('@', "bc")),
                "{chunk}"
            );
        }
    }

    const PARTS: &str = r#"(\{|\}|\[|\]|"|"text":"|"content": "|"choices":\[\{|\}\]\}|"delta":\{|"usage":\{|"error":"|"finish_reason":|null|,|:|a|\\|\\"|\\n|é| ){1,12}"#;
    const CHUNKS: &str = r#"\{"choices":\[\{("index":0,)?("text"|"delta":\{"content"|"x\\"text"):"(a|é|\\|\\"|"|",|"text":"|\n){0,3}"(,"finish_reason":(null|"stop"))?\}?\}\](,"usage":\{"completion_tokens":3\})?\}"#;

    proptest! {
        #[test]
        fn a_stream_is_read_as_its_events_are(
            events in prop::collection::vec(prop_oneof![1 => PARTS, 5 => CHUNKS], 1..20),
        ) {
            let mut reader = EventReader::default();
            for event in &events {
                let data = event.as_bytes();
                prop_assert_eq!(reader.read(data), read_event(data));
            }
        }
    }
}
