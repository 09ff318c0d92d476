//! A request from the moment it is wanted to its row.

use super::{FailureNote, Phase, Timing};
use crate::{
    client::{Call, CallNote, Client, Link},
    exchange::{Exchange, Failed},
    live::Live,
    prompt::{Composed, Order},
};
use clock::{MonoNs, SessionClock};
use record::{Outcome, RequestRow, RequestTokens, Stage, StampSource};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::mpsc,
};
use tokio::sync::Notify;

/// What all users of a phase share, on the socket thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) phase: Phase,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) client: Client,
    pub(super) clock: SessionClock,
    pub(super) live: Live,
    pub(super) rows: mpsc::Sender<(RequestRow, RequestTokens)>,
    pub(super) schedule: Cell<Schedule>,
    pub(super) next_request: Cell<u64>,
    pub(super) measured: InFlight,
    pub(super) tally: RefCell<Tally>,
}

impl Shared {
    /// When the phase started.
    pub(crate) fn start(&self) -> MonoNs {
        self.schedule.get().ramp
    }

    /// The measured interval is over now, if it is not yet.
    pub(super) fn drain(&self) {
        let schedule = self.schedule.get();
        let drain = schedule.drain.min(MonoNs::now());
        self.schedule.set(Schedule { drain, ..schedule });
    }
}

/// When the stages begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) ramp: MonoNs,
    pub(super) warmup: MonoNs,
    pub(super) measure: MonoNs,
    pub(super) drain: MonoNs,
}

impl Schedule {
    /// Of a phase that has not started.
    pub(super) const NEVER: Self = Self {
        ramp: MonoNs(u64::MAX),
        warmup: MonoNs(u64::MAX),
        measure: MonoNs(u64::MAX),
        drain: MonoNs(u64::MAX),
    };

    pub(super) fn new(start: MonoNs, timing: Timing) -> Self {
        let warmup = start.plus(timing.ramp);
        let measure = warmup.plus(timing.warmup);
        Self {
            ramp: start,
            warmup,
            measure,
            drain: measure.plus(timing.measure),
        }
    }

    pub(super) fn stage_at(&self, time: MonoNs) -> Stage {
        match time {
            time if time < self.warmup => Stage::Ramp,
            time if time < self.measure => Stage::Warmup,
            time if time < self.drain => Stage::Measure,
            _ => Stage::Drain,
        }
    }
}

/// Measured requests that have not ended.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    count: Cell<u64>,
    changed: Notify,
}

impl InFlight {
    /// Waits until there is none.
    pub(super) async fn none(&self) {
        while self.count.get() > 0 {
            self.changed.notified().await;
        }
    }

    fn add(&self) {
        self.count.set(self.count.get() + 1);
    }

    fn remove(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0 {
            self.changed.notify_one();
        }
    }
}

/// What is counted over a phase.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) resent: u64,
    pub(super) failures: Vec<FailureNote>,
    user_stamped: bool,
}

/// A server that words every failure differently must not fill the memory.
const MAX_KINDS: usize = 64;

impl Tally {
    pub(super) fn clock(&self) -> StampSource {
        match self.user_stamped {
            true => StampSource::User,
            false => StampSource::Kernel,
        }
    }

    fn failed(&mut self, failed: &Failed) {
        let full = self.failures.len() >= MAX_KINDS;
        let known = self
            .failures
            .iter_mut()
            .find(|note| note.failure == failed.failure && (full || note.words == failed.words));
        match known {
            Some(note) => note.count += 1,
            None => self.failures.push(FailureNote {
                failure: failed.failure,
                words: failed.words.clone(),
                count: 1,
            }),
        }
    }
}

/// A request on its way. However it ends, also by being dropped, it becomes a row.
#[derive(Debug)]
pub(crate) struct Flight {
    shared: Rc<Shared>,
    request: u64,
    user: u32,
    stage: Stage,
    intended: MonoNs,
    prompt_tokens: u32,
    adapter: Option<String>,
    exchange: Option<Exchange>,
    note: CallNote,
    /// How it ended; None while it has not.
    ended: Option<Result<(), Failed>>,
}

/// What a conversation goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The user's and the server's text, where they were kept.
    pub(crate) turn: Option<(String, String)>,
    /// The tokens of all that was said so far, by the server's count.
    pub(crate) tokens: u32,
}

/// The request failed; its row says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing;

impl Flight {
    /// A request is wanted.
    pub(crate) fn begin(shared: &Rc<Shared>, user: u32, intended: MonoNs) -> Self {
        let request = shared.next_request.get();
        shared.next_request.set(request + 1);
        let stage = shared.schedule.get().stage_at(intended);
        if stage == Stage::Measure {
            shared.measured.add();
        }
        shared.live.begin();
        Self {
            shared: Rc::clone(shared),
            request,
            user,
            stage,
            intended,
            prompt_tokens: 0,
            adapter: None,
            exchange: None,
            note: CallNote::default(),
            ended: None,
        }
    }

