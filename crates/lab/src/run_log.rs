//! `run.log`: what was worth telling of a run, a line each, as it happens.

use clock::SessionClock;
use load::PhaseReport;
use probe::Sampled;
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

    /// What the load and the sampler tell of themselves.
    pub(crate) fn tell_all(
        &mut self,
        loaded: &PhaseReport,
        sampled: &Sampled,
    ) -> Result<(), RecordError> {
        for note in &loaded.failures {
            let (kind, words, count) = (note.failure, &note.words, note.count);
            self.tell(format_args!(
                "{count} requests failed ({kind:?}); the first: {words}"
            ))?;
        }
        if loaded.resent > 0 {
            let resent = loaded.resent;
            self.tell(format_args!(
                "{resent} requests were sent again: their idle connection had been closed"
            ))?;
        }
        for fault in &sampled.faults {
            self.tell(fault)?;
        }
        self.tell(format_args!(
            "sampler: {:?}, {} of {} ticks",
            sampled.urgency, sampled.facts.ticks_taken, sampled.facts.ticks_due
        ))?;
        let cpu_s = loaded.cpu.as_secs_f64();
        self.tell(format_args!(
            "load generator: {cpu_s:.3} s of CPU in its socket thread"
        ))
    }
}

fn io(path: &std::path::Path, source: std::io::Error) -> RecordError {
    RecordError::Io {
        path: path.to_owned(),
        action: "write",
        source,
    }
}
