//! Asking a server what it is, before anything is measured.

use super::{
    Accepts, ApiKey, BaseUrl, PreflightError, Target,
    models::{ask_models, choose_model},
    triton,
};
use crate::{
    client::{Call, CallNote, Client, Link},
    dialect::{Api, Ask, Prompt, write_body},
    exchange::{Exchange, Failed, Seen},
    live::Live,
    tls::Tls,
};
use record::Failure;
use std::{path::PathBuf, time::Duration};
use tokio::runtime;

/// What is wanted of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Where it is.
    pub url: BaseUrl,
    /// The model to ask; None takes the first that it lists.
    pub model: Option<String>,
    /// The API to speak; None takes completions where the server has it, else chat.
    pub api: Option<Api>,
    /// Sent as a bearer token.
    pub api_key: Option<ApiKey>,
    /// Certificates (PEM) to trust beside the system's, for https.
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Duration,
}

impl Wish {
    /// Whatever the server has.
    pub fn new(url: BaseUrl) -> Self {
        Self {
            url,
            model: None,
            api: None,
            api_key: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Finds out what the server speaks, or why it can't be measured. Blocks.
pub fn preflight(wish: &Wish) -> Result<Target, PreflightError> {
    block_on(ask_all(wish))?
}

pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, PreflightError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(runtime::LocalOptions::default())
        .map_err(PreflightError::Start)?;
    Ok(runtime.block_on(future))
}

async fn ask_all(wish: &Wish) -> Result<Target, PreflightError> {
    let tls = match wish.url.is_https() {
        true => Some(Tls::new(wish.url.endpoint().0, wish.ca_file.as_deref())?),
        false => None,
    };
    let (address, answer) = ask_models(wish, tls.as_ref()).await?;
    let mut target = Target {
        url: wish.url.clone(),
        address,
        tls,
        model: String::new(),
        api: Api::Completions,
        server: answer.server.clone(),
        context_tokens: None,
        accepts: Accepts {
            ignore_eos: true,
            min_tokens: true,
            usage: true,
        },
        api_key: wish.api_key.clone(),
    };
    let no_list = answer.status != 200;
    let may_be_triton = wish.api == Some(Api::Triton) || (wish.api.is_none() && no_list);
    if may_be_triton && let Some(model) = triton::find_model(wish, target.endpoint()).await {
        target.model = model?;
        target.server.get_or_insert_with(|| "triton".to_owned());
        return choose_api(target, &[Api::Triton], wish).await;
    }
    let card = choose_model(wish, &answer)?;
    target.context_tokens = card.context_tokens();
    target.server = card.owned_by.or(target.server);
    target.model = card.id;
    let candidates = match &wish.api {
        Some(api) => std::slice::from_ref(api),
        None => Api::OPEN_AI,
    };
    choose_api(target, candidates, wish).await
}

/// The first of the candidates that works; else what the first one's reason was.
async fn choose_api(
    mut target: Target,
    candidates: &[Api],
    wish: &Wish,
) -> Result<Target, PreflightError> {
    let mut refusal = None;
    for &api in candidates {
        target.api = api;
        match try_api(&mut target, wish.timeout).await {
            Ok(()) => return Ok(target),
            Err(failed) => refusal = refusal.or(Some((api, failed))),
        }
    }
    // There is at least one candidate, and each gives a reason.
    let (api, failed) = refusal.unwrap_or((Api::Completions, (None, String::new())));
    Err(api_refused(wish, api, failed))
}

/// A refusal: the HTTP status, if that was the reason, and the words.
type Refusal = (Option<u16>, String);

fn api_refused(wish: &Wish, api: Api, (status, words): Refusal) -> PreflightError {
    let url = wish.url.clone();
    match status {
        Some(503) => PreflightError::Loading { url, words },
        Some(status @ (401 | 403)) => PreflightError::Unauthorized { url, status, words },
        _ => PreflightError::ApiNotSpoken { url, api, words },
    }
}

/// Asks for two tokens, with fewer and fewer of the fields that a server may refuse.
async fn try_api(target: &mut Target, limit: Duration) -> Result<(), Refusal> {
    let offers = [
        (true, true, true),
        (true, false, true),
        (false, false, true),
        (false, false, false),
    ];
    let mut first_refusal = None;
    for (ignore_eos, min_tokens, usage) in offers {
        target.accepts = Accepts {
            ignore_eos,
            min_tokens,
            usage,
        };
        let asked = ask(
            target,
            Prompt::Text("Say hello to the world.".into()),
            2,
            limit,
        )
        .await;
        let refusal = match asked {
            Ok(_) => return Ok(()),
            Err((failed, seen)) => {
                let status = seen.status.filter(|_| failed.failure == Failure::Status);
                (status, failed.words)
            }
        };
        let about_fields = matches!(refusal.0, Some(400 | 422));
        let first = first_refusal.get_or_insert(refusal);
        if !about_fields {
            return Err(first.clone());
        }
    }
    Err(first_refusal.unwrap_or_default())
}

/// One request, on a connection of its own.
pub(super) async fn ask(
    target: &Target,
    prompt: Prompt<'_>,
    max_tokens: u32,
    limit: Duration,
) -> Result<Seen, (Failed, Seen)> {
    let accepts = target.accepts;
    let ask = Ask {
        model: &target.model,
        history: &[],
        prompt,
        max_tokens,
        temperature: 0.0,
        ignore_eos: accepts.ignore_eos,
        min_tokens: accepts.min_tokens,
        usage: accepts.usage,
        lora: None,
    };
    let body = write_body(target.api, &ask);
    let call = Call {
        id: "preflight",
        body: &body,
        limit,
        keep_text: false,
    };
    let (client, mut link) = (Client::new(target, Live::default()), Link::default());
    let (mut exchange, mut note) = (None, CallNote::default());
    let done = client.call(&mut link, call, &mut exchange, &mut note).await;
    let seen = exchange.map_or_else(Seen::default, |exchange: Exchange| exchange.seen);
    match done {
        Ok(()) => Ok(seen),
        Err(failed) => Err((failed, seen)),
    }
}
