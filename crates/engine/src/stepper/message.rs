//! What goes between the stepper and the connections.

use crate::{
    reply::Finish,
    sched::{RequestId, Submission, Unschedulable},
    storage::{
        StorageError,
        adapters::{AdapterEvent, Registered},
        tier::TierEvent,
    },
    token::Token,
};
use clock::MonoNs;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// What connections ask of the stepper.
pub(crate) enum Command {
    /// Serve this and report to `events`.
    Submit {
        submission: Submission,
        /// The adapter it names.
        adapter: Option<Arc<Registered>>,
        events: UnboundedSender<Event>,
    },
    /// Nobody waits for this any more.
    Cancel(RequestId),
    /// The KV tier's threads have done something.
    Tier(TierEvent),
    /// An adapter has been read.
    Adapter(AdapterEvent),
    /// End the thread; streams end unfinished.
    Stop,
}

/// What a connection learns about its request.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// It will never run.
    Refused(Unschedulable),
    /// It can't be served after all.
    Failed(Arc<StorageError>),
    /// It joined a batch.
    Admitted { at: MonoNs, cached_tokens: u32 },
    /// It lost its place.
    Preempted,
    /// It waited for storage.
    Waited(StorageWait),
    /// A step made its next token.
    Token(TokenEvent),
}

/// What storage made a request wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageWait {
    /// Bytes that came from the device.
    pub(crate) bytes: u64,
    /// How much longer it took than computing alone.
    pub(crate) wait: Duration,
}

/// A token and when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenEvent {
    pub(crate) at: MonoNs,
    pub(crate) index: u32,
    pub(crate) token: Token,
    pub(crate) finish: Option<Finish>,
}
