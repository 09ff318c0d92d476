//! The truth about finished requests, kept until it is asked for.

use clock::MonoNs;
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The model ended the reply.
    Stop,
    /// The reply reached its limit.
    Length,
    /// The client went away, or the engine was shut down.
    Aborted,
}

/// What really happened to a request. Times are CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestTruth {
    /// The engine's own number for it.
    pub id: u64,
    /// The client's `x-request-id`, if it sent one.
    pub client_request_id: Option<String>,
    /// The model or adapter that was asked.
    pub model: String,
    /// Its whole body had been read.
    pub arrival_ns: MonoNs,
    /// It first joined a batch.
    pub scheduled_ns: Option<MonoNs>,
    /// The step that computed the last of its prompt ended.
    pub prefill_done_ns: Option<MonoNs>,
    /// The step that made each token ended.
    pub token_ns: Vec<MonoNs>,
    /// Each token was handed to the connection.
    pub sent_ns: Vec<MonoNs>,
    /// Nothing more was to be done for it.
    pub finished_ns: MonoNs,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Of these, found in the prefix cache.
    pub cached_tokens: u32,
    /// Times it lost its place and was computed again.
    pub preemptions: u32,
    /// Bytes that were read for it, or for a step it took part in: KV blocks from disk, its
    /// adapter's file, and weights that the page cache did not have.
    pub storage_bytes: u64,
    /// How much longer it took for that reason.
    pub storage_wait_us: u64,
}

/// What `GET /truth` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Entries {
    clock: &'static str,
    /// Requests that no longer fitted since the last call.
    dropped: u64,
    requests: Vec<RequestTruth>,
}

/// The finished requests.
#[derive(Debug)]
pub(crate) struct Ledger {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<RequestTruth>,
    dropped: u64,
}

impl Ledger {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn file(&self, truth: RequestTruth) {
        let mut kept = self.lock();
        kept.requests.push_back(truth);
        if kept.requests.len() > self.capacity {
            kept.requests.pop_front();
            kept.dropped += 1;
        }
    }

    /// All that finished since the last call.
    pub(crate) fn drain(&self) -> Entries {
        let mut kept = self.lock();
        Entries {
            clock: "CLOCK_MONOTONIC",
            dropped: std::mem::take(&mut kept.dropped),
            requests: std::mem::take(&mut kept.requests).into(),
        }
    }

    /// Those with this client id, or this id of ours; they stay.
    pub(crate) fn find(&self, id: &str) -> Entries {
        let kept = self.lock();
        let is_it = |truth: &&RequestTruth| {
            truth.client_request_id.as_deref() == Some(id) || truth.id.to_string() == id
        };
        Entries {
            clock: "CLOCK_MONOTONIC",
            dropped: kept.dropped,
            requests: kept.requests.iter().filter(is_it).cloned().collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that panics runs under the lock; if it did, the rows are still whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: u64) -> RequestTruth {
        RequestTruth {
            id,
            client_request_id: Some(format!("c{id}")),
            model: "m".into(),
            arrival_ns: MonoNs(1),
            scheduled_ns: None,
            prefill_done_ns: None,
            token_ns: vec![],
            sent_ns: vec![],
            finished_ns: MonoNs(2),
            outcome: Outcome::Stop,
            prompt_tokens: 1,
            cached_tokens: 0,
            preemptions: 0,
            storage_bytes: 0,
            storage_wait_us: 0,
        }
    }

    #[test]
    fn the_oldest_is_dropped_and_counted() {
        let ledger = Ledger::new(2);
        (0..3).for_each(|id| ledger.file(truth(id)));
        assert_eq!(ledger.find("c2").requests.len(), 1);
        assert_eq!(ledger.find("1").requests.len(), 1);
        let entries = ledger.drain();
        let ids: Vec<_> = entries.requests.iter().map(|t| t.id).collect();
        assert_eq!((entries.dropped, ids), (1, vec![1, 2]));
        assert!(ledger.drain().requests.is_empty());
    }
}
