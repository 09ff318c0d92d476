//! Adapters that a running server loads and gives up: vLLM and SGLang.

use super::{ApiKey, PreflightError, Target, preflight::block_on};
use crate::{dialect::server_words, fetch::fetch, workload::Adapter};
use serde::Serialize;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to read an adapter from a cold disk.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Serialize)]
struct Named<'a> {
    lora_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_path: Option<&'a str>,
}

/// Has the server load an adapter, by `/v1/load_lora_adapter`. Blocks.
pub fn load_adapter(target: &Target, adapter: &Adapter) -> Result<(), PreflightError> {
    let named = Named {
        lora_name: &adapter.name,
        lora_path: adapter.path.as_deref(),
    };
    block_on(ask(target, "/v1/load_lora_adapter", &named))?
}

/// Has the server give an adapter up, by `/v1/unload_lora_adapter`. Blocks.
pub fn unload_adapter(target: &Target, adapter: &Adapter) -> Result<(), PreflightError> {
    let named = Named {
        lora_name: &adapter.name,
        lora_path: None,
    };
    block_on(ask(target, "/v1/unload_lora_adapter", &named))?
}

async fn ask(target: &Target, path: &str, named: &Named<'_>) -> Result<(), PreflightError> {
    let url = || target.url.clone();
    let broken = |source| PreflightError::Broken { url: url(), source };
    let body = serde_json::to_vec(named).map_err(|error| broken(error.into()))?;
    let head = target
        .url
        .post_head(path, target.api_key.as_ref(), body.len());
    let asked = timeout(LIMIT, fetch(target.endpoint(), &head, &body)).await;
    let answer = match asked {
        Err(_) => {
            return Err(PreflightError::Timeout {
                url: url(),
                what: format!("POST {path}"),
                limit: LIMIT,
            });
        }
        Ok(Err(error)) => return Err(PreflightError::of_fetch(url(), error)),
        Ok(Ok(answer)) => answer,
    };
    match answer.status {
        200 => Ok(()),
        status => Err(PreflightError::AdapterRefused {
            url: url(),
            adapter: named.lora_name.to_owned(),
            status,
            words: ApiKey::hide(target.api_key.as_ref(), server_words(&answer.body)),
        }),
    }
}
