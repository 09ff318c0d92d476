//! What is sampled beside the load, and where it is written.

use crate::{LabError, run_log::RunLog, target::ReadyTarget, watch::Trouble};
use clock::SessionClock;
use plan::Plan;
use probe::{
    Latest, Probes, Roots, SampleInterval, Sampler,
    block_latency::{BlockLatency, Latencies},
    gpu,
    metrics::{Format, MetricsUrl, Poller, Source},
    nvme,
};
use record::{
    DeviceUnderTest, RecordError, RunDir, ServerWriter, SmartSnapshot, TelemetryWriter, write_whole,
};
use std::time::Duration;

/// How often the server's own metrics are asked for.
const SERVER_INTERVAL: Duration = Duration::from_secs(1);

/// The sensors of a session.
pub(crate) struct Sensors<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) device: &'a DeviceUnderTest,
    pub(crate) roots: &'a Roots,
    pub(crate) clock: SessionClock,
    /// Where the server counts, beside its own URL.
    pub(crate) metrics: &'a [MetricsUrl],
}

impl Sensors<'_> {
    /// Starts sampling the host into the run's files; `latest` shows the last tick.
    pub(crate) fn start(
        &self,
        dir: &RunDir,
        target: &ReadyTarget,
        trouble: &Trouble,
        latest: &Latest,
    ) -> Result<Sampler, LabError> {
        let mut probes = Probes::open(self.roots, Some(self.device));
        // No driver is the rule on a server without a GPU; the doctor tells.
        if let Ok(gpus) = gpu::find() {
            probes = probes.with_gpus(&gpus);
        }
        if let Some(process) = target.process {
            probes = probes.with_server(self.roots, process);
        }
        let mut writer = TelemetryWriter::create(dir.path(), probes.columns())?;
        let interval = SampleInterval::new(self.plan.telemetry.interval.get())
            .unwrap_or(SampleInterval::DEFAULT);
        let trouble = trouble.clone();
        let mut latest = latest.writer(probes.columns());
        let sink = move |row: &_, cores: &[_]| {
            trouble.note(writer.tick(row, cores));
            latest.note(row, cores);
        };
        Ok(Sampler::start(probes, interval, self.clock, sink)?)
    }

    /// Starts asking the server for its own metrics, if it has any.
    pub(crate) fn poll(
        &self,
        dir: &RunDir,
        target: &ReadyTarget,
        trouble: &Trouble,
    ) -> Result<Option<Poller>, LabError> {
        let sources = self.sources(&target.facts.url);
        if sources.is_empty() {
            return Ok(None);
        }
        let mut writer = ServerWriter::create(dir.path())?;
        let trouble = trouble.clone();
        let sink = move |answer: probe::metrics::Answer<'_>| {
            trouble.note(writer.answer(&answer.rows()));
        };
        // Polled already by someone of ours: theirs is the file then.
        Ok(Poller::start(sources, SERVER_INTERVAL, self.clock, sink).ok())
    }

    /// The places that answer with metrics: of its URL, and those that were named.
    fn sources(&self, url: &str) -> Vec<Source> {
        let source = |url: &MetricsUrl| Source {
            url: url.clone(),
            format: Format::Prometheus,
        };
        let named = self.metrics.iter().map(source);
        let named = named.filter(|source| source.ask().is_ok());
        metrics_of(url).into_iter().chain(named).collect()
    }

    /// Takes the controller's SMART log, where the device under test is an NVMe drive.
    pub(crate) fn smart(
        &self,
        log: &mut RunLog,
        write: impl FnOnce(&SmartSnapshot) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let nvme = self
            .device
            .name
            .as_ref()
            .filter(|name| name.starts_with("nvme"));
        let Some(name) = nvme else { return Ok(()) };
        match nvme::read(self.roots, name) {
            Ok(smart) => write(&SmartSnapshot::new(self.clock.now(), name, smart)),
            Err(error) => log.tell(format_args!("no SMART log: {error}")),
        }
    }
}

/// Every request to a block device, timed by the kernel from here to its end.
pub(crate) struct BlockTimes {
    latency: BlockLatency,
    before: Latencies,
}

impl BlockTimes {
    /// Begins to count. Where that is not possible, `log` says why.
    pub(crate) fn begin(roots: &Roots, log: &mut RunLog) -> Result<Option<Self>, RecordError> {
        let begun = BlockLatency::start(roots).and_then(|latency| {
            let before = latency.read()?;
            Ok(Self { latency, before })
        });
        match begun {
            Ok(times) => Ok(Some(times)),
            Err(error) => {
                log.tell(format_args!("no block latency: {error}"))?;
                Ok(None)
            }
        }
    }

    /// Ends counting, and writes what was counted.
    pub(crate) fn end(self, dir: &RunDir, log: &mut RunLog) -> Result<(), RecordError> {
        match self.latency.read() {
            Ok(after) => {
                let during = after.since(&self.before);
                let json =
                    serde_json::to_vec_pretty(&during).expect("histograms are names and numbers");
                write_whole(&dir.block_latency(), &json)
            }
            Err(error) => log.tell(format_args!("block latency is lost: {error}")),
        }
    }
}

/// The server's metrics, if it answers with some: Prometheus' text, or what trtllm-serve has in the
/// same place.
fn metrics_of(url: &str) -> Option<Source> {
    let source = |format| {
        let url = format!("{url}/metrics").parse().ok()?;
        Some(Source { url, format })
    };
    let formats = [Format::Prometheus, Format::TrtllmIterations];
    let mut sources = formats.into_iter().filter_map(source);
    sources.find(|source| source.ask().is_ok())
}
