//! The thread that lets modelled time pass: it asks the scheduler what to do, sleeps as long as
//! the model would compute, and hands out what the step brought.
//!
//! Deadlines are absolute. While there is work, a step begins when the one before it was due to
//! end, so that a late wake-up delays one step's tokens and not all that follow.

use crate::{
    config::Config,
    meters::Meters,
    pace,
    reply::Finish,
    roofline::Roofline,
    sched::{RequestId, Scheduler, StepPlan, Submission, Unschedulable},
    token::Token,
};
use clock::MonoNs;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// A step this late was held up by the machine, not by a timer: time is anchored anew, lest a
/// burst of steps with no time between them follows.
const LATE: Duration = Duration::from_millis(50);

/// What connections ask of the stepper.
pub(crate) enum Command {
    /// Serve this and report to `events`.
    Submit {
        submission: Submission,
        events: UnboundedSender<Event>,
    },
    /// Nobody waits for this any more.
    Cancel(RequestId),
    /// End the thread; streams end unfinished.
    Stop,
}

/// What a connection learns about its request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// It will never run.
    Refused(Unschedulable),
    /// It joined a batch.
    Admitted { at: MonoNs, cached_tokens: u32 },
    /// It lost its place.
    Preempted,
    /// A step made its next token.
    Token(TokenEvent),
}

/// A token and when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenEvent {
    pub(crate) at: MonoNs,
    pub(crate) index: u32,
    pub(crate) token: Token,
    pub(crate) finish: Option<Finish>,
}

/// Starts the thread.
pub(crate) fn spawn(
    config: &Config,
    meters: Arc<Meters>,
) -> io::Result<(mpsc::Sender<Command>, JoinHandle<()>)> {
    let (commands, inbox) = mpsc::channel();
    let stepper = Stepper {
        scheduler: Scheduler::new(config.limits()),
        roofline: config.roofline(),
        listeners: HashMap::new(),
        inbox,
        meters,
    };
    let thread = thread::Builder::new()
        .name("stepper".into())
        .spawn(move || stepper.run())?;
    Ok((commands, thread))
}

struct Stepper {
    scheduler: Scheduler,
    roofline: Roofline,
    listeners: HashMap<RequestId, UnboundedSender<Event>>,
    inbox: mpsc::Receiver<Command>,
    meters: Arc<Meters>,
}

/// The thread should end.
struct Stopped;

impl Stepper {
    fn run(mut self) {
        pace::wake_exactly();
        let mut due = MonoNs::now();
        loop {
            let was_idle = self.scheduler.is_idle();
            if self.take_commands().is_err() {
                return;
            }
            let now = MonoNs::now();
            if was_idle || now.since(due) > LATE {
                due = now;
            }
            due = self.step(due);
        }
    }

    /// Waits for a command if there is nothing else to do, then takes all that are there.
    fn take_commands(&mut self) -> Result<(), Stopped> {
        if self.scheduler.is_idle() {
            self.meters.publish(self.scheduler.tally());
            let command = self.inbox.recv().map_err(|_| Stopped)?;
            self.obey(command)?;
        }
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.obey(command)?,
                Err(mpsc::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::TryRecvError::Disconnected) => return Err(Stopped),
            }
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), Stopped> {
        match command {
            Command::Submit { submission, events } => {
                let id = submission.id;
                match self.scheduler.submit(submission) {
                    Ok(()) => drop(self.listeners.insert(id, events)),
                    Err(why) => drop(events.send(Event::Refused(why))),
                }
            }
            Command::Cancel(id) => {
                self.scheduler.cancel(id);
                self.listeners.remove(&id);
            }
            Command::Stop => return Err(Stopped),
        }
        Ok(())
    }

    /// Does one step that begins at `begin`; returns when it was due to end.
    fn step(&mut self, begin: MonoNs) -> MonoNs {
        let plan = self.scheduler.plan_step();
        self.meters.publish(self.scheduler.tally());
        self.announce(&plan);
        if plan.slices.is_empty() {
            return begin;
        }
        let span = self.roofline.step_time(plan.slices.iter().map(|s| s.work));
        let due = begin.plus(span);
        pace::sleep_until(due);
        let emissions = self.scheduler.finish_step(&plan);
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
        due
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
            let _ = listener.send(event);
        }
    }
}
