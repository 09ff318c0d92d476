//! Reading a session's runs: what is there is used, what is not becomes a note.

use crate::{
    HostMeans, Moved, Note, SmartDelta, Stalls, Steady,
    at_once::at_once,
    chunks::Chunks,
    cohort::Cohort,
    requests::{Request, Requests},
    stalls::{Fences, Gathering},
    strip::Strip,
    timeline::{Bins, CpuTimeline, RunTimeline},
};
use clock::SessionNs;
use record::{
    ChunkNs, Effect, Gate, Interval, Read, RecordError, RunDir, RunId, RunManifest, RunState,
    ServerRow, Session, Telemetry,
};

/// What a run left behind, reduced to what the figures need.
pub(crate) struct RunEvidence {
    pub(crate) id: RunId,
    pub(crate) manifest: Option<RunManifest>,
    pub(crate) cohort: Option<Cohort>,
    pub(crate) host: HostMeans,
    pub(crate) moved: Moved,
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
            moved: Moved::default(),
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
        self.manifest.as_ref().is_some_and(is_invalid)
    }
}

fn is_invalid(manifest: &RunManifest) -> bool {
    let failed = |gate: &Gate| gate.effect == Effect::Invalid && !gate.passed;
    manifest.gates.iter().any(failed)
}

/// Whether a cell will rest on this run alone, as far as the manifests tell.
fn is_alone(run: &RunManifest, all: &[Option<RunManifest>]) -> bool {
    let cell = |it: &RunManifest| (it.phase.clone(), it.users, it.arm.clone());
    let own = cell(run);
    let complete = all
        .iter()
        .flatten()
        .filter(|it| it.state == RunState::Complete);
    let alike = complete.filter(|it| is_invalid(it) == is_invalid(run) && cell(it) == own);
    alike.count() <= 1
}

/// All planned runs, and the CPU's timeline over them.
pub(crate) struct Evidence {
    pub(crate) runs: Vec<RunEvidence>,
    /// Absent where no run's stages are known.
    pub(crate) timeline: Option<CpuTimeline>,
    pub(crate) notes: Vec<Note>,
}

/// So many runs are read at once at most: the rows of each are held until it is reduced.
const AT_ONCE: usize = 4;

/// Reads every run, several at once where there are cores for it.
pub(crate) fn gather(session: &Session) -> Evidence {
    let mut notes = Vec::new();
    let ids = planned(session, &mut notes);
    let dirs: Vec<RunDir> = ids.iter().map(|id| session.dir.run(id)).collect();
    let manifests: Vec<Option<RunManifest>> = dirs
        .iter()
        .zip(&ids)
        .map(|(dir, id)| manifest(session, dir, id, &mut notes))
        .collect();
    let bins = span(&manifests).map(|(start, end)| Bins::covering(start, end));
    let device = &session.manifest.device;
    let device = device.name.as_deref().or(device.partition.as_deref());
    let jobs: Vec<_> = dirs.iter().zip(&ids).zip(&manifests).collect();
    let gathered = at_once(AT_ONCE, &jobs, |((dir, id), manifest)| {
        let reader = Reader {
            session,
            id,
            device,
            is_alone: manifest.as_ref().is_some_and(|it| is_alone(it, &manifests)),
            timeline: bins.map(RunTimeline::new),
            notes: Vec::new(),
        };
        reader.run(dir, manifest.as_ref())
    });
    let mut timeline = bins.map(CpuTimeline::new);
    let mut runs = Vec::with_capacity(gathered.len());
    for run in gathered {
        if let (Some(all), Some(part)) = (&mut timeline, run.timeline) {
            all.add(part);
        }
        notes.extend(run.notes);
        runs.push(run.evidence);
    }
    Evidence {
        runs,
        timeline,
        notes,
    }
}

/// The planned runs, each once.
fn planned<'a>(session: &'a Session, notes: &mut Vec<Note>) -> Vec<&'a RunId> {
    let mut ids: Vec<&RunId> = Vec::new();
    for id in &session.manifest.runs {
        if ids.contains(&id) {
            notes.push(Note::run(
                id,
                "stands twice in session.json; it is counted once",
            ));
        } else {
            ids.push(id);
        }
    }
    ids
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

/// From the first moment of any run, its server's start where that belongs to it, to the last.
fn span(manifests: &[Option<RunManifest>]) -> Option<(SessionNs, SessionNs)> {
    let manifests = || manifests.iter().flatten();
    let stages = || manifests().filter_map(|manifest| manifest.stages);
    let ramps = stages().map(|stages| stages.ramp.start_ns);
    let loads = manifests().filter_map(|manifest| Some(manifest.model_load.as_ref()?.started_ns));
    let start = ramps.chain(loads).min()?;
    let end = stages().map(|stages| stages.drain.end_ns).max()?;
    Some((start, end))
}

