//! What is said to a server, and what its events mean. Pure.
//!
//! [`write_body`] makes a request's body; [`read_event`] tells what one server-sent event carries;
//! [`server_words`] finds the reason in an error's body.

mod body;
mod event;
mod field;
mod words;

pub(crate) use body::{Ask, write_body};
pub(crate) use event::{Event, Token, Usage, read_event};
pub(crate) use words::server_words;

use std::{fmt, str::FromStr};

/// The API that is spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/v1/completions`.
    Completions,
    /// `/v1/chat/completions`.
    Chat,
}

impl Api {
    /// All of them, in the order in which they are tried.
    pub const ALL: &[Api] = &[Api::Completions, Api::Chat];

    /// Its name in plans and records.
    pub fn name(self) -> &'static str {
        match self {
            Api::Completions => "completions",
            Api::Chat => "chat",
        }
    }

    /// Its path below the server's base URL.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Api::Completions => "/v1/completions",
            Api::Chat => "/v1/chat/completions",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no API; use completions or chat")]
pub struct UnknownApi(String);

impl FromStr for Api {
    type Err = UnknownApi;

    fn from_str(name: &str) -> Result<Self, UnknownApi> {
        let found = Self::ALL.iter().find(|api| api.name() == name);
        found.copied().ok_or_else(|| UnknownApi(name.to_owned()))
    }
}
