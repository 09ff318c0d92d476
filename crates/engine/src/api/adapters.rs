//! Adding and removing LoRA adapters at run time, as vLLM does it.

use super::{Shared, refusal::Refusal, request};
use axum::{body::Bytes, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

#[derive(Deserialize)]
struct LoadRequest {
    lora_name: String,
    lora_path: PathBuf,
}

#[derive(Deserialize)]
struct UnloadRequest {
    lora_name: String,
}

/// `POST /v1/load_lora_adapter`
pub(super) async fn load(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<String, Refusal> {
    let request: LoadRequest = request::parse(&body)?;
    if shared.config.adapters.is_none() {
        return Err(Refusal::bad_request(
            "this engine serves no LoRA adapters; start it with room for some",
            Some("lora_name"),
        ));
    }
    let name = request.lora_name;
    let added = shared.registry.add(&name, &request.lora_path);
    added.map_err(|error| Refusal::adapter(&error))?;
    Ok(format!(
        "Success: LoRA adapter '{name}' added successfully."
    ))
}

/// `POST /v1/unload_lora_adapter`
pub(super) async fn unload(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<String, Refusal> {
    let request: UnloadRequest = request::parse(&body)?;
    let name = request.lora_name;
    let removed = shared.registry.remove(&name);
    removed.map_err(|error| Refusal::adapter(&error))?;
    Ok(format!(
        "Success: LoRA adapter '{name}' removed successfully."
    ))
}

/// The adapters' entries in `/v1/models`.
pub(super) fn cards(shared: &Shared) -> Vec<Value> {
    let card = |adapter: &crate::storage::adapters::Registered| {
        json!({
            "id": adapter.name,
            "object": "model",
            "created": shared.started_unix_s,
            "owned_by": "spillpoint",
            "root": adapter.path,
            "parent": shared.config.name(),
            "max_model_len": null,
            "permission": [],
        })
    };
    let adapters = shared.registry.list();
    adapters.iter().map(|adapter| card(adapter)).collect()
}