    /// Sends it and waits for its end.
    pub(crate) async fn fly(
        mut self,
        link: &mut Link,
        mut composed: Composed,
    ) -> Result<Answer, Failing> {
        self.prompt_tokens = composed.prompt_tokens;
        self.adapter = composed.adapter.take();
        let shared = Rc::clone(&self.shared);
        let id = format!("{:016x}-{}", shared.phase.workload.salt, self.request);
        let call = Call {
            id: &id,
            body: &composed.body,
            limit: shared.phase.timing.request_deadline,
            keep_text: composed.text.is_some(),
        };
        let called = shared
            .client
            .call(link, call, &mut self.exchange, &mut self.note);
        let done = called.await;
        let seen = self.exchange.as_mut().map(|exchange| &mut exchange.seen);
        let usage = seen.as_ref().and_then(|seen| seen.usage);
        let counted = usage.and_then(|usage| usage.prompt_tokens);
        if let (Some(words), Some(tokens)) = (composed.words, counted) {
            // The composer lives as long as anybody can order.
            let _ = shared.orders.send(Order::Observed { words, tokens });
        }
        let answered = seen.and_then(|seen| seen.text.take());
        let output = usage.and_then(|usage| usage.completion_tokens);
        let answer = Answer {
            turn: composed.text.zip(answered),
            tokens: counted.unwrap_or(0).saturating_add(output.unwrap_or(0)),
        };
        self.ended = Some(done.clone());
        done.map(|()| answer).map_err(|_| Failing)
    }

    fn row(&mut self) -> (RequestRow, RequestTokens) {
        let now = MonoNs::now();
        let exchange = self.exchange.take();
        // Where no connection could be made, it was handed over in vain: now.
        let sent = exchange.as_ref().map_or(now, Exchange::sent);
        let seen = exchange.map(|exchange| exchange.seen).unwrap_or_default();
        let ended = seen.answered.unwrap_or(now);
        let (outcome, error) = self.outcome();
        let at = |time| self.shared.clock.at(time);
        let usage = seen.usage;
        let row = RequestRow {
            request: self.request,
            user: self.user,
            stage: self.stage,
            adapter: self.adapter.take(),
            prompt_tokens_wanted: self.prompt_tokens,
            prompt_tokens: usage.and_then(|usage| usage.prompt_tokens),
            cached_tokens: usage.and_then(|usage| usage.cached_tokens()),
            output_tokens: seen.output_tokens(),
            chunks: u32::try_from(seen.chunks.len()).unwrap_or(u32::MAX),
            intended: at(self.intended),
            sent: at(sent),
            ended: at(ended),
            queue: sent.since(self.intended),
            ttfb: seen.ttfb,
            ttft: seen.ttft(),
            ttfa: seen.ttfa,
            e2e: seen.e2e().filter(|_| outcome == Outcome::Ok),
            tpot: seen.tpot().filter(|_| outcome == Outcome::Ok),
            client_lag: seen.client_lag(),
            clock: match seen.user_stamped {
                true => StampSource::User,
                false => StampSource::Kernel,
            },
            outcome,
            status: seen.status,
            error,
        };
        let tokens = RequestTokens {
            request: self.request,
            chunks: seen.chunks,
        };
        (row, tokens)
    }

    fn outcome(&self) -> (Outcome, Option<String>) {
        match &self.ended {
            None => (Outcome::Unfinished, None),
            Some(Err(failed)) => (failed.failure.into(), Some(failed.words.clone())),
            Some(Ok(())) if self.note.resent => (
                Outcome::Ok,
                Some("sent again: the idle connection had been closed".to_owned()),
            ),
            Some(Ok(())) => (Outcome::Ok, None),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let (row, tokens) = self.row();
        if self.stage == Stage::Measure {
            self.shared.measured.remove();
        }
        let mut tally = self.shared.tally.borrow_mut();
        tally.resent += u64::from(self.note.resent);
        tally.user_stamped |= row.clock == StampSource::User;
        if let Some(Err(failed)) = &self.ended {
            tally.failed(failed);
        }
        self.shared.live.end(&row);
        // The receiver waits until every sender is gone.
        let _ = self.shared.rows.send((row, tokens));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Failure;

    #[test]
    fn a_stage_begins_at_its_first_nanosecond() {
        let schedule = Schedule {
            ramp: MonoNs(10),
            warmup: MonoNs(20),
            measure: MonoNs(20),
            drain: MonoNs(30),
        };
        let stage = |time| schedule.stage_at(MonoNs(time));
        assert_eq!(stage(19), Stage::Ramp);
        assert_eq!(stage(20), Stage::Measure);
        assert_eq!(stage(29), Stage::Measure);
        assert_eq!(stage(30), Stage::Drain);
    }

    #[test]
    fn failures_are_counted_by_kind_and_bounded() {
        let mut tally = Tally::default();
        for nth in 0..200 {
            tally.failed(&Failed::new(
                Failure::Status,
                format!("reason {}", nth % 100),
            ));
        }
        assert_eq!(tally.failures.len(), MAX_KINDS);
        assert_eq!(
            tally.failures.iter().map(|note| note.count).sum::<u64>(),
            200
        );
    }
}
