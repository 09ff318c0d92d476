//! The list of models, and the choice of one.

use super::{ApiKey, PreflightError, preflight::Wish};
use crate::{
    connection::Endpoint,
    dialect::server_words,
    fetch::{Answer, FetchError, fetch},
    tls::Tls,
};
use serde::Deserialize;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};
use tokio::time::timeout;

/// Connects to each of the host's addresses in turn and asks the first that answers.
pub(super) async fn ask_models(
    wish: &Wish,
    tls: Option<&Tls>,
) -> Result<(SocketAddr, Answer), PreflightError> {
    let url = || wish.url.clone();
    let unresolved = |source| PreflightError::Unresolved { url: url(), source };
    let addresses: Vec<SocketAddr> = wish
        .url
        .endpoint()
        .to_socket_addrs()
        .map_err(unresolved)?
        .collect();
    let mut head = wish.url.head("GET", "/v1/models", wish.api_key.as_ref());
    head.extend_from_slice(b"\r\n");
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(wish.timeout, fetch(Endpoint { address, tls }, &head, &[])).await {
            Ok(Ok(answer)) => return Ok((address, answer)),
            Ok(Err(FetchError::Connect(error))) => refused = error,
            Ok(Err(error)) => return Err(PreflightError::of_fetch(url(), error)),
            Err(_) => {
                return Err(PreflightError::Timeout {
                    url: url(),
                    what: "GET /v1/models".to_owned(),
                    limit: wish.timeout,
                });
            }
        }
    }
    Err(PreflightError::Refused {
        url: url(),
        source: refused,
    })
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelCard>,
}

#[derive(Clone, Deserialize)]
pub(super) struct ModelCard {
    pub(super) id: String,
    #[serde(default)]
    aliases: Vec<String>,
    pub(super) owned_by: Option<String>,
    /// vLLM: an adapter names the model that it adapts.
    parent: Option<String>,
    max_model_len: Option<u32>,
    meta: Option<ModelMeta>,
}

/// llama.cpp.
#[derive(Clone, Deserialize)]
struct ModelMeta {
    n_ctx: Option<u32>,
}

impl ModelCard {
    pub(super) fn context_tokens(&self) -> Option<u32> {
        self.max_model_len.or(self.meta.as_ref()?.n_ctx)
    }
}

pub(super) fn choose_model(wish: &Wish, answer: &Answer) -> Result<ModelCard, PreflightError> {
    let url = wish.url.clone();
    let data = match serde_json::from_slice(&answer.body) {
        Ok(ModelList { data }) if answer.status == 200 => data,
        _ => return Err(no_list(wish, answer)),
    };
    let found = match &wish.model {
        None => data
            .iter()
            .find(|card| card.parent.is_none())
            .or(data.first()),
        Some(name) => data
            .iter()
            .find(|card| card.id == *name || card.aliases.contains(name)),
    };
    match (found, &wish.model) {
        (Some(card), _) => Ok(card.clone()),
        (None, Some(model)) if !data.is_empty() => Err(PreflightError::ModelNotThere {
            url,
            model: model.clone(),
            there: data.into_iter().map(|card| card.id).collect(),
        }),
        (None, _) => Err(PreflightError::NoModels { url }),
    }
}

fn no_list(wish: &Wish, answer: &Answer) -> PreflightError {
    let (url, status) = (wish.url.clone(), answer.status);
    let words = ApiKey::hide(wish.api_key.as_ref(), server_words(&answer.body));
    match status {
        503 => PreflightError::Loading { url, words },
        401 | 403 => PreflightError::Unauthorized { url, status, words },
        _ => PreflightError::NoModelList { url, status, words },
    }
}
