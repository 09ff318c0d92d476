//! Writing a session as it is measured, and opening one that was.

use crate::{
    Column, CoreRow, FORMAT, MemoryBack, RecordError, RequestRow, RequestTokens, RunDir,
    RunManifest, SessionDir, SessionManifest, Summary, Telemetry, TelemetryRow, TokenFrame, Torn,
    Verdict, cpu, requests, telemetry, tokens,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// What a file held, and its torn tail if it had one.
pub type Read<T> = Result<(T, Option<Torn>), RecordError>;

/// A session on disk.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its folder.
    pub dir: SessionDir,
    /// Its `session.json`.
    pub manifest: SessionManifest,
}

impl Session {
    /// Makes a new session's folder and writes its manifest. A folder that is there is refused:
    /// no session writes over another.
    pub fn create(dir: SessionDir, manifest: SessionManifest) -> Result<Self, RecordError> {
        if let Some(parent) = dir.path().parent() {
            fs::create_dir_all(parent).map_err(RecordError::io(parent, "make the folder"))?;
        }
        fs::create_dir(dir.path()).map_err(RecordError::io(dir.path(), "make the folder"))?;
        let runs = dir.runs();
        fs::create_dir(&runs).map_err(RecordError::io(&runs, "make the folder"))?;
        let session = Self { dir, manifest };
        write_json(&session.dir.manifest(), &session.manifest)?;
        Ok(session)
    }

    /// Opens the session in this folder. A link, such as `results/latest`, is followed.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let path = fs::canonicalize(path).map_err(RecordError::io(path, "open"))?;
        let dir = SessionDir::new(path);
        if !dir.manifest().is_file() {
            return Err(RecordError::NoSession {
                path: dir.path().to_owned(),
            });
        }
        let manifest = read_json(&dir.manifest())?;
        Ok(Self { dir, manifest })
    }

    /// Writes the verdict into `session.json`, in one step.
    pub fn write_verdict(&mut self, verdict: Verdict) -> Result<(), RecordError> {
        self.manifest.verdict = Some(verdict);
        write_json(&self.dir.manifest(), &self.manifest)
    }

    /// Writes into `session.json` what became of the memory of the server that it has stopped, in one
    /// step.
    pub fn write_memory_back(&mut self, memory: MemoryBack) -> Result<(), RecordError> {
        self.manifest.memory_back = Some(memory);
        write_json(&self.dir.manifest(), &self.manifest)
    }

    /// The folders of the planned runs, in the order of the plan, whether they were begun or not.
    pub fn run_dirs(&self) -> impl Iterator<Item = RunDir> {
        self.manifest.runs.iter().map(|id| self.dir.run(id))
    }

    /// Points `latest`, beside the session's folder, at it. Anything else of that name is left
    /// alone and refused.
    pub fn make_latest(&self) -> Result<(), RecordError> {
        let Some(results) = self.dir.path().parent() else {
            return Ok(());
        };
        let link = results.join("latest");
        let fresh = results.join(format!(".latest-{}", self.dir.name()));
        match fs::symlink_metadata(&link) {
            Ok(found) if !found.is_symlink() => {
                let foreign = std::io::Error::from(ErrorKind::AlreadyExists);
                return Err(RecordError::io(&link, "replace what is no link")(foreign));
            }
            _ => {}
        }
        std::os::unix::fs::symlink(self.dir.name(), &fresh)
            .map_err(RecordError::io(&fresh, "make the link"))?;
        fs::rename(&fresh, &link).map_err(RecordError::io(&link, "replace the link"))
    }
}

impl RunDir {
    /// Makes the run's folder and writes its manifest.
    pub fn create(&self, manifest: &RunManifest) -> Result<(), RecordError> {
        fs::create_dir(self.path()).map_err(RecordError::io(self.path(), "make the folder"))?;
        self.write_manifest(manifest)
    }

    /// Writes `manifest.json`, in one step: a kill leaves the old or the new one.
    pub fn write_manifest(&self, manifest: &RunManifest) -> Result<(), RecordError> {
        write_json(&self.manifest(), manifest)
    }

    /// Writes `summary.json`, in one step.
    pub fn write_summary(&self, summary: &Summary) -> Result<(), RecordError> {
        write_json(&self.summary(), summary)
    }

    /// Reads `manifest.json`.
    pub fn read_manifest(&self) -> Result<RunManifest, RecordError> {
        read_json(&self.manifest())
    }

    /// Reads `requests.csv`.
    pub fn read_requests(&self) -> Read<Vec<RequestRow>> {
        let mut rows = Vec::new();
        let ((), torn) = self.visit_requests(|row| rows.push(row))?;
        Ok((rows, torn))
    }

    /// Gives the rows of `requests.csv` one after the other, and holds none of them. What was
    /// given before an error is of a damaged file.
    pub fn visit_requests(&self, visit: impl FnMut(RequestRow)) -> Read<()> {
        requests::visit(&self.requests(), visit)
    }

