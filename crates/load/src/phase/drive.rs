//! The socket thread: one runtime, all connections.

use super::{
    Phase, Stop,
    flight::{InFlight, Schedule, Shared, Tally},
};
use crate::{
    client::Client,
    live::Live,
    prompt::Order,
    target::Target,
    users::{OPEN_LEAD, Seat},
};
use clock::{MonoNs, SessionClock};
use nix::sys::resource::{UsageWho, getrusage};
use record::{Interval, RequestRow, RequestTokens, Stage, Stages};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::mpsc,
    time::Duration,
};
use tokio::{
    runtime,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What the thread is given.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) target: Target,
    pub(super) phase: Phase,
    pub(super) clock: SessionClock,
    pub(super) live: Live,
    pub(super) stop: Stop,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) rows: mpsc::Sender<(RequestRow, RequestTokens)>,
}

/// What it gives back.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) stages: Stages,
    pub(super) tally: Tally,
    pub(super) cpu: Duration,
    pub(super) stopped: bool,
}

/// Connections opened at once: below the usual backlog of a listening socket.
const OPENING_AT_ONCE: usize = 64;

pub(super) fn drive(setup: Setup) -> io::Result<Driven> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(runtime::LocalOptions::default())?;
    runtime.block_on(phase(setup))
}

async fn phase(setup: Setup) -> io::Result<Driven> {
    let (stop, live, clock) = (setup.stop.clone(), setup.live.clone(), setup.clock);
    let timing = setup.phase.timing;
    let users = setup.phase.users.get();
    // Those who join within the lead, all of them where there is no ramp, are ready before it starts.
    let joins = |user: u32| timing.ramp.mul_f64(f64::from(user) / f64::from(users));
    let shared = Rc::new(share(setup));
    let early = (0..users).filter(|&user| joins(user) <= OPEN_LEAD);
    let seats = tokio::select! {
        seats = prepare(&shared, early.collect()) => seats,
        () = stop.stopped() => Vec::new(),
    };
    let start = MonoNs::now();
    let schedule = Schedule::new(start, timing);
    shared.schedule.set(schedule);
    let mut tasks = JoinSet::new();
    let late = seats.len() as u32..users;
    for seat in seats {
        let at = start.plus(joins(seat.user()));
        tasks.spawn_local(join(Rc::clone(&shared), seat, at));
    }
    for user in late {
        let at = start.plus(joins(user));
        tasks.spawn_local(join_late(Rc::clone(&shared), user, at));
    }
    let whole = watch(&shared, &live, timing.drain_limit);
    let stopped = tokio::select! {
        () = whole => false,
        () = stop.stopped() => true,
    };
    // Cuts what is in flight: each request writes its row as it is dropped.
    let end = MonoNs::now();
    tasks.shutdown().await;
    Ok(Driven {
        stages: stages(clock, schedule, end),
        tally: shared.tally.take(),
        cpu: thread_cpu()?,
        stopped,
    })
}

fn share(setup: Setup) -> Shared {
    Shared {
        client: Client::new(&setup.target, setup.live.clone()),
        target: setup.target,
        phase: setup.phase,
        orders: setup.orders,
        clock: setup.clock,
        live: setup.live,
        rows: setup.rows,
        schedule: Cell::new(Schedule::NEVER),
        next_request: Cell::new(0),
        measured: InFlight::default(),
        tally: RefCell::default(),
    }
}

/// Opens the connections and has the first requests written, before any time counts.
async fn prepare(shared: &Rc<Shared>, users: Vec<u32>) -> Vec<Seat> {
    let permits = Rc::new(Semaphore::new(OPENING_AT_ONCE));
    let mut tasks = JoinSet::new();
    for user in users {
        let (shared, permits) = (Rc::clone(shared), Rc::clone(&permits));
        tasks.spawn_local(async move {
            // Nobody closes the semaphore, so there is always a permit to wait for.
            let _permit = permits.acquire().await;
            let mut seat = Seat::new(user);
            seat.prepare(&shared).await;
            seat
        });
    }
    tasks.join_all().await
}

/// A user that is ready, and waits for its time to join.
async fn join(shared: Rc<Shared>, seat: Seat, at: MonoNs) {
    sleep_until(at).await;
    seat.ask_for_ever(shared).await;
}

/// A user that gets ready shortly before it joins.
async fn join_late(shared: Rc<Shared>, user: u32, at: MonoNs) {
    sleep(at.since(MonoNs::now()).saturating_sub(OPEN_LEAD)).await;
    let mut seat = Seat::new(user);
    seat.prepare(&shared).await;
    join(shared, seat, at).await;
}

/// Goes with the stages to the end of the drain.
async fn watch(shared: &Shared, live: &Live, drain_limit: Duration) {
    let Schedule {
        ramp,
        warmup,
        measure,
        drain,
    } = shared.schedule.get();
    let begins = [
        (ramp, Stage::Ramp),
        (warmup, Stage::Warmup),
        (measure, Stage::Measure),
        (drain, Stage::Drain),
    ];
    for (begin, stage) in begins {
        sleep_until(begin).await;
        live.enter(stage);
    }
    // Beyond the limit, what has not ended is cut and recorded as unfinished.
    let _ = timeout(drain_limit, shared.measured.none()).await;
}

async fn sleep_until(time: MonoNs) {
    let left = time.since(MonoNs::now());
    // Sleeping for no time takes a tick of the timer.
    if !left.is_zero() {
        sleep(left).await;
    }
}

/// The stages as they were: a phase that was stopped ends in the midst of one.
fn stages(clock: SessionClock, schedule: Schedule, end: MonoNs) -> Stages {
    let interval = |start: MonoNs, stop: MonoNs| Interval {
        start_ns: clock.at(start.min(end)),
        end_ns: clock.at(stop.min(end)),
    };
    Stages {
        ramp: interval(schedule.ramp, schedule.warmup),
        warmup: interval(schedule.warmup, schedule.measure),
        measure: interval(schedule.measure, schedule.drain),
        drain: interval(schedule.drain, end),
    }
}

fn thread_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let times = [usage.user_time(), usage.system_time()];
    // CPU times are not negative.
    let micros = times
        .iter()
        .map(|time| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64)
        .sum();
    Ok(Duration::from_micros(micros))
}
