//! Asking a server what it is, before anything is measured.

use super::{Accepts, ApiKey, BaseUrl, PreflightError, Target};
use crate::{
    client::{Call, CallNote, Client, Link},
    dialect::{Api, Ask, Prompt, server_words, write_body},
    exchange::{Exchange, Failed, Seen},
    fetch::{Answer, FetchError, fetch},
    live::Live,
    prompt::{LengthModel, PromptKey, write_words},
    workload::Workload,
};
use record::Failure;
use serde::Deserialize;
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};
use tokio::{runtime, time::timeout};

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
            timeout: Duration::from_secs(30),
        }
    }
}

/// Finds out what the server speaks, or why it can't be measured. Blocks.
pub fn preflight(wish: &Wish) -> Result<Target, PreflightError> {
    block_on(ask_all(wish))?
}

/// Measures how many tokens the server makes of words: two requests for one token each. Blocks.
pub fn calibrate(
    target: &Target,
    seed: u64,
    salt: u64,
    prompt_tokens: u32,
) -> Result<LengthModel, PreflightError> {
    block_on(calibrate_by_usage(target, seed, salt, prompt_tokens))?
}

fn block_on<F: Future>(future: F) -> Result<F::Output, PreflightError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(runtime::LocalOptions::default())
        .map_err(PreflightError::Start)?;
    Ok(runtime.block_on(future))
}

async fn ask_all(wish: &Wish) -> Result<Target, PreflightError> {
    let (address, answer) = ask_models(wish).await?;
    let card = choose_model(wish, &answer)?;
    let mut target = Target {
        url: wish.url.clone(),
        address,
        context_tokens: card.context_tokens(),
        server: card.owned_by.or(answer.server),
        model: card.id,
        api: Api::Completions,
        accepts: Accepts {
            ignore_eos: true,
            min_tokens: true,
            usage: true,
        },
        api_key: wish.api_key.clone(),
    };
    let candidates = match &wish.api {
        Some(api) => std::slice::from_ref(api),
        None => Api::OPEN_AI,
    };
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

/// Connects to each of the host's addresses in turn and asks the first that answers.
async fn ask_models(wish: &Wish) -> Result<(SocketAddr, Answer), PreflightError> {
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
        match timeout(wish.timeout, fetch(address, &head, &[])).await {
            Ok(Ok(answer)) => return Ok((address, answer)),
            Ok(Err(FetchError::Connect(error))) => refused = error,
            Ok(Err(FetchError::Broken(source))) => {
                return Err(PreflightError::Broken { url: url(), source });
            }
            Ok(Err(FetchError::NotHttp(error))) => {
                return Err(PreflightError::NotHttp {
                    url: url(),
                    reason: error.to_string(),
                });
            }
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
struct ModelCard {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    owned_by: Option<String>,
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
    fn context_tokens(&self) -> Option<u32> {
        self.max_model_len.or(self.meta.as_ref()?.n_ctx)
    }
}

fn choose_model(wish: &Wish, answer: &Answer) -> Result<ModelCard, PreflightError> {
    let (url, status) = (wish.url.clone(), answer.status);
    let words = || server_words(&answer.body);
    match status {
        200 => {}
        503 => {
            return Err(PreflightError::Loading {
                url,
                words: words(),
            });
        }
        401 | 403 => {
            return Err(PreflightError::Unauthorized {
                url,
                status,
                words: words(),
            });
        }
        _ => {
            return Err(PreflightError::NoModelList {
                url,
                status,
                words: words(),
            });
        }
    }
    let Ok(ModelList { data }) = serde_json::from_slice(&answer.body) else {
        return Err(PreflightError::NoModelList {
            url,
            status,
            words: words(),
        });
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
async fn ask(
    target: &Target,
    prompt: Prompt<'_>,
    max_tokens: u32,
    limit: Duration,
) -> Result<Seen, (Failed, Seen)> {
    let accepts = target.accepts;
    let ask = Ask {
        model: &target.model,
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

/// Tokens, about, of the shorter calibration prompt.
const SHORT_PROMPT: u32 = 40;
/// How long a calibration request may take: its prompt may be the longest of all.
const CALIBRATION_LIMIT: Duration = Duration::from_secs(600);

async fn calibrate_by_usage(
    target: &Target,
    seed: u64,
    salt: u64,
    prompt_tokens: u32,
) -> Result<LengthModel, PreflightError> {
    let guess = LengthModel::guess();
    if !target.accepts.usage {
        return Ok(guess);
    }
    let mut counts =
        [SHORT_PROMPT, prompt_tokens.max(2 * SHORT_PROMPT)].map(|tokens| (tokens, None));
    for (sequence, (count, counted)) in (0..).zip(&mut counts) {
        // No user of a phase has this number: the nonces stay unused.
        let key = PromptKey {
            user: u32::MAX,
            sequence,
        };
        let shape = Workload::new(*count, 1, seed, salt).shape(key, None);
        let (text, words) = write_words(&shape, &guess);
        let prompt = Prompt::Text(text.into());
        let asked = ask(target, prompt, 1, CALIBRATION_LIMIT).await;
        let seen = asked.map_err(|(failed, _)| PreflightError::PromptRefused {
            url: target.url.clone(),
            prompt_tokens,
            words: failed.words,
        })?;
        *count = words;
        *counted = seen.usage.and_then(|usage| usage.prompt_tokens);
    }
    Ok(match counts {
        [(short, Some(short_tokens)), (long, Some(long_tokens))] => {
            LengthModel::through((short, short_tokens), (long, long_tokens))
        }
        _ => guess,
    })
}
