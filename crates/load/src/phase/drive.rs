//! The socket thread: one runtime, all connections.

use super::{
    Arrivals, Phase, Stop,
    flight::{InFlight, Schedule, Shared, Tally},
    open::Desk,
};
use crate::{
    client::Client, connection::Stamping, live::Live, prompt::Order, target::Target, users::Crowd,
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

pub(super) fn drive(setup: Setup) -> io::Result<Driven> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(runtime::LocalOptions::default())?;
    let _stamping = Stamping::begin();
    runtime.block_on(phase(setup))
}

async fn phase(setup: Setup) -> io::Result<Driven> {
    let (stop, live, clock) = (setup.stop.clone(), setup.live.clone(), setup.clock);
    let arrivals = setup.phase.arrivals.clone();
    let timing = setup.phase.timing;
    let shared = Rc::new(share(setup));
    let mut tasks = JoinSet::new();
    let whole = async {
        match &arrivals {
            &Arrivals::Closed { users, think } => {
                let crowd = Crowd::gather(&shared, users.get(), timing.ramp).await;
                shared.schedule.set(Schedule::new(MonoNs::now(), timing));
                crowd.start(&shared, think, &mut tasks);
                tokio::select! {
                    () = watch(&shared, &live, timing.drain_limit) => {}
                    () = all_ended(&mut tasks), if shared.phase.each.is_some() => shared.drain(),
                }
            }
            Arrivals::Open(open) => {
                let desk = Desk::open(&shared, open).await;
                shared.schedule.set(Schedule::new(MonoNs::now(), timing));
                tokio::select! {
                    () = watch(&shared, &live, timing.drain_limit) => {}
                    failed = desk.serve(&shared, &mut tasks) => return failed,
                }
            }
        }
        Ok(())
    };
    let stopped = tokio::select! {
        done = whole => {
            done?;
            false
        }
        () = stop.stopped() => true,
    };
    // Cuts what is in flight: each request writes its row as it is dropped.
    let end = MonoNs::now();
    tasks.shutdown().await;
    Ok(Driven {
        stages: stages(clock, shared.schedule.get(), end),
        tally: shared.tally.take(),
        cpu: thread_cpu()?,
        stopped,
    })
}

fn share(setup: Setup) -> Shared {
    Shared {
        client: Client::new(&setup.target, setup.live.clone()),
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

/// Users end of themselves where they ask a number of times.
async fn all_ended(users: &mut JoinSet<()>) {
    while users.join_next().await.is_some() {}
}

pub(crate) async fn sleep_until(time: MonoNs) {
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
