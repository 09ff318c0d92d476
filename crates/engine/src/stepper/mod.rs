//! The thread that lets modelled time pass: it asks the scheduler what to do, sleeps as long as
//! the model would compute, and hands out what the step brought.
//!
//! Deadlines are absolute. While there is work, a step begins when the one before it was due to
//! end, so that a late wake-up delays one step's tokens and not all that follow.

mod message;

pub(crate) use message::{Command, Event, StorageWait, TokenEvent};

use crate::{
    config::Config,
    meters::{LoraInUse, Meters},
    pace,
    roofline::Roofline,
    sched::{AdapterLoad, Fetch, RequestId, Scheduler, StepPlan},
    storage::{
        StorageError,
        adapters::{AdapterEvent, Loader, Registered},
        tier::{OpenTier, Outcome, Tier},
        weights::PagedWeights,
    },
};
use clock::MonoNs;
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

/// A step this late was held up by the machine, not by a timer: time is anchored anew, lest a
/// burst of steps with no time between them follows.
const LATE: Duration = Duration::from_millis(50);

/// The stepper's surroundings.
pub(crate) struct Surroundings {
    pub(crate) meters: Arc<Meters>,
    /// Weights that each step pages in.
    pub(crate) paged: Option<PagedWeights>,
    /// Tiers for KV blocks.
    pub(crate) tier: Option<OpenTier>,
    /// Told when the engine can't go on.
    pub(crate) failed: oneshot::Sender<StorageError>,
}

/// Starts the thread.
pub(crate) fn spawn(
    config: &Config,
    surroundings: Surroundings,
) -> Result<(mpsc::Sender<Command>, JoinHandle<()>), StorageError> {
    let (commands, inbox) = mpsc::channel();
    let limits = surroundings.tier.as_ref().map(OpenTier::limits);
    let mut scheduler = Scheduler::new(config.limits(limits));
    let mut tier = None;
    if let Some(open) = surroundings.tier {
        for (hash, slot) in open.left() {
            scheduler.restore(*hash, *slot);
        }
        let commands = commands.clone();
        // Err: the stepper has ended, and what it asked for is of no more use.
        let on_event = move |event| drop(commands.send(Command::Tier(event)));
        tier = Some(open.start(Box::new(on_event))?);
    }
    let mut loader = None;
    if let Some(adapters) = &config.adapters {
        let commands = commands.clone();
        let on_event = move |event| drop(commands.send(Command::Adapter(event)));
        loader = Some(Loader::start(adapters.direct, Box::new(on_event))?);
    }
    let stepper = Stepper {
        scheduler,
        roofline: config.roofline(),
        listeners: HashMap::new(),
        inbox,
        meters: surroundings.meters,
        paged: surroundings.paged,
        tier,
        loader,
        most_adapters: config.adapters.as_ref().map(|a| a.limits.device_slots),
        stalled: true,
    };
    let failed = surroundings.failed;
    let work = move || {
        if let Err(Ended::Failed(error)) = stepper.run() {
            // Err: the server is gone already.
            let _ = failed.send(error);
        }
    };
    let thread = thread::Builder::new()
        .name("stepper".into())
        .spawn(work)
        .map_err(|source| StorageError::Thread {
            what: "step the model",
            source,
        })?;
    Ok((commands, thread))
}

struct Stepper {
    scheduler: Scheduler,
    roofline: Roofline,
    listeners: HashMap<RequestId, Listener>,
    inbox: mpsc::Receiver<Command>,
    meters: Arc<Meters>,
    paged: Option<PagedWeights>,
    tier: Option<Tier>,
    loader: Option<Loader>,
    /// Adapters in a batch at most, if any are served.
    most_adapters: Option<u32>,
    /// Nothing can be computed until a command comes.
    stalled: bool,
}

/// Who waits for a request.
struct Listener {
    events: UnboundedSender<Event>,
    adapter: Option<Arc<Registered>>,
}

/// Why the thread ends.
enum Ended {
    /// It was told to, or nobody is left to tell it anything.
    Stopped,
    /// Storage does not do what serving needs.
    Failed(StorageError),
}

impl Stepper {
    fn run(mut self) -> Result<(), Ended> {
        pace::wake_exactly();
        let mut due = MonoNs::now();
        loop {
            let was_stalled = self.stalled;
            self.take_commands()?;
            let now = MonoNs::now();
            if was_stalled {
                due = now;
            } else if now.since(due) > LATE {
                self.meters.held_up(now.since(due));
                due = now;
            }
            due = self.step(due)?;
        }
    }

