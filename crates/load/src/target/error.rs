//! Why a server can't be measured, and what to do about it.

use super::BaseUrl;
use crate::{dialect::Api, fetch::FetchError, tls::TlsError};
use std::{io, time::Duration};

/// Why a server can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The name has no address.
    #[error("{url}: the host's name can't be resolved ({source}); check the URL")]
    Unresolved {
        /// Where it was looked for.
        url: BaseUrl,
        /// The resolver's reason.
        source: io::Error,
    },
    /// Nothing listens.
    #[error("{url}: nothing listens there ({source}); start the server, or check the port")]
    Refused {
        /// Where it was looked for.
        url: BaseUrl,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The connection was made, and broke.
    #[error(
        "{url}: the connection broke before an answer came ({source}); look at the server's log"
    )]
    Broken {
        /// Which server.
        url: BaseUrl,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No answer in time.
    #[error(
        "{url}: no answer to {what} within {limit:?}; the server hangs or is overloaded: look at \
         its log, or restart it"
    )]
    Timeout {
        /// Which server.
        url: BaseUrl,
        /// What was asked.
        what: String,
        /// How long it had.
        limit: Duration,
    },
    /// Something else listens there.
    #[error("{url}: what listens there does not speak HTTP ({reason}); check the port")]
    NotHttp {
        /// Where it was looked for.
        url: BaseUrl,
        /// What came instead.
        reason: String,
    },
    /// No TLS is spoken there, or the server is not who it should be.
    #[error(
        "{url}: no trusted TLS connection: {reason}; name the certificate of the authority that signed \
         the server's (--ca-file), or use http:// if the port is a plain one"
    )]
    NotTrusted {
        /// Which server.
        url: BaseUrl,
        /// What TLS says.
        reason: String,
    },
    /// No TLS can be spoken from here.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An HTTP server, but no LLM server.
    #[error(
        "{url}: an HTTP server without /v1/models (it answered {status}: {words}); give the base URL \
         of an OpenAI-compatible server"
    )]
    NoModelList {
        /// Which server.
        url: BaseUrl,
        /// Its status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// The server has no model.
    #[error("{url}: the server has no model loaded; load one and run again")]
    NoModels {
        /// Which server.
        url: BaseUrl,
    },
    /// The server is not ready.
    #[error(
        "{url}: the server is not ready ({words}); wait until its model is loaded and run again"
    )]
    Loading {
        /// Which server.
        url: BaseUrl,
        /// Its words.
        words: String,
    },
    /// The server wants a key, or another one.
    #[error(
        "{url}: the server refused access ({status}: {words}); set OPENAI_API_KEY to a key that it takes"
    )]
    Unauthorized {
        /// Which server.
        url: BaseUrl,
        /// Its status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// It has models, but not this one.
    #[error("{url}: there is no model {model:?}; it has: {}", there.join(", "))]
    ModelNotThere {
        /// Which server.
        url: BaseUrl,
        /// Which model.
        model: String,
        /// Which there are.
        there: Vec<String>,
    },
    /// The API does not work there.
    #[error(
        "{url}: the server does not speak the {api} API as needed: {words}; name another with --api, \
         or look at the server's log"
    )]
    ApiNotSpoken {
        /// Which server.
        url: BaseUrl,
        /// Which API.
        api: Api,
        /// What happened, in the server's words where it had any.
        words: String,
    },
    /// A prompt is too long for the model.
    #[error(
        "{url}: a prompt of {prompt_tokens} tokens is refused: {words}; take shorter prompts, or start \
         the server with a longer context"
    )]
    PromptRefused {
        /// Which server.
        url: BaseUrl,
        /// The length that was tried.
        prompt_tokens: u32,
        /// The server's words.
        words: String,
    },
    /// The local tokenizer is another model's.
    #[error(
        "{url}: the server counts {server} tokens where the local tokenizer counts {local}, and the \
         difference is another for another prompt; name the tokenizer.json of the model that it serves"
    )]
    OtherTokenizer {
        /// Which server.
        url: BaseUrl,
        /// Tokens by the local tokenizer.
        local: u32,
        /// Tokens by the server.
        server: u32,
    },
    /// The server does not load or give up an adapter.
    #[error(
        "{url}: the server refused the adapter {adapter:?} ({status}: {words}); vLLM needs \
         VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and a path in its own file system"
    )]
    AdapterRefused {
        /// Which server.
        url: BaseUrl,
        /// Which adapter.
        adapter: String,
        /// Its status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// No event queue could be had.
    #[error("can't start the client: {0}; free some files or memory and run again")]
    Start(io::Error),
}

impl PreflightError {
    pub(super) fn of_fetch(url: BaseUrl, error: FetchError) -> Self {
        match error {
            FetchError::Connect(source) => Self::Refused { url, source },
            FetchError::Broken(source) => Self::Broken { url, source },
            FetchError::NotHttp(error) => Self::NotHttp {
                url,
                reason: error.to_string(),
            },
            FetchError::Tls(reason) => Self::NotTrusted { url, reason },
        }
    }
}
