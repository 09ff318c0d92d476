//! How late an open loop sends: the schedule is finer than the timers of the system's sleep and of
//! the runtime.

use crate::{
    Point,
    measured::{Spread, ms},
    truth::Truth,
};
use anyhow::Result;
use clock::SessionClock;
use load::{
    LengthModel, Live, OpenLoop, Phase, RatePlan, Source, Spacing, Stop, Timing, Wish, Workload,
    preflight, run,
};
use record::Stage;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Requests a second.
pub(crate) const PER_S: f64 = 500.0;
const TOKENS: u32 = 4;

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lateness {
    pub(crate) requests: usize,
    /// From the schedule's time to the request's sending, in milliseconds.
    pub(crate) queue: Spread,
}

pub(crate) fn measure(point: Point) -> Result<Lateness> {
    let truth = Truth::start(&point)?;
    let target = preflight(&Wish::new(format!("http://{}", truth.address).parse()?))?;
    let timing = Timing {
        ramp: Duration::ZERO,
        warmup: Point::WARMUP,
        measure: point.measure(),
        drain_limit: Duration::from_secs(60),
        request_deadline: Duration::from_secs(60),
    };
    let arrivals = OpenLoop {
        source: Source::Rate(RatePlan::constant(PER_S)?, Spacing::Poisson),
        max_in_flight: None,
    };
    let workload = Workload::new(100, TOKENS, 1, 5);
    let phase = Phase::open(arrivals, timing, workload, LengthModel::guess());
    let mut queue = Vec::new();
    let sink = |row: record::RequestRow, _| {
        if row.stage == Stage::Measure {
            queue.push(ms(row.queue));
        }
    };
    let (live, stop) = (Live::default(), Stop::default());
    run(&target, &phase, SessionClock::start(), &live, &stop, sink)?;
    Ok(Lateness {
        requests: queue.len(),
        queue: Spread::of(queue),
    })
}
