//! An open loop: the scheduler says when, and each request takes a connection that is free.

use super::{Flight, Shared};
use crate::{
    arrivals::{Due, Moments, OpenLoop, schedule},
    client::Link,
    prompt::{Composed, Order, PromptKey},
    users::OPENING_AT_ONCE,
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};

/// Requests written ahead of their moments.
const WRITTEN_AHEAD: usize = 64;

/// Where requests are handed out.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    open: &'a OpenLoop,
    /// Connections that are free, the last used on top.
    idle: Rc<RefCell<Vec<Link>>>,
    written: Written<'a>,
}

impl<'a> Desk<'a> {
    /// Opens connections and has the first requests written.
    pub(super) async fn open(shared: &Shared, open: &'a OpenLoop) -> Self {
        let mut links = Vec::new();
        let wanted = open
            .max_in_flight
            .map_or(OPENING_AT_ONCE, |cap| cap.get() as usize);
        for _ in 0..wanted.min(OPENING_AT_ONCE) {
            let mut link = Link::default();
            link.open(shared.client.endpoint()).await;
            links.push(link);
        }
        let mut written = Written {
            moments: open.moments(shared.phase.workload.seed),
            ordered: VecDeque::new(),
            next: 0,
        };
        written.order_ahead(shared);
        Self {
            open,
            idle: Rc::new(RefCell::new(links)),
            written,
        }
    }

    /// Sends each request as it is due. Ends only if it can't begin: the phase has its length, also
    /// when a trace is over before.
    pub(super) async fn serve(
        mut self,
        shared: &Rc<Shared>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<()> {
        let (due, mut moments) = mpsc::unbounded_channel();
        let ended = Ended::default();
        self.start_scheduler(shared, due, Arc::clone(&ended.0))?;
        let permits = self
            .open
            .max_in_flight
            .map(|cap| Rc::new(Semaphore::new(cap.get() as usize)));
        let mut user = 0;
        while let Some(Due { intended }) = moments.recv().await {
            let flight = Flight::begin(shared, user, intended);
            user = user.wrapping_add(1);
            let Some(composed) = self.written.take(shared) else {
                break;
            };
            let (idle, permits) = (Rc::clone(&self.idle), permits.clone());
            tasks.spawn_local(send(flight, composed, idle, permits));
            while tasks.try_join_next().is_some() {}
        }
        while tasks.join_next().await.is_some() {}
        std::future::pending().await
    }

    fn start_scheduler(
        &self,
        shared: &Shared,
        due: mpsc::UnboundedSender<Due>,
        ended: Arc<AtomicBool>,
    ) -> io::Result<()> {
        let (open, seed) = (self.open.clone(), shared.phase.workload.seed);
        let start = shared.start();
        thread::Builder::new()
            .name("arrivals".into())
            .spawn(move || schedule(open.moments(seed), start, &ended, &due))?;
        Ok(())
    }
}

/// Ends the scheduler's thread with the phase, however that ends.
#[derive(Debug, Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Requests that are being written ahead, in the order of their moments.
#[derive(Debug)]
struct Written<'a> {
    moments: Moments<'a>,
    ordered: VecDeque<oneshot::Receiver<Composed>>,
    next: u32,
}

impl Written<'_> {
    fn order_ahead(&mut self, shared: &Shared) {
        while self.ordered.len() < WRITTEN_AHEAD {
            let Some(moment) = self.moments.next() else {
                return;
            };
            let (reply, composed) = oneshot::channel();
            let key = PromptKey {
                user: self.next,
                sequence: 0,
            };
            self.next = self.next.wrapping_add(1);
            // A composer that is gone has dropped `reply`, and the receiver tells.
            let _ = shared.orders.send(Order::Compose {
                key,
                trace: moment.shape,
                history: Arc::default(),
                reply,
            });
            self.ordered.push_back(composed);
        }
    }

    fn take(&mut self, shared: &Shared) -> Option<oneshot::Receiver<Composed>> {
        let composed = self.ordered.pop_front();
        self.order_ahead(shared);
        composed
    }
}

async fn send(
    flight: Flight,
    composed: oneshot::Receiver<Composed>,
    idle: Rc<RefCell<Vec<Link>>>,
    permits: Option<Rc<Semaphore>>,
) {
    // Tasks run in the order of their spawning and the semaphore is fair: first due, first sent.
    let _permit = match &permits {
        Some(permits) => permits.acquire().await.ok(),
        None => None,
    };
    let Ok(composed) = composed.await else {
        return;
    };
    let mut link = idle.borrow_mut().pop().unwrap_or_default();
    // The row says how it went; an open loop does not mind.
    let _ = flight.fly(&mut link, composed).await;
    idle.borrow_mut().push(link);
}
