//! What the chunks of a run's requests say, in two passes over them: their values first, then what
//! lies beyond a percentile that is known by then.

use crate::{
    requests::{Request, Requests},
    stats::{
        BatchShares, ClusterBootstrap, ClusterShares, Clustered, Percentile, Pool, REPLICATES,
        SEED, Spans, SpansBuilder, millis,
    },
};
use record::{ChunkNs, Read, RequestTokens, RunDir, Stage, TokenFrame};

/// A metric's 95 % intervals in milliseconds, in the order of [`Percentile::REPORTED`].
pub(crate) type Intervals = [Option<[f64; 2]>; Percentile::REPORTED.len()];

/// Where chunks come from; twice the same.
pub(crate) trait Frames {
    fn visit(&self, visit: impl FnMut(TokenFrame)) -> Read<()>;
}

impl Frames for RunDir {
    fn visit(&self, visit: impl FnMut(TokenFrame)) -> Read<()> {
        self.visit_tokens(visit)
    }
}

impl Frames for [RequestTokens] {
    fn visit(&self, mut visit: impl FnMut(TokenFrame)) -> Read<()> {
        let mut chunks: Vec<ChunkNs> = Vec::new();
        for tokens in self {
            chunks.clear();
            chunks.extend(tokens.chunks.iter().copied().map(ChunkNs::from));
            visit(TokenFrame {
                request: tokens.request,
                chunks: &chunks,
            });
        }
        Ok(((), None))
    }
}

/// The values of a metric, and of how many requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) spans: Spans,
    pub(crate) requests: usize,
}

#[derive(Debug, Default)]
struct Taken {
    spans: SpansBuilder,
    requests: usize,
}

impl Taken {
    fn take(&mut self, durations: impl Iterator<Item = u64>) {
        let mut any = false;
        for ns in durations {
            any = true;
            self.spans.push(ns);
        }
        self.requests += usize::from(any);
    }

    fn finish(self) -> Values {
        Values {
            spans: self.spans.finish(),
            requests: self.requests,
        }
    }
}

/// The first pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    /// How many requests have a frame.
    pub(crate) met: usize,
    /// Output tokens that arrived within the measured interval.
    pub(crate) output_tokens: Option<f64>,
    pub(crate) itl: Values,
    pub(crate) client_lag: Values,
}

impl Chunks {
    pub(crate) fn read(requests: &mut Requests, frames: &(impl Frames + ?Sized)) -> Read<Self> {
        let mut chunks = Self::default();
        let (mut itl, mut client_lag) = (Taken::default(), Taken::default());
        let measure = *requests.measure();
        requests.rewind();
        let read = frames.visit(|frame| {
            let Some(request) = requests.meet(&frame) else {
                return;
            };
            chunks.met += 1;
            if let Some(share) = share_within(request, frame.chunks, &measure) {
                let tokens = request.output_tokens.map(|usage| f64::from(usage) * share);
                chunks.output_tokens = match (chunks.output_tokens, tokens) {
                    (Some(sum), Some(more)) => Some(sum + more),
                    (sum, more) => sum.or(more),
                };
            }
            if request.stage == Stage::Measure {
                client_lag.take(lags(frame.chunks));
            }
            if request.counts() {
                itl.take(gaps(frame.chunks));
            }
        });
        let ((), torn) = read?;
        chunks.itl = itl.finish();
        chunks.client_lag = client_lag.finish();
        Ok((chunks, torn))
    }
}

/// The gaps between chunks, in nanoseconds.
pub(crate) fn gaps(chunks: &[ChunkNs]) -> impl Iterator<Item = u64> {
    let gap = |pair: &[ChunkNs]| pair[1].arrival_ns.saturating_sub(pair[0].arrival_ns);
    chunks.windows(2).map(gap)
}

fn lags(chunks: &[ChunkNs]) -> impl Iterator<Item = u64> {
    chunks.iter().filter_map(|chunk| chunk.lag_ns)
}

/// The share of a request's chunks that arrived within the measured interval.
fn share_within(request: &Request, chunks: &[ChunkNs], measure: &record::Interval) -> Option<f64> {
    let within = |chunk: &ChunkNs| {
        let arrival = request.sent.0.saturating_add_unsigned(chunk.arrival_ns);
        measure.contains(clock::SessionNs(arrival))
    };
    let (first, last) = (chunks.first()?, chunks.last()?);
    if within(first) && within(last) {
        return Some(1.0);
    }
    let count = chunks.iter().filter(|chunk| within(chunk)).count();
    Some(count as f64 / chunks.len() as f64)
}

