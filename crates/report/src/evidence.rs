//! Reading a session's runs: what is there is used, what is not becomes a note.

use crate::{
    HostMeans, Note, SmartDelta, Stalls, Steady,
    cohort::Cohort,
    strip::Strip,
    timeline::{Bins, CpuTimeline},
};
use clock::SessionNs;
use record::{
    Effect, Read, RecordError, RequestRow, RequestTokens, RunDir, RunId, RunManifest, RunState,
    ServerRow, Session, Telemetry,
};

/// What a run left behind, reduced to what the figures need.
pub(crate) struct RunEvidence {
    pub(crate) id: RunId,
    pub(crate) manifest: Option<RunManifest>,
    pub(crate) cohort: Option<Cohort>,
    pub(crate) host: HostMeans,
    pub(crate) has_telemetry: bool,
    pub(crate) stalls: Option<Stalls>,
    pub(crate) smart: Option<SmartDelta>,
    /// From which request on the latencies look settled, of how many.
    pub(crate) steady: Option<Steady>,
    /// What the memory figure draws.
    pub(crate) strip: Option<Strip>,
}

impl RunEvidence {
    fn empty(id: &RunId, manifest: Option<RunManifest>) -> Self {
        Self {
            id: id.clone(),
            cohort: None,
            host: HostMeans::default(),
            has_telemetry: false,
            stalls: None,
            smart: None,
            steady: None,
            strip: None,
            manifest,
        }
    }

    /// Whether the run was measured to its end, so that its figures can be pooled.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.manifest.as_ref().map(|manifest| &manifest.state);
        state == Some(&RunState::Complete)
    }

    /// Whether a gate that decides validity failed.
    pub(crate) fn is_invalid(&self) -> bool {
        self.manifest
            .iter()
            .flat_map(|manifest| &manifest.gates)
            .any(|gate| gate.effect == Effect::Invalid && !gate.passed)
    }
}

/// All planned runs, and the CPU's timeline over them.
pub(crate) struct Evidence {
    pub(crate) runs: Vec<RunEvidence>,
    /// Absent where no run's stages are known.
    pub(crate) timeline: Option<CpuTimeline>,
    pub(crate) notes: Vec<Note>,
}

/// Reads every run, one after the other: no more than one run's rows are held at once.
pub(crate) fn gather(session: &Session) -> Evidence {
    let mut notes = Vec::new();
    let dirs: Vec<RunDir> = session.run_dirs().collect();
    let manifests: Vec<Option<RunManifest>> = dirs
        .iter()
        .zip(&session.manifest.runs)
        .map(|(dir, id)| manifest(session, dir, id, &mut notes))
        .collect();
    let mut timeline =
        span(&manifests).map(|(start, end)| CpuTimeline::new(Bins::covering(start, end)));
    let device = &session.manifest.device;
    let device = device.name.as_deref().or(device.partition.as_deref());
    let runs = dirs
        .iter()
        .zip(&session.manifest.runs)
        .zip(manifests)
        .map(|((dir, id), manifest)| {
            let mut reader = Reader {
                session,
                id,
                notes: &mut notes,
            };
            reader.run(dir, manifest, device, timeline.as_mut())
        })
        .collect();
    Evidence {
        runs,
        timeline,
        notes,
    }
}

fn manifest(
    session: &Session,
    dir: &RunDir,
    id: &RunId,
    notes: &mut Vec<Note>,
) -> Option<RunManifest> {
    if !dir.path().is_dir() {
        notes.push(Note::run(id, "was planned but not run"));
        return None;
    }
    let manifest = match dir.read_manifest() {
        Ok(manifest) => manifest,
        Err(error) => {
            notes.push(Note::run(
                id,
                format!("left out: {}", within(session, &error)),
            ));
            return None;
        }
    };
    let left_out = "its rows are kept but enter no figure";
    match &manifest.state {
        RunState::Complete => {}
        RunState::Running => notes.push(Note::run(id, format!("was cut off; {left_out}"))),
        RunState::Interrupted => notes.push(Note::run(id, format!("was interrupted; {left_out}"))),
        RunState::Failed(why) => {
            notes.push(Note::run(id, format!("failed: {why}; {left_out}")));
        }
    }
    Some(manifest)
}

/// From the first moment of any run to the last.
fn span(manifests: &[Option<RunManifest>]) -> Option<(SessionNs, SessionNs)> {
    let stages = || {
        manifests
            .iter()
            .flatten()
            .filter_map(|manifest| manifest.stages)
    };
    let start = stages().map(|stages| stages.ramp.start_ns).min()?;
    let end = stages().map(|stages| stages.drain.end_ns).max()?;
    Some((start, end))
}

/// Reads one run's files.
struct Reader<'a> {
    session: &'a Session,
    id: &'a RunId,
    notes: &'a mut Vec<Note>,
}

