//! A run's requests, reduced to what its figures need.

use crate::Metric;
use clock::SessionNs;
use record::{Interval, Outcome, RequestRow, Stage, StampSource, TokenFrame};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// One request. Ten million of them must fit into memory.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its number in the run.
    pub(crate) number: u64,
    pub(crate) sent: SessionNs,
    pub(crate) stage: Stage,
    pub(crate) outcome: Outcome,
    pub(crate) output_tokens: Option<u32>,
    /// Whether it says that chunks came.
    has_chunks: bool,
    /// Whether its frame has been met.
    is_met: bool,
    /// Which it is of the cohort: those of the measured interval, whatever became of them.
    pub(crate) cohort: u32,
    /// By [`Metric`], in nanoseconds.
    spans: [u64; SPANS],
}

/// How many metrics have one value a request; those with several follow them.
const SPANS: usize = 6;

/// No such span.
const ABSENT: u64 = u64::MAX;

/// The metrics with one value a request.
pub(crate) const OF_REQUESTS: [Metric; SPANS] = [
    Metric::Ttfb,
    Metric::Ttft,
    Metric::Ttfa,
    Metric::E2e,
    Metric::Tpot,
    Metric::Queue,
];

impl Request {
    fn of(row: &RequestRow, cohort: u32) -> Self {
        let span = |metric: Metric| metric.of_request(row).map_or(ABSENT, nanos);
        Self {
            number: row.request,
            sent: row.sent,
            stage: row.stage,
            outcome: row.outcome,
            output_tokens: row.output_tokens,
            has_chunks: row.chunks > 0,
            is_met: false,
            cohort,
            spans: OF_REQUESTS.map(span),
        }
    }

    /// Whether its latencies count.
    pub(crate) fn counts(&self) -> bool {
        self.stage == Stage::Measure && self.outcome == Outcome::Ok
    }

    /// The value of a metric that has one a request, in nanoseconds.
    pub(crate) fn span_ns(&self, metric: Metric) -> Option<u64> {
        let index = OF_REQUESTS.iter().position(|it| *it == metric)?;
        Some(self.spans[index]).filter(|span| *span != ABSENT)
    }
}

/// The numbers that were met: a bit each, since a run counts its requests from 0, but for those far
/// beyond what a run has sent.
#[derive(Debug, Default)]
struct Seen {
    bits: Vec<u64>,
    beyond: HashSet<u64>,
}

impl Seen {
    /// A hundred million requests: 16 MB.
    const BITS: u64 = 1 << 27;

    /// Whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        if number >= Self::BITS {
            return self.beyond.insert(number);
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_new
    }
}

/// A span that is longer than five hundred years is none.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(ABSENT)
}

/// The requests of a run, in the order in which they ended.
#[derive(Debug)]
pub(crate) struct Requests {
    all: Vec<Request>,
    pub(crate) cohort: u32,
    measure: Interval,
    pub(crate) ended_ok_within: u64,
    /// Output tokens of all requests, whatever their stage; absent if any that ended well has no
    /// count.
    pub(crate) output_tokens: Option<f64>,
    /// The worst clock that stamped any of the cohort.
    pub(crate) clock: StampSource,
    /// How many rows repeat the number of one before; they are left out.
    pub(crate) repeated: usize,
    seen: Seen,
    /// Where a frame's request is, where frames do not come in the order of the rows.
    places: Option<HashMap<u64, usize>>,
    next: usize,
}

impl Requests {
    pub(crate) fn new(measure: &Interval) -> Self {
        Self {
            all: Vec::new(),
            cohort: 0,
            measure: *measure,
            ended_ok_within: 0,
            output_tokens: Some(0.0),
            clock: StampSource::Kernel,
            repeated: 0,
            seen: Seen::default(),
            places: None,
            next: 0,
        }
    }

    /// Takes the next row.
    pub(crate) fn push(&mut self, row: &RequestRow) {
        if !self.seen.insert(row.request) {
            self.repeated += 1;
            return;
        }
        if row.outcome == Outcome::Ok && self.measure.contains(row.ended) {
            self.ended_ok_within += 1;
        }
        if row.outcome == Outcome::Ok || row.output_tokens.is_some() {
            let sum = self.output_tokens.zip(row.output_tokens);
            self.output_tokens = sum.map(|(sum, more)| sum + f64::from(more));
        }
        self.all.push(Request::of(row, self.cohort));
        if row.stage == Stage::Measure {
            self.cohort += 1;
            self.clock = self.clock.max(row.clock);
        }
    }

    pub(crate) fn all(&self) -> &[Request] {
        &self.all
    }

    /// The measured interval.
    pub(crate) fn measure(&self) -> &Interval {
        &self.measure
    }

    /// Forgets which frames were met: the file is read from its beginning.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
        self.all
            .iter_mut()
            .for_each(|request| request.is_met = false);
    }

    /// The request that a frame belongs to. A frame without a row is of a run that was cut off: its
    /// request is not known to have ended, and it is left out; so is a second one of one request.
    pub(crate) fn meet(&mut self, frame: &TokenFrame) -> Option<&Request> {
        let expected = self.all.get(self.next);
        let place = if expected.is_some_and(|it| it.number == frame.request) {
            self.next
        } else {
            let all = self.all.iter().enumerate();
            let places = self
                .places
                .get_or_insert_with(|| all.map(|(at, it)| (it.number, at)).collect());
            *places.get(&frame.request)?
        };
        self.next = place + 1;
        let request = &mut self.all[place];
        (!std::mem::replace(&mut request.is_met, true)).then_some(&*request)
    }

    /// How many had chunks and were not met.
    pub(crate) fn unmet(&self) -> usize {
        let unmet = |it: &&Request| it.has_chunks && !it.is_met;
        self.all.iter().filter(unmet).count()
    }
}
