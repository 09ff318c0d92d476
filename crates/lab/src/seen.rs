//! What a run that has ended left to its gates: in its files, and in its client's report.

use crate::gates::{DriveFacts, HostSeen};
use load::PhaseReport;
use probe::Roots;
use record::{CommonMetric, DeviceUnderTest, Interval, Metric, RunDir, Stages, Telemetry};

/// What its telemetry and its drive say.
pub(crate) fn of_host(
    dir: &RunDir,
    telemetry: &Telemetry,
    stages: &Stages,
    device: &DeviceUnderTest,
    roots: &Roots,
) -> HostSeen {
    // A drive whose log can't be read has none: the run's log says why.
    let smart = dir.read_smart_pre().ok().zip(dir.read_smart_post().ok());
    let nvme = device.name.as_deref();
    let nvme = nvme.filter(|name| name.starts_with("nvme"));
    let facts = nvme.map(|name| DriveFacts {
        name,
        warning_c: probe::device::warning_c(roots, name),
        smart: smart.as_ref().map(|(pre, post)| (&pre.log, &post.log)),
    });
    HostSeen::of(telemetry, stages, facts.as_ref())
}

/// The last that the server said of its KV pool in a run. A server that has no metrics has no file.
pub(crate) fn kv_pool(dir: &RunDir) -> Option<f64> {
    let (rows, _) = dir.read_server().ok()?;
    let mut pools = rows
        .iter()
        .filter(|row| row.metric == Metric::Common(CommonMetric::KvPool));
    pools.next_back().map(|row| row.value)
}

/// CPU time of the client's socket thread, over the whole phase.
pub(crate) fn client_cpu_pct(report: &PhaseReport) -> Option<f64> {
    let whole = Interval {
        start_ns: report.stages.ramp.start_ns,
        end_ns: report.stages.drain.end_ns,
    };
    let seconds = whole.seconds();
    (seconds > 0.0).then(|| 100.0 * report.cpu.as_secs_f64() / seconds)
}
