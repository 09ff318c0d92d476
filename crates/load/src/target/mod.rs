//! The server under test: where it is and what it speaks.

mod api_key;
mod calibrate;
mod error;
mod lora;
mod models;
mod preflight;
mod ready;
mod triton;
mod url;

pub use api_key::ApiKey;
pub use calibrate::{calibrate, exact_lengths, fit_tokenizer, token_pool, word_pool};
pub use error::PreflightError;
pub use lora::{load_adapter, unload_adapter};
pub use preflight::{Wish, preflight};
pub use url::{BaseUrl, UrlError};

use crate::{connection::Endpoint, dialect::Api, tls::Tls};
use std::net::SocketAddr;

/// A server that answered, and how to speak to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its base URL.
    pub url: BaseUrl,
    /// The address that answered there.
    pub address: SocketAddr,
    /// How TLS is spoken there; None for plain http.
    pub tls: Option<Tls>,
    /// The model that is asked, by the server's own name.
    pub model: String,
    /// The API that is spoken.
    pub api: Api,
    /// What the server says it is.
    pub server: Option<String>,
    /// Prompt and answer together may have so many tokens, where it tells.
    pub context_tokens: Option<u32>,
    /// What it takes in a request.
    pub accepts: Accepts,
    /// Sent as a bearer token.
    pub api_key: Option<ApiKey>,
}

/// Fields of a request that not every server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts {
    /// `ignore_eos`: generate on to `max_tokens`.
    pub ignore_eos: bool,
    /// `min_tokens`.
    pub min_tokens: bool,
    /// `stream_options.include_usage`: token counts at the stream's end.
    pub usage: bool,
}

impl Target {
    pub(crate) fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            address: self.address,
            tls: self.tls.as_ref(),
        }
    }

    /// The head of a streamed request, less id, length and end.
    pub(crate) fn request_head(&self) -> Vec<u8> {
        let path = self.api.path(&self.model);
        self.url.head("POST", &path, self.api_key.as_ref())
    }
}

impl BaseUrl {
    /// The start of a request's head, its end still open.
    fn head(&self, method: &str, path: &str, api_key: Option<&ApiKey>) -> Vec<u8> {
        let authorization = api_key.map_or_else(String::new, |ApiKey(key)| {
            format!("authorization: Bearer {key}\r\n")
        });
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nuser-agent: spillpoint/{version}\r\n\
             accept: */*\r\ncontent-type: application/json\r\n{authorization}",
            self.prefix(),
            self.authority(),
        )
        .into_bytes()
    }
}

impl BaseUrl {
    /// The whole head of a request with a body of that length.
    fn post_head(&self, path: &str, api_key: Option<&ApiKey>, body: usize) -> Vec<u8> {
        let mut head = self.head("POST", path, api_key);
        head.extend_from_slice(format!("content-length: {body}\r\n\r\n").as_bytes());
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_but_never_shown() {
        let key = ApiKey::new("sk-secret").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
        let url: BaseUrl = "http://127.0.0.1:8000/x".parse().unwrap();
        let head = String::from_utf8(url.head("POST", "/v1/completions", Some(&key))).unwrap();
        assert!(head.starts_with("POST /x/v1/completions HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n"));
        assert!(head.ends_with("authorization: Bearer sk-secret\r\n"));
    }
}
