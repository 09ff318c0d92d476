//! Memory and storage over time, for the figures that lay requests beside them.

use crate::{Metric, requests::Request, stats::millis};
use clock::SessionNs;
use record::{Column, Device, Host, Outcome, Telemetry};

/// At most so many points a run and series.
const MOST_POINTS: usize = 240;

/// A run's series over session time, thinned to what a figure can show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strip {
    /// Memory available and cached, in bytes.
    pub(crate) available: Series,
    pub(crate) cached: Series,
    /// File and anonymous refaults, a second.
    pub(crate) refaults: Series,
    /// Major faults, a second.
    pub(crate) majfaults: Series,
    /// Bytes read from the device, a second.
    pub(crate) reads: Series,
    /// Waits for I/O, in percent of time.
    pub(crate) psi_io: Series,
    /// Sent when, first token after how many milliseconds.
    pub(crate) ttft: Series,
}

/// Seconds of session time and values.
pub(crate) type Series = Vec<(f64, f64)>;

impl Strip {
    pub(crate) fn of(
        telemetry: Option<&Telemetry>,
        device: Option<&str>,
        requests: &[Request],
    ) -> Self {
        let ttft = first_tokens(requests);
        match telemetry {
            Some(telemetry) => Self {
                ttft,
                ..Self::of_host(telemetry, device)
            },
            None => Self {
                ttft,
                ..Self::default()
            },
        }
    }

    fn of_host(telemetry: &Telemetry, device: Option<&str>) -> Self {
        let ticks = Thinned(telemetry);
        let host = |field| Column::Host(field);
        let reads = device
            .map(|device| Column::Device(device.to_owned(), Device::ReadBytes))
            .map(|column| ticks.rate(&[column], 1.0));
        Self {
            available: ticks.gauge(&host(Host::MemAvailableBytes)),
            cached: ticks.gauge(&host(Host::MemCachedBytes)),
            refaults: ticks.rate(
                &[
                    host(Host::WorkingsetRefaultFilePages),
                    host(Host::WorkingsetRefaultAnonPages),
                ],
                1.0,
            ),
            majfaults: ticks.rate(&[host(Host::PgmajfaultCount)], 1.0),
            reads: reads.unwrap_or_default(),
            psi_io: ticks.rate(&[host(Host::PsiIoSomeUs)], 1e-4),
            ttft: Series::new(),
        }
    }
}

/// Of many requests evenly spread ones, and always the slowest tenth of a percent.
fn first_tokens(requests: &[Request]) -> Series {
    let ok = requests.iter().filter(|it| it.outcome == Outcome::Ok);
    let point = |it: &Request| Some((it.sent.as_secs_f64(), millis(it.span_ns(Metric::Ttft)?)));
    let mut all: Series = ok.filter_map(point).collect();
    let every = all.len().div_ceil(MOST_POINTS).max(1);
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The slowest of each group: thinning must not hide a tail.
    let slowest = |group: &[(f64, f64)]| group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    all.chunks(every).filter_map(slowest).collect()
}

struct Thinned<'a>(&'a Telemetry);

impl Thinned<'_> {
    /// Every so many ticks, and the last.
    fn steps(&self) -> impl Iterator<Item = (usize, usize)> {
        let n = self.0.len();
        let every = n.div_ceil(MOST_POINTS).max(1);
        (0..n.saturating_sub(1))
            .step_by(every)
            .map(move |from| (from, (from + every).min(n - 1)))
    }

    fn time(&self, index: usize) -> SessionNs {
        self.0.times()[index]
    }

    fn gauge(&self, column: &Column) -> Series {
        let Some(series) = self.0.series(column) else {
            return Series::new();
        };
        // A probe that reads at some ticks only is absent at the others.
        let first = |(from, to): (usize, usize)| {
            (from..to).find_map(|at| Some((self.time(at).as_secs_f64(), series.get(at)?)))
        };
        self.steps().filter_map(first).collect()
    }

    /// How fast the sum of counters grows between two ticks; a step back is left out.
    fn rate(&self, columns: &[Column], scale: f64) -> Series {
        let series: Vec<_> = columns.iter().filter_map(|it| self.0.series(it)).collect();
        let at = |index: usize| -> Option<f64> { series.iter().map(|it| it.get(index)).sum() };
        if series.is_empty() {
            return Series::new();
        }
        let step = |(from, to): (usize, usize)| {
            let seconds = (self.time(to) - self.time(from)) as f64 / 1e9;
            let moved = at(to)? - at(from)?;
            let middle = (self.time(from).as_secs_f64() + self.time(to).as_secs_f64()) / 2.0;
            (seconds > 0.0 && moved >= 0.0).then_some((middle, moved * scale / seconds))
        };
        self.steps().filter_map(step).collect()
    }
}
