//! The HTTP side: OpenAI's protocol as vLLM speaks it.
//!
//! `request` reads what was asked, `refusal` says no, `call` is a request in the engine as its
//! connection sees it, `wire` writes the bytes of answers, `generate` ties these together for the
//! two completion routes, `adapters` adds and removes LoRA adapters. The other routes are here.

mod adapters;
mod call;
mod generate;
mod refusal;
mod request;
mod wire;

use crate::{
    config::Config,
    ledger::Ledger,
    meters::{self, Meters},
    stepper::Command,
    storage::{adapters::Registry, ballast::HeldBallast},
    token::{self, Token},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clock::MonoNs;
use refusal::Refusal;
use request::{DetokenizeRequest, TokenizeRequest};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// The longest request body: a prompt of a few million tokens as ids.
const BODY_LIMIT: usize = 64 << 20;

/// What all connections share.
pub(crate) struct Shared {
    config: Config,
    commands: mpsc::Sender<Command>,
    meters: Arc<Meters>,
    ledger: Ledger,
    ballast: Option<HeldBallast>,
    registry: Registry,
    next_id: AtomicU64,
    started: MonoNs,
    started_unix_s: u64,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        commands: mpsc::Sender<Command>,
        meters: Arc<Meters>,
        ledger: Ledger,
        ballast: Option<HeldBallast>,
        registry: Registry,
    ) -> Self {
        Self {
            config,
            commands,
            meters,
            ledger,
            ballast,
            registry,
            next_id: AtomicU64::new(1),
            started: MonoNs::now(),
            started_unix_s: unix_s(),
        }
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// The protocol's `created` fields are wall-clock seconds; nothing is measured with them.
fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/completions", post(generate::completions))
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/models", get(models))
        .route("/v1/load_lora_adapter", post(adapters::load))
        .route("/v1/unload_lora_adapter", post(adapters::unload))
        .route("/health", get(|| async {}))
        .route("/ping", get(|| async {}))
        .route("/version", get(version))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize))
        .route("/metrics", get(metrics))
        .route("/truth", get(truth))
        .fallback(async || Refusal::no_route())
        .method_not_allowed_fallback(async |method: Method| Refusal::wrong_method(&method))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(shared)
}

async fn models(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let config = &shared.config;
    let mut cards = vec![json!({
        "id": config.name(),
        "object": "model",
        "created": shared.started_unix_s,
        "owned_by": "spillpoint",
        "root": config.model.name(),
        "parent": null,
        "max_model_len": config.context_tokens(),
        "permission": [],
        "compute": "modelled",
        "machine": "NVIDIA GB10",
        "speed": config.speed.factor(),
    })];
    cards.extend(adapters::cards(&shared));
    Json(json!({ "object": "list", "data": cards }))
}

async fn version() -> Json<Value> {
    Json(json!({ "version": concat!("spillpoint-", env!("CARGO_PKG_VERSION")) }))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let config = &shared.config;
    let settings = format!(
        "block_size=\"{}\",num_gpu_blocks=\"{}\",enable_prefix_caching=\"{}\"",
        config.block_tokens,
        config.blocks(),
        config.prefix_cache,
    );
    let text = shared.meters.render(&meters::Facts {
        model: config.name(),
        settings: &settings,
        started: shared.started,
        ballast: shared.ballast.as_ref().map(HeldBallast::held),
    });
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

async fn truth(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    match query.as_deref() {
        None | Some("") => Json(shared.ledger.drain()).into_response(),
        Some(query) => match query.strip_prefix("id=") {
            Some(id) => Json(shared.ledger.find(id)).into_response(),
            None => Refusal::bad_request(
                format!("/truth takes ?id=… or nothing, not '?{query}'"),
                None,
            )
            .into_response(),
        },
    }
}

async fn tokenize(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Response, Refusal> {
    let request: TokenizeRequest = request::parse(&body)?;
    let text = request.into_text()?;
    let tokens = token::tokenize(&text);
    Ok(Json(json!({
        "count": tokens.len(),
        "max_model_len": shared.config.context_tokens(),
        "tokens": tokens,
        "token_strs": null,
    }))
    .into_response())
}

async fn detokenize(body: Bytes) -> Result<Response, Refusal> {
    let request: DetokenizeRequest = request::parse(&body)?;
    let tokens: Vec<Token> = request.tokens.into_iter().map(Token).collect();
    request::check_vocabulary(&tokens)?;
    Ok(Json(json!({ "prompt": token::detokenize(&tokens) })).into_response())
}

/// Shorthand for the one status that most refusals have.
const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
