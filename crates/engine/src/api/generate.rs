//! The two completion routes, streamed and whole.

use super::{
    Shared,
    call::{Arrival, Call},
    refusal::Refusal,
    request::{self, ChatRequest, Common, CompletionRequest, StreamOptions, chat_prompt},
    unix_s,
    wire::{DONE, Protocol, Writer},
};
use crate::{
    reply::{Finish, Reply, ReplyLimits},
    sched::{self, RequestId, Submission},
    stepper::TokenEvent,
    storage::adapters::Registered,
    token::{Token, tokenize},
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use clock::MonoNs;
use futures_util::Stream;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// vLLM's limit for completions that name none.
const DEFAULT_COMPLETION_TOKENS: u32 = 16;

/// `POST /v1/completions`
pub(super) async fn completions(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let arrival = MonoNs::now();
    let request: CompletionRequest = request::parse(&body)?;
    request.common.check()?;
    let prompt = request.prompt.into_tokens()?;
    let max_tokens = request
        .common
        .max_tokens
        .or(Some(DEFAULT_COMPLETION_TOKENS));
    let order = Order {
        protocol: Protocol::Completion,
        prompt,
        max_tokens,
        common: request.common,
        arrival,
    };
    order.serve(shared, headers.get(REQUEST_ID)).await
}

/// `POST /v1/chat/completions`
pub(super) async fn chat(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let arrival = MonoNs::now();
    let request: ChatRequest = request::parse(&body)?;
    request.common.check()?;
    let order = Order {
        protocol: Protocol::Chat,
        prompt: tokenize(&chat_prompt(&request.messages)?),
        max_tokens: request.max_completion_tokens.or(request.common.max_tokens),
        common: request.common,
        arrival,
    };
    order.serve(shared, headers.get(REQUEST_ID)).await
}

/// A request that was read, before it is placed.
struct Order {
    protocol: Protocol,
    prompt: Vec<Token>,
    /// None: as many as the context allows.
    max_tokens: Option<u32>,
    common: Common,
    arrival: MonoNs,
}

impl Order {
    async fn serve(
        self,
        shared: Arc<Shared>,
        request_id: Option<&HeaderValue>,
    ) -> Result<Response, Refusal> {
        let (model, adapter) = self.find_model(&shared)?;
        let speaker = adapter.as_ref().map_or(0, |a| sched::speaker(&a.name));
        let limits = self.reply_limits(&shared)?;
        let id = shared.next_id();
        let client_id = request_id.and_then(|value| value.to_str().ok());
        let wire_id = client_id.map_or_else(|| format!("{id:016x}"), str::to_owned);
        let writer = Writer::new(self.protocol, &wire_id, unix_s(), &model);
        let submission = Submission {
            id: RequestId(id),
            reply: Reply::to(&self.prompt, speaker, limits),
            prompt: self.prompt,
            speaker,
            adapter: adapter.as_ref().map_or(0, |a| a.number),
        };
        let arrival = Arrival {
            model,
            adapter,
            client_request_id: client_id.map(str::to_owned),
            at: self.arrival,
        };
        let call = Call::place(shared, submission, arrival)?;
        let mut response = if self.common.stream {
            stream(call, writer, self.common.stream_options.unwrap_or_default())
        } else {
            whole(call, writer).await?
        };
        if let Some(value) = request_id {
            response.headers_mut().insert(REQUEST_ID, value.clone());
        }
        Ok(response)
    }

    /// The name that was asked for, and the adapter behind it.
    fn find_model(&self, shared: &Shared) -> Result<(String, Option<Arc<Registered>>), Refusal> {
        let base = shared.config.name();
        let Some(name) = self.common.model.as_deref().filter(|name| *name != base) else {
            return Ok((base.to_owned(), None));
        };
        match shared.registry.find(name) {
            Some(adapter) => Ok((name.to_owned(), Some(adapter))),
            None => {
                let adapters = shared.registry.list();
                let names: Vec<&str> = std::iter::once(base)
                    .chain(adapters.iter().map(|a| a.name.as_str()))
                    .collect();
                Err(Refusal::no_model(name, &names.join(", ")))
            }
        }
    }

    fn reply_limits(&self, shared: &Shared) -> Result<ReplyLimits, Refusal> {
        let context = shared.config.context_tokens();
        let prompt = self.prompt.len() as u64;
        let left = u64::from(context).saturating_sub(prompt);
        let wanted = self.max_tokens.map_or(left.max(1), u64::from);
        if wanted > left {
            return Err(Refusal::bad_request(
                format!(
                    "This model's maximum context length is {context} tokens. However, you \
                     requested {wanted} output tokens and your prompt contains {prompt} input \
                     tokens, for a total of {} tokens. Please reduce the length of the input \
                     prompt or the number of requested output tokens.",
                    prompt + wanted,
                ),
                Some("input_tokens"),
            ));
        }
        Ok(ReplyLimits {
            // At most the context's length, which is a u32.
            max_tokens: wanted as u32,
            min_tokens: self.common.min_tokens,
            ignore_eos: self.common.ignore_eos,
            mean_tokens: shared.config.mean_reply_tokens,
        })
    }
}

async fn whole(mut call: Call, writer: Writer) -> Result<Response, Refusal> {
    let mut text = String::new();
    let finish: Finish = loop {
        let Some(event) = call.token().await else {
            return Err(call.refusal());
        };
        event.token.push_text(&mut text);
        if let Some(finish) = event.finish {
            break finish;
        }
    };
    call.sent();
    let body = writer.whole(&text, finish, call.usage());
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn stream(call: Call, writer: Writer, options: StreamOptions) -> Response {
    let events = EventStream {
        call: Some(call),
        writer,
        options,
        ready: VecDeque::with_capacity(3),
    };
    let content_type = (CONTENT_TYPE, "text/event-stream; charset=utf-8");
    ([content_type], Body::from_stream(events)).into_response()
}

/// A reply as server-sent events, one to a frame, so that each leaves as its own HTTP chunk.
struct EventStream {
    /// None once the reply has ended.
    call: Option<Call>,
    writer: Writer,
    options: StreamOptions,
    /// Written and not yet taken.
    ready: VecDeque<Frame>,
}

struct Frame {
    bytes: Bytes,
    /// Whether it carries a token, whose hand-over is noted.
    token: bool,
}

impl EventStream {
    fn write(&mut self, event: TokenEvent) {
        let Some(call) = &self.call else { return };
        let usage = call.usage();
        let plain = |text: String| Frame {
            bytes: text.into(),
            token: false,
        };
        if event.index == 0 {
            self.ready.extend(self.writer.opening_chunk().map(plain));
        }
        let shown = self.options.continuous_usage_stats.then_some(usage);
        let chunk = self.writer.token_chunk(event.token, event.finish, shown);
        self.ready.push_back(Frame {
            bytes: chunk.into(),
            token: true,
        });
        if event.finish.is_some() {
            if self.options.include_usage {
                self.ready.push_back(plain(self.writer.usage_chunk(usage)));
            }
            self.ready.push_back(Frame {
                bytes: Bytes::from_static(DONE),
                token: false,
            });
        }
    }

    /// Ends the stream before its time: with an error, and without [DONE].
    fn give_up(&mut self) {
        if let Some(call) = self.call.take() {
            let error = call.refusal().json();
            self.ready.push_back(Frame {
                bytes: format!("data: {error}\n\n").into(),
                token: false,
            });
        }
    }

    fn take_ready(&mut self) -> Option<Bytes> {
        let frame = self.ready.pop_front()?;
        if let Some(call) = &mut self.call {
            if frame.token {
                call.sent();
            }
            // The truth is filed before the last bytes leave, so that whoever has them finds it.
            if self.ready.is_empty() && call.has_ended() {
                self.call = None;
            }
        }
        Some(frame.bytes)
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.take_ready() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            let Some(call) = &mut self.call else {
                return Poll::Ready(None);
            };
            match std::task::ready!(call.poll_token(context)) {
                Some(event) => self.write(event),
                None => self.give_up(),
            }
        }
    }
}