    /// Waits for a command if there is nothing else to do, then takes all that are there.
    fn take_commands(&mut self) -> Result<(), Ended> {
        if self.stalled {
            self.publish();
            let command = self.inbox.recv().map_err(|_| Ended::Stopped)?;
            self.obey(command)?;
        }
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.obey(command)?,
                Err(mpsc::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::TryRecvError::Disconnected) => return Err(Ended::Stopped),
            }
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), Ended> {
        match command {
            Command::Submit {
                submission,
                adapter,
                events,
            } => {
                let id = submission.id;
                match self.scheduler.submit(submission) {
                    Ok(()) => drop(self.listeners.insert(id, Listener { events, adapter })),
                    Err(why) => drop(events.send(Event::Refused(why))),
                }
            }
            Command::Cancel(id) => {
                self.scheduler.cancel(id);
                self.listeners.remove(&id);
            }
            Command::Tier(event) => {
                let outcome = self.tier.as_mut().and_then(|tier| tier.handle(event));
                self.note(outcome);
            }
            Command::Adapter(event) => self.note_adapter(event),
            Command::Stop => return Err(Ended::Stopped),
        }
        Ok(())
    }

    /// Does one step that begins at `begin`; returns when the next may begin.
    fn step(&mut self, begin: MonoNs) -> Result<MonoNs, Ended> {
        let mut plan = self.scheduler.plan_step();
        self.move_blocks(mem::take(&mut plan.fetches));
        self.load_adapters(&plan.adapter_loads);
        self.publish();
        self.announce(&plan);
        self.stalled = plan.slices.is_empty();
        if self.stalled {
            return Ok(begin);
        }
        let span = self.roofline.step_time(plan.slices.iter().map(|s| s.work));
        let computed = begin.plus(span);
        let due = self.page_in(&plan, computed)?;
        pace::sleep_until(due);
        self.hand_out(&plan, due);
        self.move_blocks(Vec::new());
        Ok(due)
    }

    /// Has the tier begin what the scheduler decided: copies first, since a fetch may be of one.
    fn move_blocks(&mut self, fetches: Vec<Fetch>) {
        for store in self.scheduler.take_stores() {
            let outcome = self.tier.as_mut().and_then(|tier| tier.store(store));
            self.note(outcome);
        }
        if let Some(tier) = &mut self.tier {
            fetches.into_iter().for_each(|fetch| tier.fetch(fetch));
        }
    }

    fn note(&mut self, outcome: Option<Outcome>) {
        match outcome {
            None => {}
            Some(Outcome::Stored { hash, ok }) => self.scheduler.stored(hash, ok),
            Some(Outcome::Fetched(fetched)) => {
                self.scheduler
                    .fetched(fetched.id, fetched.good, &fetched.bad);
                let waited = StorageWait {
                    bytes: fetched.disk_bytes,
                    wait: fetched.took,
                };
                self.tell(fetched.id, Event::Waited(waited));
            }
        }
    }

    fn load_adapters(&self, loads: &[AdapterLoad]) {
        for load in loads {
            let listener = self.listeners.get(&load.id);
            let adapter = listener.and_then(|listener| listener.adapter.clone());
            if let (Some(loader), Some(adapter)) = (&self.loader, adapter) {
                loader.read(adapter, load.evicted);
            }
        }
    }

    fn note_adapter(&mut self, event: AdapterEvent) {
        let ok = event.result.is_ok();
        let outcome = self.scheduler.adapter_loaded(event.adapter, ok);
        match event.result {
            Ok(read) => {
                self.meters.adapter_read(read);
                let waited = StorageWait {
                    bytes: read.file_bytes,
                    wait: read.took,
                };
                for id in outcome.resumed {
                    self.tell(id, Event::Waited(waited));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "requests for an adapter can't be served");
                let error = Arc::new(error);
                for id in outcome.failed {
                    self.tell(id, Event::Failed(Arc::clone(&error)));
                    self.listeners.remove(&id);
                }
            }
        }
    }

    fn publish(&self) {
        let tier = self.tier.as_ref().map(Tier::counts);
        let lora = self.most_adapters.map(|most| self.lora_in_use(most));
        self.meters.publish(self.scheduler.tally(), tier, lora);
    }

    fn lora_in_use(&self, most: u32) -> LoraInUse {
        let running: HashSet<_> = self.scheduler.running().iter().collect();
        let mut lora = LoraInUse {
            most,
            ..LoraInUse::default()
        };
        for (id, listener) in &self.listeners {
            let Some(adapter) = &listener.adapter else {
                continue;
            };
            let names = if running.contains(id) {
                &mut lora.running
            } else {
                &mut lora.waiting
            };
            if !names.contains(&adapter.name) {
                names.insert(adapter.name.clone());
            }
        }
        lora
    }

    /// Pages in the weights for a step whose computing ends at `computed`. Computing goes on
    /// beside it, so the step ends when both have.
    fn page_in(&mut self, plan: &StepPlan, computed: MonoNs) -> Result<MonoNs, Ended> {
        let Some(paged) = &mut self.paged else {
            return Ok(computed);
        };
        let new_tokens = plan.slices.iter().map(|s| s.work.new_tokens).sum();
        let bytes = paged.page_in(new_tokens).map_err(Ended::Failed)?;
        let done = MonoNs::now();
        let wait = done.since(computed);
        // Finding pages that are there takes time too, but that is not storage's.
        if bytes > 0 {
            self.meters.paged(bytes, wait);
            for slice in &plan.slices {
                self.tell(slice.id, Event::Waited(StorageWait { bytes, wait }));
            }
        }
        Ok(computed.max(done))
    }

    /// Gives out what a step brought that was due at `due`.
    fn hand_out(&mut self, plan: &StepPlan, due: MonoNs) {
        let emissions = self.scheduler.finish_step(plan);
        let at = MonoNs::now();
        for emission in emissions {
            let event = Event::Token(TokenEvent {
                at,
                index: emission.index,
                token: emission.token,
                finish: emission.finish,
            });
            self.tell(emission.id, event);
            if emission.finish.is_some() {
                self.listeners.remove(&emission.id);
            }
        }
        self.meters.step(at.since(due));
    }

    fn announce(&self, plan: &StepPlan) {
        let at = MonoNs::now();
        for admission in plan.admitted.iter().filter(|a| a.first) {
            let cached_tokens = admission.cached_tokens;
            self.tell(admission.id, Event::Admitted { at, cached_tokens });
        }
        for id in &plan.preempted {
            self.tell(*id, Event::Preempted);
        }
    }

    fn tell(&self, id: RequestId, event: Event) {
        if let Some(listener) = self.listeners.get(&id) {
            // A connection that is gone cancels its request itself.
            let _ = listener.events.send(event);
        }
    }
}