impl Reader<'_> {
    fn run(
        &mut self,
        dir: &RunDir,
        manifest: Option<RunManifest>,
        device: Option<&str>,
        timeline: Option<&mut CpuTimeline>,
    ) -> RunEvidence {
        let mut evidence = RunEvidence::empty(self.id, manifest);
        let Some(stages) = evidence
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.stages)
        else {
            if evidence.is_complete() {
                self.note("its manifest names no stages: it has no figures");
            }
            return evidence;
        };
        let requests = if evidence.is_complete() {
            self.requests(dir)
        } else {
            None
        };
        let telemetry = self.telemetry(dir);
        evidence.has_telemetry = telemetry.is_some();
        if let Some(telemetry) = &telemetry {
            evidence.host = HostMeans::over(telemetry, device, &stages.measure);
        }
        let measure = &stages.measure;
        if let Some(rows) = self.server(dir) {
            evidence.host.add_server(&rows, measure);
        }
        if let Some((rows, tokens)) = &requests {
            let cohort = Cohort::gather(rows, tokens, measure);
            let host = telemetry.as_ref();
            evidence.stalls = Some(Stalls::find(rows, tokens, &cohort, host, device, measure));
            evidence.steady = self.steady(rows);
            evidence.cohort = Some(cohort);
        }
        if evidence.is_complete() {
            let cohort = evidence.cohort.as_ref();
            evidence.smart = self.smart(dir, cohort.and_then(|it| it.all_output_tokens));
        }
        if let Some(telemetry) = &telemetry {
            let rows = requests.as_ref().map_or(&[][..], |(rows, _)| rows);
            evidence.strip = Some(Strip::of(telemetry, device, rows));
        }
        if let Some(timeline) = timeline {
            self.cpu(dir, telemetry.as_ref(), timeline);
        }
        evidence
    }

    fn cpu(&mut self, dir: &RunDir, telemetry: Option<&Telemetry>, timeline: &mut CpuTimeline) {
        if let Some(telemetry) = telemetry {
            timeline.add_total(telemetry);
        }
        let cores = self.whole(dir.read_cores(), "has no per-core CPU times");
        timeline.add_cores(cores.as_deref().unwrap_or_default());
    }

    fn requests(&mut self, dir: &RunDir) -> Option<(Vec<RequestRow>, Vec<RequestTokens>)> {
        let rows = self.whole(dir.read_requests(), "has no requests and so no latencies")?;
        let tokens = self.whole(
            dir.read_tokens(),
            "has no arrival times of chunks, so no itl, client lag or tokens per second",
        );
        let tokens = tokens.unwrap_or_default();
        self.check(&rows, &tokens);
        Some((rows, tokens))
    }

    /// Servers that tell nothing of themselves leave no file: that is no fault.
    fn server(&mut self, dir: &RunDir) -> Option<Vec<ServerRow>> {
        let there = dir.server().exists();
        there.then(|| self.whole(dir.read_server(), "has no figures of the server’s own"))?
    }

    /// Without privileges there are no snapshots: that is no fault.
    fn smart(&mut self, dir: &RunDir, output_tokens: Option<f64>) -> Option<SmartDelta> {
        if !dir.smart_pre().exists() && !dir.smart_post().exists() {
            return None;
        }
        let pre = self.sound(dir.read_smart_pre(), "has no SMART difference")?;
        let post = self.sound(dir.read_smart_post(), "has no SMART difference")?;
        match SmartDelta::between(&pre, &post, output_tokens) {
            Ok(delta) => Some(delta),
            Err(why) => {
                self.note(why);
                None
            }
        }
    }

    fn sound<T>(&mut self, read: Result<T, RecordError>, without: &str) -> Option<T> {
        self.whole(read.map(|value| (value, None)), without)
    }

    fn steady(&mut self, rows: &[RequestRow]) -> Option<Steady> {
        let steady = Steady::of(rows)?;
        if let Some(words) = steady.doubt() {
            self.note(words);
        }
        Some(steady)
    }

    fn check(&mut self, rows: &[RequestRow], tokens: &[RequestTokens]) {
        if rows.is_empty() {
            self.note("holds no request");
        }
        let known: std::collections::HashSet<u64> =
            tokens.iter().map(|tokens| tokens.request).collect();
        let lacking = rows
            .iter()
            .filter(|row| row.chunks > 0 && !known.contains(&row.request))
            .count();
        if lacking > 0 && !tokens.is_empty() {
            self.note(format!(
                "{lacking} of its {} requests have no arrival times in tokens.bin",
                rows.len()
            ));
        }
    }

    fn telemetry(&mut self, dir: &RunDir) -> Option<Telemetry> {
        let telemetry = self.whole(dir.read_telemetry(), "has no host figures")?;
        if telemetry.len() < 2 {
            self.note("telemetry.csv holds fewer than two ticks: no host figures");
            return None;
        }
        Some(telemetry)
    }

    /// What a file held. A torn tail and a file that cannot be read become notes.
    fn whole<T>(&mut self, read: Read<T>, without: &str) -> Option<T> {
        match read {
            Ok((value, torn)) => {
                if let Some(torn) = torn {
                    let name = torn.path.file_name().unwrap_or_default().to_string_lossy();
                    self.note(format!(
                        "the last row of {name} was cut off: {} bytes are left out",
                        torn.bytes
                    ));
                }
                Some(value)
            }
            Err(error) => {
                let error = self.within_session(&error);
                self.note(format!("{without}: {error}"));
                None
            }
        }
    }

    /// The error with file names from the session's folder on: a report travels, and says nothing
    /// of where it was made.
    fn within_session(&self, error: &RecordError) -> String {
        within(self.session, error)
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(Note::run(self.id, text));
    }
}

fn within(session: &Session, error: &RecordError) -> String {
    let folder = format!("{}/", session.dir.path().display());
    error.to_string().replace(&folder, "")
}
