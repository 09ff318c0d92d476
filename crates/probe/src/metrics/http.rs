//! One GET over HTTP/1.1, for metrics.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    str::FromStr,
    time::{Duration, Instant},
};

/// Where metrics are: `http://HOST[:PORT]/PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricsUrl {
    host: String,
    port: u16,
    path: String,
}

/// A URL that can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no metrics URL; give http://HOST:PORT/PATH, such as http://127.0.0.1:8000/metrics"
)]
pub struct BadUrl(pub String);

impl FromStr for MetricsUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        parse_url(text).ok_or_else(|| BadUrl(text.to_owned()))
    }
}

fn parse_url(text: &str) -> Option<MetricsUrl> {
    // A blank or control character would end up in the request's head.
    let rest = text.strip_prefix("http://")?;
    if rest.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return None;
    }
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    // An IPv6 address has colons of its own, in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty() && !host.contains('@')).then(|| MetricsUrl {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    })
}

impl fmt::Display for MetricsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path } = self;
        write!(f, "http://{host}:{port}{path}")
    }
}

/// An answer that is none.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, or it broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not within the time that was given.
    #[error("no whole answer within {0:?}")]
    Slow(Duration),
    /// What came is no HTTP.
    #[error("the answer is no HTTP: {0}")]
    Malformed(&'static str),
    /// Not 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// More than is sensible.
    #[error("the answer is larger than {LIMIT} bytes")]
    Large,
}

/// The largest answer; vLLM's have some 50 kB.
const LIMIT: usize = 64 << 20;

impl MetricsUrl {
    /// Asks once, within `limit` all told; gives the body. The connection is closed after it: an
    /// idle one would be dropped by the server between two polls.
    pub(crate) fn get(&self, limit: Duration) -> Result<Vec<u8>, HttpError> {
        let deadline = Instant::now() + limit;
        let mut stream = self.connect(limit)?;
        stream.set_write_timeout(Some(limit))?;
        let Self { host, port, path } = self;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/plain, application/json\r\n\
             User-Agent: spillpoint\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        loop {
            if let Some(body) = body(&answer, false)? {
                return Ok(body);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(HttpError::Slow(limit));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if answer.len() > LIMIT {
                return Err(HttpError::Large);
            }
        }
        body(&answer, true)?.ok_or(HttpError::Malformed("it ends early"))
    }

    fn connect(&self, limit: Duration) -> Result<TcpStream, HttpError> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut last = None;
        for address in (host, self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(
            HttpError::Malformed("the host has no address"),
            HttpError::Io,
        ))
    }
}

/// The body, once it is whole; `ended` says that no more will come.
fn body(answer: &[u8], ended: bool) -> Result<Option<Vec<u8>>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head
        .parse(answer)
        .map_err(|_| HttpError::Malformed("its head can't be read"))?;
    let httparse::Status::Complete(start) = parsed else {
        return Ok(None);
    };
    match head.code {
        Some(200) => {}
        code => return Err(HttpError::Status(code.unwrap_or(0))),
    }
    let rest = &answer[start..];
    let header = |name: &str| {
        let mut headers = head.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return chunked(rest);
    }
    match header("content-length") {
        Some(length) => {
            let length: usize = length
                .parse()
                .map_err(|_| HttpError::Malformed("its length is no number"))?;
            Ok(rest.get(..length).map(<[u8]>::to_vec))
        }
        None => Ok(ended.then(|| rest.to_vec())),
    }
}

fn chunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, HttpError> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest);
        let size = size.map_err(|_| HttpError::Malformed("a chunk's size can't be read"))?;
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= LIMIT);
        let size = size.ok_or(HttpError::Large)?;
        // Each chunk ends with a line break of its own.
        let (Some(chunk), Some(behind)) =
            (rest.get(start..start + size), rest.get(start + size + 2..))
        else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |text: &str| text.parse::<MetricsUrl>().map(|url| url.to_string());
        assert_eq!(
            url("http://h:8000/metrics").unwrap(),
            "http://h:8000/metrics"
        );
        assert_eq!(url("http://h").unwrap(), "http://h:80/");
        assert_eq!(url("http://[::1]:9/m?x=1").unwrap(), "http://[::1]:9/m?x=1");
        assert_eq!(url("http://[::1]/m").unwrap(), "http://[::1]:80/m");
        for bad in [
            "",
            "h:80",
            "https://h/",
            "http:///m",
            "http://h:x/",
            "http://h/a b",
            "http://u@h/",
        ] {
            assert_eq!(url(bad), Err(BadUrl(bad.to_owned())));
        }
    }

    #[test]
    fn a_body_is_whole_or_not_there_yet() {
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nup 1";
        assert_eq!(body(length, false).unwrap().unwrap(), b"up 1");
        assert_eq!(body(&length[..length.len() - 1], false).unwrap(), None);
        let open = b"HTTP/1.0 200 OK\r\n\r\nup 1";
        assert_eq!(body(open, false).unwrap(), None);
        assert_eq!(body(open, true).unwrap().unwrap(), b"up 1");
        let chunks =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup \r\n1\r\n1\r\n0\r\n\r\n";
        assert_eq!(body(chunks, false).unwrap().unwrap(), b"up 1");
        for end in 0..chunks.len() - 2 {
            let partly = body(&chunks[..end], false).unwrap();
            assert!(partly.is_none() || partly.unwrap() == b"up 1", "{end}");
        }
        assert!(matches!(
            body(b"HTTP/1.1 404 Not Found\r\n\r\n", false),
            Err(HttpError::Status(404))
        ));
        assert!(body(b"SSH-2.0-OpenSSH\r\n", false).is_err());
    }
}
