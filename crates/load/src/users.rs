//! A user of a closed loop: ask, wait for the answer, think, ask again.

use crate::{
    client::Link,
    phase::{Failing, Flight, Shared},
    prompt::{Composed, Order, PromptKey},
};
use clock::MonoNs;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{rc::Rc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

/// How long before a user joins its connection is opened. Servers close idle ones after 5 s.
pub(crate) const OPEN_LEAD: Duration = Duration::from_secs(1);

/// A user that is ready to ask: its connection is open and its first request written.
#[derive(Debug)]
pub(crate) struct Seat {
    user: u32,
    sequence: u64,
    link: Link,
    next: Next,
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
    pub(crate) fn new(user: u32) -> Self {
        Self {
            user,
            sequence: 0,
            link: Link::default(),
            next: Next::Never,
        }
    }

    pub(crate) fn user(&self) -> u32 {
        self.user
    }

    /// Opens the connection and has the first request written.
    pub(crate) async fn prepare(&mut self, shared: &Shared) {
        let order = self.order(shared);
        // A connection that can't be opened shows as a refused request.
        let opening = self.link.open(shared.target.address);
        let _ = timeout(shared.phase.timing.request_deadline, opening).await;
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
        let _ = shared.orders.send(Order::Compose { key, reply });
        composed
    }

    /// Asks until the task is dropped.
    pub(crate) async fn ask_for_ever(mut self, shared: Rc<Shared>) {
        let mut backoff = Backoff::new(shared.phase.workload.seed ^ u64::from(self.user));
        loop {
            let intended = MonoNs::now();
            let flight = Flight::begin(&shared, self.user, intended);
            // The next request is written while the server works on this one.
            let next = Next::Ordered(self.order(&shared));
            let Some(request) = std::mem::replace(&mut self.next, next).ready().await else {
                return;
            };
            match flight.fly(&mut self.link, &request).await {
                Ok(()) => backoff.reset(),
                Err(Failing) => sleep(backoff.next()).await,
            }
            if !shared.phase.think.is_zero() {
                sleep(shared.phase.think).await;
            }
        }
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
