//! What the server says of itself within an interval.

use crate::{HostFigure, HostMeans, host::Mean};
use record::{CommonMetric, Interval, Metric, ServerRow};

impl HostMeans {
    /// Adds the server's own figures over an interval.
    pub(crate) fn add_server(&mut self, rows: &[ServerRow], interval: &Interval) {
        let of = |metric: CommonMetric| {
            rows.iter().filter(move |row| {
                row.metric == Metric::Common(metric)
                    && interval.contains(row.t)
                    && row.value.is_finite()
            })
        };
        for (figure, metric) in [
            (HostFigure::ServerRunning, CommonMetric::Running),
            (HostFigure::ServerWaiting, CommonMetric::Waiting),
        ] {
            let (sum, over) =
                of(metric).fold((0.0, 0.0), |(sum, over), row| (sum + row.value, over + 1.0));
            self.set(figure, (over > 0.0).then_some(Mean { sum, over }), 1.0);
        }
        let mut onboard = of(CommonMetric::OnboardBytes);
        let ends = onboard
            .next()
            .and_then(|first| Some((first, onboard.next_back()?)));
        let moved = ends.map(|(first, last)| Mean {
            sum: last.value - first.value,
            over: (last.t - first.t) as f64 / 1e9,
        });
        // A counter that fell began anew with the server: what it had cannot be told.
        self.set(
            HostFigure::KvOnboardMbS,
            moved.filter(|mean| mean.sum >= 0.0),
            1e-6,
        );
    }
}
