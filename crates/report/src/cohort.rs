//! The requests of a run that its figures are about, and their values.
//!
//! The cohort is the requests *sent* within the measured interval, followed to their end. Rates
//! count what happened within the interval, whichever request it belongs to.

use crate::{
    Metric,
    chunks::{Chunks, Dependence, Frames, Intervals, Second, Values},
    requests::{OF_REQUESTS, Request, Requests},
    stats::{Pool, Spans, SpansBuilder},
};
use record::{ChunkNs, Outcome, Read, RequestCounts, Stage, StampSource};

/// What the figures of one run rest on.
#[derive(Clone, Debug)]
pub(crate) struct Cohort {
    pub(crate) counts: RequestCounts,
    pub(crate) censored: u64,
    pub(crate) clock: StampSource,
    pub(crate) duration_s: f64,
    pub(crate) ended_ok_within: u64,
    pub(crate) output_tokens: Option<f64>,
    /// Output tokens of all requests, whatever their stage; absent if any that ended well has no
    /// count.
    pub(crate) all_output_tokens: Option<f64>,
    /// By metric, in the order of [`Metric::ALL`].
    measured: [Measured; Metric::ALL.len()],
}

/// A metric's values over a cohort.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) values: Values,
    /// Intervals for values that are alike when they follow each other in time.
    pub(crate) in_time: Intervals,
    /// Intervals for values that are alike when they are of one request; only of metrics with
    /// several a request.
    pub(crate) by_request: Intervals,
}

impl Cohort {
    /// Gathers the cohort of a run from its requests and the first pass over their chunks.
    pub(crate) fn new(requests: &Requests, chunks: Chunks) -> Self {
        let measure = requests.measure();
        let mut cohort = Self {
            counts: RequestCounts::default(),
            censored: 0,
            clock: requests.clock,
            duration_s: measure.seconds(),
            ended_ok_within: requests.ended_ok_within,
            output_tokens: chunks.output_tokens,
            all_output_tokens: requests.output_tokens,
            measured: Default::default(),
        };
        for request in requests.all() {
            if request.stage == Stage::Measure {
                cohort.count(request.outcome);
            }
        }
        for (metric, measured) in OF_REQUESTS.into_iter().zip(of_requests(requests)) {
            cohort.measured[metric as usize] = measured;
        }
        cohort.measured[Metric::Itl as usize].values = chunks.itl;
        cohort.measured[Metric::ClientLag as usize].values = chunks.client_lag;
        cohort
    }

    /// Reads the chunks once more for the intervals of their values; gives those of the requests
    /// that count to `counted`. `is_alone`: whether the run is the only one of its cell.
    pub(crate) fn read_again(
        &mut self,
        requests: &mut Requests,
        frames: &(impl Frames + ?Sized),
        is_alone: bool,
        counted: impl FnMut(&Request, &[ChunkNs]),
    ) -> Read<()> {
        let values = |metric: Metric| &self.measured[metric as usize].values;
        let mut second = Second {
            itl: Dependence::new(values(Metric::Itl), is_alone),
            client_lag: Dependence::new(values(Metric::ClientLag), is_alone),
        };
        let read = second.read(requests, frames, counted)?;
        let cohort = requests.cohort;
        let found = [second.itl, second.client_lag].map(|it| (it.in_time(), it.by_request(cohort)));
        for (metric, (in_time, by_request)) in
            [Metric::Itl, Metric::ClientLag].into_iter().zip(found)
        {
            let measured = &mut self.measured[metric as usize];
            measured.in_time = in_time;
            measured.by_request = by_request;
        }
        Ok(read)
    }

    /// A metric's values and intervals.
    pub(crate) fn measured(&self, metric: Metric) -> &Measured {
        &self.measured[metric as usize]
    }

    /// A metric's values.
    pub(crate) fn pool(&self, metric: Metric) -> Pool<'_> {
        self.spans(metric).pool()
    }

    /// The same, to pool with others.
    pub(crate) fn spans(&self, metric: Metric) -> &Spans {
        &self.measured(metric).values.spans
    }

    fn count(&mut self, outcome: Outcome) {
        self.counts.total += 1;
        let failed = &mut self.counts.failed;
        match outcome {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Refused => failed.refused += 1,
            Outcome::Status => failed.status += 1,
            Outcome::Timeout => failed.timeout += 1,
            Outcome::Truncated => failed.truncated += 1,
            Outcome::Malformed => failed.malformed += 1,
            Outcome::Unfinished => {}
        }
        if matches!(outcome, Outcome::Timeout | Outcome::Unfinished) {
            self.censored += 1;
        }
    }
}

/// The metrics with one value a request, in two passes over the requests for all of them: what
/// takes time here is to fetch millions of requests from memory.
fn of_requests(requests: &Requests) -> [Measured; OF_REQUESTS.len()] {
    let counted = || requests.all().iter().filter(|it| it.counts());
    let mut builders = OF_REQUESTS.map(|_| SpansBuilder::default());
    for request in counted() {
        for (metric, builder) in OF_REQUESTS.into_iter().zip(&mut builders) {
            if let Some(ns) = request.span_ns(metric) {
                builder.push(ns);
            }
        }
    }
    let values = builders.map(|builder| {
        let spans = builder.finish();
        Values {
            requests: spans.len(),
            spans,
        }
    });
    let mut dependences = values.each_ref().map(|it| Dependence::new(it, false));
    for request in counted() {
        for (metric, dependence) in OF_REQUESTS.into_iter().zip(&mut dependences) {
            if let Some(ns) = request.span_ns(metric) {
                dependence.take_one(ns);
            }
        }
    }
    let mut in_time = dependences.map(|it| it.in_time()).into_iter();
    values.map(|values| Measured {
        values,
        in_time: in_time.next().unwrap_or_default(),
        by_request: Intervals::default(),
    })
}
