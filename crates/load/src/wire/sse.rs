//! Server-sent events, as the WHATWG HTML standard (§9.2.6) reads them, data fields only: no
//! server names its events, and a comment or a retry hint carries nothing.

use super::WireError;

const MAX_EVENT_BYTES: usize = 16 << 20;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Cuts a stream into events and hands over each one's data.
///
/// An event that lies whole in the input and has one data line, as nearly all do, is handed over
/// where it lies, without a copy.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// The data lines of an event whose end has not come, joined by LF.
    data: Vec<u8>,
    /// Whether that event has a data line at all.
    has_data: bool,
    /// The line before ended in CR: an LF right after it belongs to that line's end.
    after_cr: bool,
    /// The stream's first line is over.
    started: bool,
}

impl SseReader {
    /// Takes all input, calling `event` with each event's data as it is complete.
    pub(crate) fn feed<E: From<WireError>>(
        &mut self,
        mut input: &[u8],
        mut event: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !input.is_empty() {
            if std::mem::take(&mut self.after_cr) && input[0] == b'\n' {
                input = &input[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', input) else {
                self.line.extend_from_slice(input);
                return Ok(self.check_size()?);
            };
            let (line, rest) = input.split_at(end);
            self.after_cr = rest[0] == b'\r';
            input = &rest[1..];
            if self.line.is_empty() {
                self.end_line(line, &mut input, &mut event)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_line(&whole, &mut input, &mut event)?;
                // Keep the allocation for the next torn line.
                whole.clear();
                self.line = whole;
            }
        }
        Ok(self.check_size()?)
    }

    /// Whether the stream stops inside an event: one that will never be complete.
    pub(crate) fn is_inside_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn end_line<E>(
        &mut self,
        line: &[u8],
        rest: &mut &[u8],
        event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = match std::mem::replace(&mut self.started, true) {
            false => line.strip_prefix(BOM).unwrap_or(line),
            true => line,
        };
        if line.is_empty() {
            if !std::mem::take(&mut self.has_data) {
                return Ok(());
            }
            let done = event(&self.data);
            self.data.clear();
            return done;
        }
        let Some(value) = data_field(line) else {
            return Ok(());
        };
        if !self.has_data && !self.after_cr && rest.first() == Some(&b'\n') {
            *rest = &rest[1..];
            return event(value);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn check_size(&self) -> Result<(), WireError> {
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
            return Err(WireError::new(format!(
                "an event of the stream is longer than {MAX_EVENT_BYTES} bytes"
            )));
        }
        Ok(())
    }
}

/// The value of a `data` line; None for comments and other fields.
fn data_field(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(parts: &[&[u8]]) -> Vec<String> {
        let (mut reader, mut events) = (SseReader::default(), Vec::new());
        for part in parts {
            reader
                .feed::<WireError>(part, |data| {
                    events.push(String::from_utf8_lossy(data).into_owned());
                    Ok(())
                })
                .unwrap();
        }
        events
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let cases: &[(&str, &[&str])] = &[
            ("data: a\n\ndata: [DONE]\n\n", &["a", "[DONE]"]),
            (": ping\n\ndata:x\ndata: y\n\n", &["x\ny"]),
            ("event: e\r\ndata: 1\r\n\r\n", &["1"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("data\n\ndata:\n\n", &["", ""]),
            ("data:  two\n\n", &[" two"]),
            ("database: no\n\nid: 7\n\n", &[]),
            ("data: a\ndata\ndata: b\n\n", &["a\n\nb"]),
            ("data: {} \n\n", &["{} "]),
            ("data: cut", &[]),
            ("data: cut\n", &[]),
        ];
        for (text, want) in cases {
            assert_eq!(events(&[text.as_bytes()]), *want, "{text:?}");
        }
    }

    #[test]
    fn a_torn_event_is_noticed() {
        let mut reader = SseReader::default();
        let feed = |reader: &mut SseReader, text: &[u8]| {
            reader.feed::<WireError>(text, |_| Ok(())).unwrap();
            reader.is_inside_event()
        };
        assert!(!feed(&mut reader, b"data: a\n\n"));
        assert!(feed(&mut reader, b"da"));
        assert!(feed(&mut reader, b"ta: b\n"));
        assert!(!feed(&mut reader, b"\n"));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = SseReader::default();
        let part = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert!(reader.feed::<WireError>(&part, |_| Ok(())).is_err());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in "(data|: ?|:|a|\u{e9}|\\{\"b\":|\r|\n|\r\n|\n\n|\u{feff}){0,40}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(events(&parts), events(&[bytes]));
        }
    }
}
