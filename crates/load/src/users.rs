//! A user of a closed loop: ask, wait for the answer, think, ask again.

use crate::{
    client::Link,
    phase::{Answer, Failing, Flight, Shared, sleep_until},
    prompt::{Composed, History, Order, PromptKey},
};
use clock::MonoNs;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{num::NonZeroU32, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long before a user joins its connection is opened. Servers close idle ones after 5 s.
const OPEN_LEAD: Duration = Duration::from_secs(1);

/// How long opening one ahead may take; a server that does not answer must not hold up the start.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// Connections opened at once: below the usual backlog of a listening socket.
pub(crate) const OPENING_AT_ONCE: usize = 64;

/// All users of a phase, those who join first ready to ask.
#[derive(Debug)]
pub(crate) struct Crowd {
    seats: Vec<Seat>,
    users: u32,
    ramp: Duration,
}

impl Crowd {
    /// Gets those ready, before any time counts, who join within the lead: all of them where there
    /// is no ramp.
    pub(crate) async fn gather(shared: &Rc<Shared>, users: u32, ramp: Duration) -> Self {
        let mut crowd = Self {
            seats: Vec::new(),
            users,
            ramp,
        };
        let permits = Rc::new(Semaphore::new(OPENING_AT_ONCE));
        let mut tasks = JoinSet::new();
        for user in (0..users).take_while(|&user| crowd.joins_after(user) <= OPEN_LEAD) {
            let (shared, permits) = (Rc::clone(shared), Rc::clone(&permits));
            tasks.spawn_local(async move {
                // Nobody closes the semaphore, so there is always a permit to wait for.
                let _permit = permits.acquire().await;
                let mut seat = Seat::new(user);
                seat.prepare(&shared).await;
                seat
            });
        }
        crowd.seats = tasks.join_all().await;
        crowd
    }

    /// Users join evenly over the ramp.
    fn joins_after(&self, user: u32) -> Duration {
        self.ramp.mul_f64(f64::from(user) / f64::from(self.users))
    }

    /// Lets each join in its turn, and ask as often as the phase says, or until its task is dropped.
    pub(crate) fn start(self, shared: &Rc<Shared>, think: Duration, tasks: &mut JoinSet<()>) {
        let start = shared.start();
        let late = self.seats.len() as u32..self.users;
        let late_joins: Vec<_> = late.map(|user| (user, self.joins_after(user))).collect();
        let joins = self
            .seats
            .iter()
            .map(|seat| self.joins_after(seat.user))
            .collect::<Vec<_>>();
        for (seat, after) in self.seats.into_iter().zip(joins) {
            let shared = Rc::clone(shared);
            tasks.spawn_local(async move {
                seat.ask(shared, start.plus(after), think).await;
            });
        }
        for (user, after) in late_joins {
            let shared = Rc::clone(shared);
            tasks.spawn_local(async move {
                sleep(after.saturating_sub(OPEN_LEAD)).await;
                let mut seat = Seat::new(user);
                seat.prepare(&shared).await;
                seat.ask(shared, start.plus(after), think).await;
            });
        }
    }
}

/// A user that is ready to ask: its connection is open and its first request written.
#[derive(Debug)]
struct Seat {
    user: u32,
    sequence: u64,
    link: Link,
    next: Next,
    history: Arc<History>,
}

/// The user's next request.
#[derive(Debug)]
enum Next {
    Ready(Composed),
    Ordered(oneshot::Receiver<Composed>),
    /// The phase is over: nobody writes requests any more.
    Never,
}

impl Next {
    async fn ready(self) -> Option<Composed> {
        match self {
            Next::Ready(composed) => Some(composed),
            Next::Ordered(composed) => composed.await.ok(),
            Next::Never => None,
        }
    }
}

impl Seat {
    fn new(user: u32) -> Self {
        Self {
            user,
            sequence: 0,
            link: Link::default(),
            next: Next::Never,
            history: Arc::default(),
        }
    }

    /// Opens the connection and has the first request written.
    async fn prepare(&mut self, shared: &Shared) {
        let order = self.order(shared);
        // A connection that can't be opened shows as a refused request.
        let opening = self.link.open(shared.client.endpoint());
        let _ = timeout(OPEN_LIMIT, opening).await;
        self.next = Next::Ordered(order)
            .ready()
            .await
            .map_or(Next::Never, Next::Ready);
    }

    fn order(&mut self, shared: &Shared) -> oneshot::Receiver<Composed> {
        let (reply, composed) = oneshot::channel();
        let key = PromptKey {
            user: self.user,
            sequence: self.sequence,
        };
        self.sequence += 1;
        // A composer that is gone has dropped `reply`, and the receiver tells.
        let _ = shared.orders.send(Order::Compose {
            key,
            trace: None,
            history: Arc::clone(&self.history),
            reply,
        });
        composed
    }

    /// Asks, first at that time, as often as the phase says, or until the task is dropped. A timer
    /// that fires late moves nothing: the row's `queue` tells.
    async fn ask(mut self, shared: Rc<Shared>, mut intended: MonoNs, think: Duration) {
        let mut backoff = Backoff::new(shared.phase.workload.seed ^ u64::from(self.user));
        let times = shared.phase.each.map_or(u32::MAX, NonZeroU32::get);
        for _ in 0..times {
            sleep_until(intended).await;
            let flight = Flight::begin(&shared, self.user, intended);
            // The next request is written while the server works on this one, unless it is to go
            // on with this one's answer.
            let converses = shared.phase.workload.converses();
            let next = match converses {
                true => Next::Never,
                false => Next::Ordered(self.order(&shared)),
            };
            let Some(request) = std::mem::replace(&mut self.next, next).ready().await else {
                return;
            };
            let flown = flight.fly(&mut self.link, request).await;
            if converses {
                self.remember(flown.as_ref().ok(), shared.phase.workload.turns);
                self.next = Next::Ordered(self.order(&shared));
            }
            let pause = match flown {
                Ok(_) => {
                    backoff.reset();
                    think
                }
                Err(Failing) => backoff.next() + think,
            };
            intended = MonoNs::now().plus(pause);
        }
    }
}

impl Seat {
    /// Goes on with the conversation, or begins another: after its last turn, or a failure.
    fn remember(&mut self, answer: Option<&Answer>, turns: NonZeroU32) {
        let mut history = History::default();
        if let Some(answer) = answer
            && let Some((asked, answered)) = &answer.turn
            && self.history.said.len() / 2 + 1 < turns.get() as usize
        {
            history.said.clone_from(&self.history.said);
            history.said.extend([asked.clone(), answered.clone()]);
            history.tokens = answer.tokens;
        }
        self.history = Arc::new(history);
    }
}

/// Waits between failures: doubling, with jitter, so that users do not come back in step.
#[derive(Debug)]
struct Backoff {
    failures: u32,
    rng: Xoshiro256PlusPlus,
}

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Backoff {
    fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    fn reset(&mut self) {
        self.failures = 0;
    }

    fn next(&mut self) -> Duration {
        // 2^6 times the first wait is beyond the longest.
        let wait = FIRST_WAIT * 2u32.pow(self.failures.min(6));
        self.failures += 1;
        wait.min(LONGEST_WAIT)
            .mul_f64(self.rng.random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_over() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<Duration> = (0..20).map(|_| backoff.next()).collect();
        assert!((FIRST_WAIT / 2..FIRST_WAIT).contains(&waits[0]));
        assert!(
            waits[10..]
                .iter()
                .all(|wait| (LONGEST_WAIT / 2..LONGEST_WAIT).contains(wait))
        );
        backoff.reset();
        assert!(backoff.next() < FIRST_WAIT);
    }
}
