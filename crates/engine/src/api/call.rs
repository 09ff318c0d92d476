//! A request in the engine, as its connection sees it. Dropping it, as a connection that goes away
//! does, cancels what is left; either way its truth is filed.

use super::{Shared, refusal::Refusal};
use crate::{
    ledger::{Outcome, RequestTruth},
    reply::Finish,
    sched::{RequestId, Submission},
    stepper::{Command, Event, TokenEvent},
    storage::{StorageError, adapters::Registered},
};
use clock::MonoNs;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(super) struct Call {
    shared: Arc<Shared>,
    events: UnboundedReceiver<Event>,
    truth: RequestTruth,
    ended: bool,
    failure: Option<Arc<StorageError>>,
}

/// What is known of a request before it is placed.
pub(super) struct Arrival {
    /// The model or adapter it names.
    pub(super) model: String,
    pub(super) adapter: Option<Arc<Registered>>,
    pub(super) client_request_id: Option<String>,
    pub(super) at: MonoNs,
}

impl Call {
    /// Hands the request to the stepper.
    pub(super) fn place(
        shared: Arc<Shared>,
        submission: Submission,
        arrival: Arrival,
    ) -> Result<Self, Refusal> {
        let Arrival {
            model,
            adapter,
            client_request_id,
            at: arrival_ns,
        } = arrival;
        let (sender, events) = unbounded_channel();
        let truth = RequestTruth {
            id: submission.id.0,
            client_request_id,
            model,
            arrival_ns,
            scheduled_ns: None,
            prefill_done_ns: None,
            token_ns: Vec::with_capacity(submission.reply.len() as usize),
            sent_ns: Vec::with_capacity(submission.reply.len() as usize),
            finished_ns: arrival_ns,
            outcome: Outcome::Aborted,
            prompt_tokens: submission.prompt.len() as u32,
            cached_tokens: 0,
            preemptions: 0,
            storage_bytes: 0,
            storage_wait_us: 0,
        };
        let command = Command::Submit {
            submission,
            adapter,
            events: sender,
        };
        shared
            .commands
            .send(command)
            .map_err(|_| Refusal::stopping())?;
        Ok(Self {
            shared,
            events,
            truth,
            ended: false,
            failure: None,
        })
    }

    /// The next token; None when the engine gave the request up.
    pub(super) fn poll_token(&mut self, context: &mut Context<'_>) -> Poll<Option<TokenEvent>> {
        loop {
            let Some(event) = std::task::ready!(self.events.poll_recv(context)) else {
                return Poll::Ready(None);
            };
            match event {
                Event::Admitted { at, cached_tokens } => {
                    self.truth.scheduled_ns = Some(at);
                    self.truth.cached_tokens = cached_tokens;
                }
                Event::Preempted => self.truth.preemptions += 1,
                Event::Waited(storage) => {
                    self.truth.storage_bytes += storage.bytes;
                    self.truth.storage_wait_us += storage.wait.as_micros() as u64;
                }
                Event::Token(token) => {
                    self.note(&token);
                    return Poll::Ready(Some(token));
                }
                Event::Failed(why) => {
                    self.failure = Some(why);
                    return Poll::Ready(None);
                }
                Event::Refused(why) => {
                    // Lengths were checked against the pool before; say it and end.
                    tracing::error!(%why, "the scheduler refused a request that was checked");
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// See [`Call::poll_token`].
    pub(super) async fn token(&mut self) -> Option<TokenEvent> {
        poll_fn(|context| self.poll_token(context)).await
    }

    fn note(&mut self, token: &TokenEvent) {
        self.truth.prefill_done_ns.get_or_insert(token.at);
        self.truth.token_ns.push(token.at);
        if let Some(finish) = token.finish {
            self.ended = true;
            self.truth.outcome = match finish {
                Finish::Stop => Outcome::Stop,
                Finish::Length => Outcome::Length,
            };
        }
    }

    /// Notes that the last token is being handed to the connection.
    pub(super) fn sent(&mut self) {
        self.truth.sent_ns.push(MonoNs::now());
    }

    /// Why no more tokens come.
    pub(super) fn refusal(&self) -> Refusal {
        match &self.failure {
            Some(error) => Refusal::failed(error.to_string()),
            None => Refusal::stopping(),
        }
    }

    /// Whether the last token has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Token counts so far.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.truth.prompt_tokens,
            completion_tokens: self.truth.token_ns.len() as u32,
            cached_tokens: self.truth.cached_tokens,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            // Err: the stepper has ended, and the request with it.
            let _ = self
                .shared
                .commands
                .send(Command::Cancel(RequestId(self.truth.id)));
        }
        self.truth.finished_ns = MonoNs::now();
        self.shared.meters.finished(&self.truth);
        self.shared.ledger.file(self.truth.clone());
    }
}

/// Token counts of a request so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u32,
    pub(super) completion_tokens: u32,
    pub(super) cached_tokens: u32,
}
