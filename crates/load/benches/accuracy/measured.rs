//! One point: the load generator runs against the truth server, and each of its rows is held against
//! what really happened.

use crate::{Point, own_usage, truth::Truth};
use anyhow::{Context, Result};
use clock::SessionClock;
use engine::truth::{RequestTimes, TruthReport};
use load::{LengthModel, Live, Phase, Stop, Timing, Wish, Workload, preflight, run};
use record::{Outcome, RequestRow, RequestTokens, Stage};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, num::NonZeroU32, time::Duration};

/// What came of it. Times are milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Measured requests that were held against the truth.
    pub(crate) requests: usize,
    /// Their tokens.
    pub(crate) tokens: usize,
    /// Of all stages.
    pub(crate) failed: usize,
    pub(crate) clock: String,
    pub(crate) true_ttft: Spread,
    pub(crate) reported_ttft: Spread,
    /// Reported minus true.
    pub(crate) ttft_error: Spread,
    pub(crate) e2e_error: Spread,
    /// From this client's time of sending to the arrival at the server.
    pub(crate) request_way: Spread,
    /// From just before the server's send to this client's kernel: of every token.
    pub(crate) token_way: Spread,
    /// Tokens that came in one read with the next, and have its stamp.
    pub(crate) share_a_stamp: usize,
    /// From the kernel to user space: not in the figures, because the kernel stamps.
    pub(crate) client_lag: Spread,
    pub(crate) cpu_us_per_token: f64,
    /// Of the thread that does the socket work.
    pub(crate) socket_cpu_us_per_token: f64,
    /// The most that the process had, this bench's rows included.
    pub(crate) memory_bytes: u64,
    /// The truth server's own limits.
    pub(crate) server: ServerLimits,
}

/// How far the truth can be trusted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServerLimits {
    pub(crate) cpu_us_per_token: f64,
    pub(crate) slow_sends: u64,
    pub(crate) longest_send_ms: f64,
    pub(crate) latest_ms: f64,
    pub(crate) blocked_sends: u64,
}

/// Quantiles of one figure.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let rank = |q: f64| (values.len() as f64 * q).ceil() as usize;
        let quantile = |q| values.get(rank(q).saturating_sub(1)).copied();
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| quantile(q).unwrap_or(f64::NAN));
        Self { p50, p99, max }
    }
}

/// Finds this client's requests in the truth server's report.
const SALT: u64 = 5;

type Rows = Vec<(RequestRow, RequestTokens)>;

pub(crate) fn measure(point: Point) -> Result<Measured> {
    let truth = Truth::start(&point)?;
    let target = preflight(&Wish::new(format!("http://{}", truth.address).parse()?))?;
    let clock = SessionClock::start();
    let mut rows = Rows::new();
    let (cpu_before, _) = own_usage()?;
    let report = run(
        &target,
        &phase(point)?,
        clock,
        &Live::default(),
        &Stop::default(),
        |row, tokens| rows.push((row, tokens)),
    )?;
    let (cpu_after, memory_bytes) = own_usage()?;
    let truth = truth.report()?;
    let chunks: usize = rows.iter().map(|(_, tokens)| tokens.chunks.len()).sum();
    let per_chunk = |cpu: Duration| cpu.as_secs_f64() * 1e6 / chunks as f64;
    let pairs = Pairs::find(&rows, &truth, clock);
    Ok(Measured {
        requests: pairs.ttft_error.len(),
        tokens: pairs.token_way.len(),
        failed: rows.iter().filter(|(row, _)| has_failed(row)).count(),
        clock: report.clock.name().to_owned(),
        true_ttft: Spread::of(pairs.true_ttft),
        reported_ttft: Spread::of(pairs.reported_ttft),
        ttft_error: Spread::of(pairs.ttft_error),
        e2e_error: Spread::of(pairs.e2e_error),
        request_way: Spread::of(pairs.request_way),
        token_way: Spread::of(pairs.token_way),
        share_a_stamp: pairs.share_a_stamp,
        client_lag: Spread::of(pairs.client_lag),
        cpu_us_per_token: per_chunk(cpu_after - cpu_before),
        socket_cpu_us_per_token: per_chunk(report.cpu),
        memory_bytes,
        server: ServerLimits {
            cpu_us_per_token: truth.cpu_us as f64 / truth.tokens as f64,
            slow_sends: truth.slow_sends,
            longest_send_ms: truth.max_send_ns as f64 / 1e6,
            latest_ms: truth.max_late_ns as f64 / 1e6,
            blocked_sends: truth.blocked_sends,
        },
    })
}

fn phase(point: Point) -> Result<Phase> {
    let timing = Timing {
        ramp: Point::RAMP,
        warmup: Point::WARMUP,
        measure: point.measure(),
        drain_limit: Duration::from_secs(60),
        request_deadline: Duration::from_secs(60),
    };
    let users = NonZeroU32::new(point.users).context("at least one user is needed")?;
    let workload = Workload::new(100, point.tokens(), 1, SALT);
    let lengths = LengthModel::guess();
    Ok(Phase::closed(
        users,
        Duration::ZERO,
        timing,
        workload,
        lengths,
    ))
}

fn has_failed(row: &RequestRow) -> bool {
    !matches!(row.outcome, Outcome::Ok | Outcome::Unfinished)
}

/// Reported and true, request by request and token by token.
#[derive(Default)]
struct Pairs {
    true_ttft: Vec<f64>,
    reported_ttft: Vec<f64>,
    ttft_error: Vec<f64>,
    e2e_error: Vec<f64>,
    request_way: Vec<f64>,
    token_way: Vec<f64>,
    client_lag: Vec<f64>,
    share_a_stamp: usize,
}

impl Pairs {
    fn find(rows: &Rows, truth: &TruthReport, clock: SessionClock) -> Self {
        let by_id: HashMap<&str, &RequestTimes> = truth
            .requests
            .iter()
            .filter_map(|times| Some((times.id.as_deref()?, times)))
            .collect();
        let mut pairs = Self::default();
        for (row, tokens) in rows.iter().filter(|(row, _)| row.stage == Stage::Measure) {
            let id = format!("{SALT:016x}-{}", row.request);
            if let Some(times) = by_id.get(id.as_str()) {
                // A request that failed has no end, and is counted as such.
                let _ = pairs.add(row, tokens, times, clock);
            }
        }
        pairs
    }

    fn add(
        &mut self,
        row: &RequestRow,
        tokens: &RequestTokens,
        times: &RequestTimes,
        clock: SessionClock,
    ) -> Option<()> {
        let (first, last) = (times.token_ns.first()?, times.token_ns.last()?);
        let (ttft, e2e) = (ms(row.ttft?), ms(row.e2e?));
        let true_ttft = ms(first.since(times.arrival_ns));
        self.true_ttft.push(true_ttft);
        self.reported_ttft.push(ttft);
        self.ttft_error.push(ttft - true_ttft);
        self.e2e_error.push(e2e - ms(last.since(times.arrival_ns)));
        let same = tokens
            .chunks
            .windows(2)
            .filter(|two| two[0].arrival == two[1].arrival);
        self.share_a_stamp += same.count();
        let sent = clock.mono(row.sent);
        self.request_way.push(ms(times.arrival_ns.since(sent)));
        for (chunk, token) in tokens.chunks.iter().zip(&times.token_ns) {
            let arrival = sent.plus(chunk.arrival);
            // Signed: the two may be stamped out of order within the clocks' resolution.
            self.token_way
                .push((arrival.0 as f64 - token.0 as f64) / 1e6);
            self.client_lag.extend(chunk.lag.map(ms));
        }
        Some(())
    }
}

pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