/// What one run's files gave.
struct Gathered {
    evidence: RunEvidence,
    timeline: Option<RunTimeline>,
    notes: Vec<Note>,
}

/// Reads one run's files.
struct Reader<'a> {
    session: &'a Session,
    id: &'a RunId,
    device: Option<&'a str>,
    /// Whether it is the only run of its cell.
    is_alone: bool,
    timeline: Option<RunTimeline>,
    notes: Vec<Note>,
}

impl Reader<'_> {
    fn run(mut self, dir: &RunDir, manifest: Option<&RunManifest>) -> Gathered {
        Gathered {
            evidence: self.evidence(dir, manifest),
            timeline: self.timeline,
            notes: self.notes,
        }
    }

    fn evidence(&mut self, dir: &RunDir, manifest: Option<&RunManifest>) -> RunEvidence {
        let device = self.device;
        let mut evidence = RunEvidence::empty(self.id, manifest.cloned());
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
        let measure = &stages.measure;
        let mut requests = if evidence.is_complete() {
            self.requests(dir, measure)
        } else {
            None
        };
        let telemetry = self.telemetry(dir);
        evidence.has_telemetry = telemetry.is_some();
        if let Some(telemetry) = &telemetry {
            evidence.host = HostMeans::over(telemetry, device, measure);
            evidence.moved = Moved::over(telemetry, device);
        }
        if let Some(rows) = self.server(dir) {
            evidence.host.add_server(&rows, measure);
            evidence.moved.add_tiers(&rows);
        }
        if let Some(requests) = &mut requests {
            let (cohort, stalls) = self.cohort(dir, requests, telemetry.as_ref());
            evidence.cohort = Some(cohort);
            evidence.stalls = Some(stalls);
            evidence.steady = self.steady(requests.all());
        }
        if evidence.is_complete() {
            let cohort = evidence.cohort.as_ref();
            evidence.smart = self.smart(dir, cohort.and_then(|it| it.all_output_tokens));
        }
        if telemetry.is_some() || requests.is_some() {
            let requests = requests.as_ref().map_or(&[][..], Requests::all);
            evidence.strip = Some(Strip::of(telemetry.as_ref(), device, requests));
        }
        self.cpu(dir, telemetry.as_ref());
        evidence
    }

    fn cohort(
        &mut self,
        dir: &RunDir,
        requests: &mut Requests,
        telemetry: Option<&Telemetry>,
    ) -> (Cohort, Stalls) {
        let without = "has no arrival times of chunks, so no itl, client lag or tokens per second";
        let chunks = self.whole(Chunks::read(requests, dir), without);
        let chunks = chunks.unwrap_or_default();
        self.check(requests, &chunks);
        let has_chunks = chunks.met > 0;
        let mut cohort = Cohort::new(requests, chunks);
        let mut stalls = Gathering::new(
            Fences::of(&cohort),
            telemetry,
            self.device,
            requests.measure(),
        );
        requests.all().iter().for_each(|it| stalls.first_token(it));
        if has_chunks {
            let take = |request: &Request, chunks: &[ChunkNs]| stalls.gaps(request, chunks);
            let read = cohort.read_again(requests, dir, self.is_alone, take);
            // What is torn has been said.
            self.sound(
                read,
                "has no intervals of itl and client lag, and not all stalls",
            );
        }
        (cohort, stalls.finish())
    }

    fn cpu(&mut self, dir: &RunDir, telemetry: Option<&Telemetry>) {
        let Some(mut timeline) = self.timeline.take() else {
            return;
        };
        if let Some(telemetry) = telemetry {
            timeline.add_total(telemetry);
        }
        let read = dir.visit_cores(|row| timeline.push(&row));
        if self.whole(read, "has no per-core CPU times").is_none() {
            timeline.forget_cores();
        }
        self.timeline = Some(timeline);
    }

    fn requests(&mut self, dir: &RunDir, measure: &Interval) -> Option<Requests> {
        let mut requests = Requests::new(measure);
        let read = dir.visit_requests(|row| requests.push(&row));
        self.whole(read, "has no requests and so no latencies")?;
        if requests.repeated > 0 {
            self.note(format!(
                "{} rows of requests.csv repeat a request’s number: they are left out",
                requests.repeated
            ));
        }
        if requests.all().is_empty() {
            self.note("holds no request");
        }
        Some(requests)
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

    fn steady(&mut self, requests: &[Request]) -> Option<Steady> {
        let steady = Steady::of(requests)?;
        if let Some(words) = steady.doubt() {
            self.note(words);
        }
        Some(steady)
    }

    fn check(&mut self, requests: &Requests, chunks: &Chunks) {
        let lacking = requests.unmet();
        if lacking > 0 && chunks.met > 0 {
            self.note(format!(
                "{lacking} of its {} requests have no arrival times in tokens.bin",
                requests.all().len()
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
                    self.note(torn.to_string());
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
