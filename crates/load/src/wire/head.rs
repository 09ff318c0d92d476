//! The head of an HTTP/1 response.

use super::{BodyReader, WireError};

/// No server of ours sends a head near this; more is an attack or not HTTP.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

/// What a response's head says, as far as a client of this kind needs it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) content_type: ContentType,
    /// The `Server` header.
    pub(crate) server: Option<String>,
    /// Whether the connection may carry another request after this response.
    pub(crate) keep_alive: bool,
    /// How the body is framed.
    pub(crate) body: BodyReader,
}

/// What the body is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    EventStream,
    /// Anything else, in the server's words.
    Other(String),
}

/// Collects bytes until the head is whole.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    bytes: Vec<u8>,
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub(crate) enum HeadStep {
    /// All input was taken; the head goes on.
    More,
    /// The head is whole; the body begins after `taken` bytes of this input.
    Whole { head: ResponseHead, taken: usize },
}

impl HeadReader {
    /// Whether no byte of a response has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn feed(&mut self, input: &[u8]) -> Result<HeadStep, WireError> {
        let mut fed = 0;
        loop {
            let before = self.bytes.len();
            self.bytes.extend_from_slice(&input[fed..]);
            let Some((head, len)) = parse(&self.bytes)? else {
                if self.bytes.len() > MAX_HEAD_BYTES {
                    return Err(WireError::new(format!(
                        "the response's head is longer than {MAX_HEAD_BYTES} bytes"
                    )));
                }
                return Ok(HeadStep::More);
            };
            let taken = fed + len - before;
            self.bytes.clear();
            // 1xx responses announce another one (RFC 9110 §15.2).
            if head.status / 100 == 1 {
                fed = taken;
                continue;
            }
            self.bytes.shrink_to_fit();
            return Ok(HeadStep::Whole { head, taken });
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => {
            return Err(WireError::new(format!(
                "the answer is not HTTP/1 ({error}); it begins {:?}",
                excerpt(bytes)
            )));
        }
    };
    // A complete parse has both.
    let (status, version) = (
        response.code.unwrap_or_default(),
        response.version.unwrap_or_default(),
    );
    let values = |name: &'static str| {
        let named = response
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
    };
    let body = framing(status, &values)?;
    let says = |word: &str| {
        values("connection").any(|value| {
            value
                .split(',')
                .any(|option| option.trim().eq_ignore_ascii_case(word))
        })
    };
    let keep_alive = match version {
        1 => !says("close"),
        _ => says("keep-alive"),
    } && !matches!(body, BodyReader::UntilClose);
    let content_type = values("content-type").next().unwrap_or_default();
    let head = ResponseHead {
        status,
        content_type: ContentType::parse(content_type),
        server: values("server").next(),
        keep_alive,
        body,
    };
    Ok(Some((head, len)))
}

/// RFC 9112 §6.3, for the requests that this client makes (no HEAD, no CONNECT).
fn framing<I: Iterator<Item = String>>(
    status: u16,
    values: &impl Fn(&'static str) -> I,
) -> Result<BodyReader, WireError> {
    if matches!(status, 204 | 304) || status / 100 == 1 {
        return Ok(BodyReader::length(0));
    }
    if let Some(coding) = values("transfer-encoding").last() {
        if coding.eq_ignore_ascii_case("chunked") {
            return Ok(BodyReader::chunked());
        }
        return Err(WireError::new(format!(
            "the answer has the transfer coding {coding:?}, which was not asked for"
        )));
    }
    let mut lengths = values("content-length");
    let Some(length) = lengths.next() else {
        return Ok(BodyReader::UntilClose);
    };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    match length.parse() {
        Ok(bytes) if digits && lengths.all(|other| other == length) => {
            Ok(BodyReader::length(bytes))
        }
        _ => Err(WireError::new(format!(
            "the answer's content-length {length:?} is no usable number"
        ))),
    }
}

impl ContentType {
    fn parse(value: String) -> Self {
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else {
            Self::Other(value)
        }
    }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (ResponseHead, usize) {
        match HeadReader::default().feed(text.as_bytes()).unwrap() {
            HeadStep::Whole { head, taken } => (head, taken),
            HeadStep::More => panic!("not whole"),
        }
    }

    fn refused(text: &str) -> String {
        let error = HeadReader::default().feed(text.as_bytes()).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_streaming_head_is_understood() {
        let text = "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                    Transfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\nrest";
        let (head, taken) = whole(text);
        assert_eq!(taken, text.len() - 4);
        assert_eq!(head.status, 200);
        assert_eq!(head.content_type, ContentType::EventStream);
        assert_eq!(head.server.as_deref(), Some("llama.cpp"));
        assert_eq!(head.body, BodyReader::chunked());
        assert!(head.keep_alive);
    }

    #[test]
    fn any_split_gives_the_same_head() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc";
        let (want, taken) = whole(text);
        assert_eq!((want.status, taken), (404, text.len() - 3));
        for cut in 0..taken {
            let mut reader = HeadReader::default();
            assert!(matches!(
                reader.feed(&text.as_bytes()[..cut]),
                Ok(HeadStep::More)
            ));
            match reader.feed(&text.as_bytes()[cut..]).unwrap() {
                HeadStep::Whole { head, taken } => {
                    assert_eq!((head, taken + cut), (want.clone(), text.len() - 3));
                }
                HeadStep::More => panic!("cut at {cut}"),
            }
        }
    }

    #[test]
    fn reuse_follows_version_connection_and_framing() {
        let keeps = |text: &str| whole(text).0.keep_alive;
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keeps(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n"
        ));
        assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(keeps("HTTP/1.1 204 No Content\r\n\r\n"));
    }

    #[test]
    fn what_is_no_response_is_refused() {
        assert!(refused("SSH-2.0-OpenSSH_9.2\r\n").contains("not HTTP/1"));
        assert!(refused("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").contains("\"-1\""));
        assert!(
            refused("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n")
                .contains("no usable number")
        );
        assert!(refused("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n").contains("\"gzip\""));
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD_BYTES));
        assert!(refused(&endless).contains("longer than"));
    }
}
