//! What is said to a server, and what its events mean. Pure.
//!
//! [`write_body`] makes a request's body; [`EventReader`] tells what each server-sent event of a
//! stream carries;
//! [`server_words`] finds the reason in an error's body.

mod body;
mod event;
mod field;
mod repeat;
mod words;

pub(crate) use body::{Ask, LoraAsk, Prompt, write_body};
pub(crate) use event::{Event, Token, Usage, answer_text};
pub(crate) use repeat::EventReader;
pub(crate) use words::server_words;

use std::{fmt, str::FromStr};

/// The API that is spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/v1/completions`.
    Completions,
    /// `/v1/chat/completions`.
    Chat,
    /// Triton's `/v2/models/MODEL/generate_stream`, before a TensorRT-LLM model.
    Triton,
}

impl Api {
    /// All of them.
    pub const ALL: &[Api] = &[Api::Completions, Api::Chat, Api::Triton];
    /// Those of an OpenAI-compatible server, in the order in which they are tried.
    pub(crate) const OPEN_AI: &[Api] = &[Api::Completions, Api::Chat];

    /// Its name in plans and records.
    pub fn name(self) -> &'static str {
        match self {
            Api::Completions => "completions",
            Api::Chat => "chat",
            Api::Triton => "triton",
        }
    }

    /// Its path below the server's base URL.
    pub(crate) fn path(self, model: &str) -> String {
        match self {
            Api::Completions => "/v1/completions".to_owned(),
            Api::Chat => "/v1/chat/completions".to_owned(),
            Api::Triton => format!("/v2/models/{model}/generate_stream"),
        }
    }

    /// Whether a stream ends with `[DONE]`. Without it, the body's clean end is the proper end.
    pub(crate) fn ends_with_done(self) -> bool {
        self != Api::Triton
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no API; use completions, chat or triton")]
pub struct UnknownApi(String);

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(name: &str) -> Result<Self, UnknownApi> {
        let found = Self::ALL.iter().find(|api| api.name() == name);
        found.copied().ok_or_else(|| UnknownApi(name.to_owned()))
    }
}
