//! `run.log`: what was worth telling of a run, a line each, as it happens.

use clock::SessionClock;
use record::{RecordError, RunDir};
use std::{
    fmt::Display,
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
};

pub(crate) struct RunLog {
    path: PathBuf,
    file: File,
    clock: SessionClock,
}

impl RunLog {
    pub(crate) fn create(run: &RunDir, clock: SessionClock) -> Result<Self, RecordError> {
        let path = run.log();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|source| io(&path, source))?;
        Ok(Self { path, file, clock })
    }

    /// Appends a line, with the session's time before it.
    pub(crate) fn tell(&mut self, line: impl Display) -> Result<(), RecordError> {
        let at = self.clock.now().as_secs_f64();
        // A server's words may hold line breaks: a line stays a line.
        let line = line.to_string().replace(['\n', '\r'], " ");
        let text = format!("{at:12.6} s  {line}\n");
        self.file
            .write_all(text.as_bytes())
            .map_err(|source| io(&self.path, source))
    }
}

fn io(path: &std::path::Path, source: std::io::Error) -> RecordError {
    RecordError::Io {
        path: path.to_owned(),
        action: "write",
        source,
    }
}
