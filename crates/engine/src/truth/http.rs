//! Reading requests: as much of HTTP/1.1 as a load generator's client speaks. Pure.

use serde::Deserialize;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Stream(Reply),
    Whole(Reply),
    Models,
    Health,
    Truth,
    Unknown,
}

/// How a completion is to be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) tokens: u32,
    pub(super) usage: bool,
    pub(super) id: Option<String>,
}

/// A request that is complete in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) ask: Ask,
    /// How many bytes it takes.
    pub(super) len: usize,
}

/// What no answer can be framed for; the connection is closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// vLLM's default for completions.
const DEFAULT_TOKENS: u32 = 16;
const MAX_HEADERS: usize = 32;
/// The longest request: a prompt of a few million tokens as ids.
const MAX_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Body {
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The first request in `bytes`; None if more bytes are needed.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Request>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let head_len = match head.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Malformed("the head does not end")),
        Err(_) => return Err(Malformed("this is no HTTP/1 request")),
    };
    let header = |name: &str| {
        let found = head
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name));
        found.and_then(|h| std::str::from_utf8(h.value).ok())
    };
    if header("transfer-encoding").is_some() {
        return Err(Malformed("a request body must have a content-length"));
    }
    let body_len = match header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(len)) if len <= MAX_BYTES => len,
        Some(_) => return Err(Malformed("the content-length is no usable number")),
    };
    let len = head_len + body_len;
    let Some(body) = bytes.get(head_len..len) else {
        return Ok(None);
    };
    let path = head.path.unwrap_or_default();
    let ask = match (head.method.unwrap_or_default(), path) {
        ("POST", "/v1/completions" | "/v1/chat/completions") => {
            completion(body, header("x-request-id"))?
        }
        ("GET", "/v1/models") => Ask::Models,
        ("GET", "/health") => Ask::Health,
        ("GET", "/truth") => Ask::Truth,
        _ => Ask::Unknown,
    };
    Ok(Some(Request { ask, len }))
}

fn completion(body: &[u8], id: Option<&str>) -> Result<Ask, Malformed> {
    let body: Body =
        serde_json::from_slice(body).map_err(|_| Malformed("the body is no completion request"))?;
    let tokens = body.max_tokens.or(body.max_completion_tokens);
    let reply = Reply {
        tokens: tokens.unwrap_or(DEFAULT_TOKENS).max(1),
        usage: body.stream_options.is_some_and(|o| o.include_usage),
        id: id.map(str::to_owned),
    };
    Ok(if body.stream {
        Ask::Stream(reply)
    } else {
        Ask::Whole(reply)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &str) -> String {
        let len = body.len();
        format!(
            "POST /v1/completions HTTP/1.1\r\nX-Request-Id: r1\r\nContent-Length: {len}\r\n\r\n{body}"
        )
    }

    #[test]
    fn every_prefix_of_a_request_waits_for_more() {
        let text = post(r#"{"prompt":"x","max_tokens":3,"stream":true}"#);
        for end in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        let pipelined = format!("{text}GET /hea");
        let reply = Reply {
            tokens: 3,
            usage: false,
            id: Some("r1".into()),
        };
        let request = Request {
            ask: Ask::Stream(reply),
            len: text.len(),
        };
        assert_eq!(read(pipelined.as_bytes()), Ok(Some(request)));
    }

    #[test]
    fn the_other_routes_are_told_apart() {
        let ask = |line: &str| {
            read(format!("{line} HTTP/1.1\r\n\r\n").as_bytes()).map(|r| r.unwrap().ask)
        };
        assert_eq!(ask("GET /health"), Ok(Ask::Health));
        assert_eq!(ask("GET /truth"), Ok(Ask::Truth));
        assert_eq!(ask("GET /v1/models"), Ok(Ask::Models));
        assert_eq!(ask("POST /health"), Ok(Ask::Unknown));
    }

    #[test]
    fn what_cannot_be_framed_is_malformed() {
        for bad in [
            "\u{0}\r\n\r\n".to_owned(),
            post("{"),
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