/// A bootstrap of more requests or values takes too long, and has no more to tell than their
/// linearised variance; see [`ClusterShares`].
pub(crate) const MOST_REQUESTS: usize = 5000;
pub(crate) const MOST_VALUES: usize = 1_000_000;

/// The second pass of one metric: how alike values are that follow each other, or belong to one
/// request.
pub(crate) struct Dependence<'a> {
    pool: Pool<'a>,
    /// The percentiles, ascending; the greatest of all where there are too few values for one.
    points: [u64; Percentile::REPORTED.len()],
    batches: BatchShares,
    clusters: [ClusterShares; Percentile::REPORTED.len()],
    /// The values with their requests, for the bootstrap, where they are few.
    held: Option<Vec<(f64, u32)>>,
}

impl<'a> Dependence<'a> {
    /// `is_alone`: whether the run is the only one of its cell, whose intervals rest on it.
    pub(crate) fn new(values: &'a Values, is_alone: bool) -> Self {
        let pool = values.spans.pool();
        let is_held = is_alone && values.requests <= MOST_REQUESTS && pool.len() <= MOST_VALUES;
        Self {
            points: Percentile::REPORTED.map(|it| pool.percentile_ns(it).unwrap_or(u64::MAX)),
            batches: BatchShares::new(pool.len()),
            clusters: Default::default(),
            held: is_held.then(|| Vec::with_capacity(pool.len())),
            pool,
        }
    }

    /// Takes the values of the next request; `cohort` is its number.
    fn take(&mut self, cohort: u32, durations: impl Iterator<Item = u64>) {
        let mut above = [0usize; Percentile::REPORTED.len() + 1];
        for ns in durations {
            let class: usize = self
                .points
                .iter()
                .map(|point| usize::from(ns > *point))
                .sum();
            above[class] += 1;
            self.batches.push(class);
            if let Some(held) = &mut self.held {
                held.push((millis(ns), cohort));
            }
        }
        let all = above.iter().sum();
        let mut below = 0;
        for (index, percentile) in Percentile::REPORTED.into_iter().enumerate() {
            below += above[index];
            self.clusters[index].push(all, below, percentile);
        }
    }

    /// Takes the values of a request of which each has one.
    pub(crate) fn take_one(&mut self, ns: u64) {
        let class = self
            .points
            .iter()
            .map(|point| usize::from(ns > *point))
            .sum();
        self.batches.push(class);
    }

    /// The intervals of values that are alike when they follow each other in time.
    pub(crate) fn in_time(&self) -> Intervals {
        self.intervals(|index, percentile| self.batches.ranks(index, self.pool.len(), percentile))
    }

    /// The intervals of values that are alike when they are of one request.
    pub(crate) fn by_request(self, requests: u32) -> Intervals {
        let Some(held) = self.held else {
            let n = self.pool.len();
            return self.intervals(|at, percentile| self.clusters[at].ranks(n, percentile));
        };
        let bootstrap = ClusterBootstrap::new(vec![requests as usize], REPLICATES, SEED);
        let values = Clustered::new(held);
        let found = bootstrap.intervals(&Percentile::REPORTED.map(|it| (&values, it)));
        let mut found = found.into_iter();
        Percentile::REPORTED.map(|_| found.next().flatten())
    }

    fn intervals(&self, ranks: impl Fn(usize, Percentile) -> Option<(usize, usize)>) -> Intervals {
        let mut index = 0..;
        Percentile::REPORTED.map(|percentile| {
            let (lower, upper) = ranks(index.next()?, percentile)?;
            Some([lower, upper].map(|rank| self.pool.at_rank(rank).map(millis)))
                .and_then(|[low, high]| Some([low?, high?]))
        })
    }
}

/// The second pass.
pub(crate) struct Second<'a> {
    pub(crate) itl: Dependence<'a>,
    pub(crate) client_lag: Dependence<'a>,
}

impl Second<'_> {
    /// Reads the chunks once more, and gives those of the requests that count away.
    pub(crate) fn read(
        &mut self,
        requests: &mut Requests,
        frames: &(impl Frames + ?Sized),
        mut counted: impl FnMut(&Request, &[ChunkNs]),
    ) -> Read<()> {
        requests.rewind();
        frames.visit(|frame| {
            let Some(request) = requests.meet(&frame) else {
                return;
            };
            if request.stage == Stage::Measure {
                self.client_lag.take(request.cohort, lags(frame.chunks));
            }
            if request.counts() {
                self.itl.take(request.cohort, gaps(frame.chunks));
                counted(request, frame.chunks);
            }
        })
    }
}
