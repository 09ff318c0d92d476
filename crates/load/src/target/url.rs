//! A server's base URL.

use std::{
    fmt, io,
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// `http://host[:port][/prefix]`, or `https://…`. A `/v1` at the end, as OpenAI clients are given it, is taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    /// As in a URL: an IPv6 address in brackets.
    host: String,
    port: u16,
    prefix: String,
}

/// Why a text is no base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// This program was built without TLS.
    #[error("{0:?}: this program was built without TLS; name the server's plain http port")]
    Https(String),
    /// Anything else.
    #[error("{0:?} is no server URL; write it like http://127.0.0.1:8000")]
    NotAUrl(String),
    /// A password in a URL ends up in files.
    #[error(
        "a server URL with a user or password in it is refused; use the OPENAI_API_KEY variable"
    )]
    Credentials,
}

impl BaseUrl {
    /// The addresses that its host's name has, with its port.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.endpoint().to_socket_addrs()?.collect())
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The host without brackets, and the port.
    pub(super) fn endpoint(&self) -> (&str, u16) {
        (self.host.trim_matches(['[', ']']), self.port)
    }

    /// `host:port`, as in a `Host` header.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let Self {
            host, port, prefix, ..
        } = self;
        write!(f, "{scheme}://{host}:{port}{prefix}")
    }
}

impl FromStr for BaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let trimmed = text.trim();
        let not_a_url = || UrlError::NotAUrl(text.to_owned());
        // `127.0.0.1:8000` is what people type.
        let (scheme, rest) = trimmed.split_once("://").unwrap_or(("http", trimmed));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" if cfg!(feature = "tls") => true,
            "https" => return Err(UrlError::Https(text.to_owned())),
            _ => return Err(not_a_url()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (host, port) = host_and_port(authority, https).ok_or_else(not_a_url)?;
        let path = path.trim_end_matches('/');
        let prefix = path.strip_suffix("/v1").unwrap_or(path);
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
        if !prefix.bytes().all(plain) {
            return Err(not_a_url());
        }
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            prefix: prefix.to_owned(),
        })
    }
}

fn host_and_port(authority: &str, https: bool) -> Option<(&str, u16)> {
    let end_of_v6 = authority.find(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end_of_v6..].rfind(':') {
        Some(at) => authority.split_at(end_of_v6 + at),
        None if https => (authority, ":443"),
        None => (authority, ":80"),
    };
    let port = port.strip_prefix(':')?.parse().ok()?;
    let v6 = host.starts_with('[') && host.ends_with(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = !host.is_empty() && port != 0 && (v6 || host.bytes().all(plain));
    good.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_people_write_it() {
        let cases = [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://spark/", "http://spark:80"),
            ("HTTP://spark:8355/v1/", "http://spark:8355"),
            ("http://h:1/llm/v1", "http://h:1/llm"),
            ("localhost:8080", "http://localhost:8080"),
            ("http://[::1]:9", "http://[::1]:9"),
            #[cfg(feature = "tls")]
            ("HTTPS://spark/v1", "https://spark:443"),
        ];
        for (text, want) in cases {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), want);
        }
        let url: BaseUrl = "http://[::1]:9".parse().unwrap();
        assert_eq!(url.endpoint(), ("::1", 9));
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_remedy() {
        let refused = |text: &str| text.parse::<BaseUrl>().unwrap_err();
        #[cfg(not(feature = "tls"))]
        assert!(matches!(refused("https://h:1"), UrlError::Https(_)));
        assert_eq!(refused("http://u:p@h:1"), UrlError::Credentials);
        for text in [
            "",
            "http://",
            "http://h:x",
            "http://h:0",
            "ftp://h",
            "http://a b:1",
            "http://h:1/?q",
        ] {
            assert!(matches!(refused(text), UrlError::NotAUrl(_)), "{text}");
        }
    }
}
