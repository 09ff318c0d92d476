//! Triton: it has no /v1/models, but a repository of models to ask for.

use super::{PreflightError, preflight::Wish};
use crate::{connection::Endpoint, fetch::fetch};
use serde::Deserialize;
use tokio::time::timeout;

/// The names under which the TensorRT-LLM backend's whole pipelines are served, the first preferred.
const PIPELINES: [&str; 2] = ["ensemble", "tensorrt_llm_bls"];

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    state: String,
}

/// The model to ask there; None if it is no Triton.
pub(super) async fn find_model(
    wish: &Wish,
    endpoint: Endpoint<'_>,
) -> Option<Result<String, PreflightError>> {
    let head = wish
        .url
        .post_head("/v2/repository/index", wish.api_key.as_ref(), 2);
    let answer = timeout(wish.timeout, fetch(endpoint, &head, b"{}"))
        .await
        .ok()?
        .ok()?;
    if answer.status != 200 {
        return None;
    }
    let entries: Vec<Entry> = serde_json::from_slice(&answer.body).ok()?;
    Some(choose(wish, entries))
}

fn choose(wish: &Wish, entries: Vec<Entry>) -> Result<String, PreflightError> {
    let url = wish.url.clone();
    let ready: Vec<String> = entries
        .into_iter()
        .filter(|entry| entry.state.is_empty() || entry.state == "READY")
        .map(|entry| entry.name)
        .collect();
    let has = |name: &str| ready.iter().any(|known| known == name);
    if let Some(model) = &wish.model {
        return match has(model) {
            true => Ok(model.clone()),
            false => Err(PreflightError::ModelNotThere {
                url,
                model: model.clone(),
                there: ready,
            }),
        };
    }
    let pipeline = PIPELINES.into_iter().find(|name| has(name));
    let chosen = pipeline
        .map(str::to_owned)
        .or_else(|| ready.first().cloned());
    chosen.ok_or(PreflightError::NoModels { url })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(index: &str, model: Option<&str>) -> Result<String, String> {
        let mut wish = Wish::new("http://127.0.0.1:8000".parse().unwrap());
        wish.model = model.map(str::to_owned);
        choose(&wish, serde_json::from_str(index).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_pipeline_is_asked_and_not_its_parts() {
        let index = r#"[{"name":"preprocessing","version":"1","state":"READY"},
                        {"name":"broken","state":"UNAVAILABLE"},{"name":"ensemble","state":"READY"}]"#;
        assert_eq!(choice(index, None).unwrap(), "ensemble");
        assert_eq!(
            choice(index, Some("preprocessing")).unwrap(),
            "preprocessing"
        );
        assert!(
            choice(index, Some("broken"))
                .unwrap_err()
                .contains("it has: preprocessing, ensemble")
        );
        assert!(choice("[]", None).unwrap_err().contains("no model loaded"));
    }
}