    /// Reads `tokens.bin`.
    pub fn read_tokens(&self) -> Read<Vec<RequestTokens>> {
        let mut requests = Vec::new();
        let ((), torn) = self.visit_tokens(|frame| requests.push(frame.into()))?;
        Ok((requests, torn))
    }

    /// Gives the frames of `tokens.bin` one after the other, and holds none of them. What was
    /// given before an error is of a damaged file.
    pub fn visit_tokens(&self, visit: impl FnMut(TokenFrame)) -> Read<()> {
        tokens::visit(&self.tokens(), visit)
    }

    /// Reads `telemetry.csv`.
    pub fn read_telemetry(&self) -> Read<Telemetry> {
        telemetry::read(&self.telemetry())
    }

    /// Reads `cpu.csv`.
    pub fn read_cores(&self) -> Read<Vec<CoreRow>> {
        let mut rows = Vec::new();
        let ((), torn) = self.visit_cores(|row| rows.push(row))?;
        Ok((rows, torn))
    }

    /// Gives the rows of `cpu.csv` one after the other, and holds none of them. What was given
    /// before an error is of a damaged file.
    pub fn visit_cores(&self, visit: impl FnMut(CoreRow)) -> Read<()> {
        cpu::visit(&self.cpu(), visit)
    }
}

/// Appends a run's requests as they end.
pub struct RunWriter {
    requests: Appender,
    tokens: Appender,
}

impl RunWriter {
    /// Begins the files in the run's folder.
    pub fn create(run: &RunDir) -> Result<Self, RecordError> {
        let header = requests::HEADER.join(",") + "\n";
        Ok(Self {
            requests: Appender::create(run.requests(), header.as_bytes())?,
            tokens: Appender::create(run.tokens(), tokens::MAGIC)?,
        })
    }

    /// Appends a request that has ended. Its chunks go first: a row in `requests.csv` always has
    /// them, whenever a kill comes.
    pub fn request(&mut self, row: &RequestRow, chunks: &RequestTokens) -> Result<(), RecordError> {
        self.tokens.append(|frame| tokens::append(chunks, frame))?;
        self.requests.append(|line| requests::append(row, line))
    }
}

/// Appends a run's telemetry as it is sampled.
pub struct TelemetryWriter {
    telemetry: Appender,
    cpu: Appender,
}

impl TelemetryWriter {
    /// Begins the files in this folder, a run's or one of its own.
    pub fn create(folder: &Path, columns: &[Column]) -> Result<Self, RecordError> {
        let run = RunDir(folder.to_owned());
        let cpu_header = cpu::HEADER.join(",") + "\n";
        Ok(Self {
            telemetry: Appender::create(run.telemetry(), &telemetry::header(columns))?,
            cpu: Appender::create(run.cpu(), cpu_header.as_bytes())?,
        })
    }

    /// Appends a tick: all probes' row, and every core's.
    pub fn tick(&mut self, row: &TelemetryRow, cores: &[CoreRow]) -> Result<(), RecordError> {
        self.telemetry.append(|line| telemetry::append(row, line))?;
        self.cpu
            .append(|lines| cores.iter().for_each(|core| cpu::append(core, lines)))
    }
}

/// A file that only grows, a whole row in each `write`, through one reused buffer.
pub(crate) struct Appender {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl Appender {
    pub(crate) fn create(path: PathBuf, header: &[u8]) -> Result<Self, RecordError> {
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(RecordError::io(&path, "create"))?;
        file.write_all(header)
            .map_err(RecordError::io(&path, "write"))?;
        Ok(Self {
            path,
            file,
            buffer: Vec::with_capacity(4096),
        })
    }

    pub(crate) fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), RecordError> {
        self.buffer.clear();
        fill(&mut self.buffer);
        self.file
            .write_all(&self.buffer)
            .map_err(RecordError::io(&self.path, "write"))
    }
}

/// Writes a file by way of a new one beside it, so that no reader and no kill sees half of it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let json = |source| RecordError::Json {
        path: path.to_owned(),
        source,
    };
    let mut text = serde_json::to_vec_pretty(value).map_err(json)?;
    text.push(b'\n');
    write_whole(path, &text)
}

/// Writes a file that can be made again, such as a figure: by way of a new one beside it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let fresh = path.with_extension("new");
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&fresh, path)
    };
    write().map_err(RecordError::io(path, "write"))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RecordError> {
    let text = fs::read(path).map_err(RecordError::io(path, "read"))?;
    let json = |source| RecordError::Json {
        path: path.to_owned(),
        source,
    };
    // The version is looked at first: another version's fields are not this one's faults.
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(json)?;
    if let Some(found) = value.get("format").and_then(serde_json::Value::as_u64)
        && found != u64::from(FORMAT)
    {
        return Err(RecordError::Version {
            path: path.to_owned(),
            found,
            expected: FORMAT,
        });
    }
    serde_json::from_slice(&text).map_err(json)
}
