//! The embedded engine as a process of its own: so that its CPU time and its I/O are not the
//! instrument's, and so that it can be measured as any server is.

use crate::LabError;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How to start the engine.
#[derive(Clone, Debug)]
pub struct EngineCommand {
    /// The program: this one.
    pub program: PathBuf,
    /// Its arguments. They must make it take a free port and print `ready URL` on standard output.
    pub args: Vec<OsString>,
}

/// A running engine. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct EngineProcess {
    child: Child,
    url: String,
    log: PathBuf,
}

/// How long the engine may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(5);

impl EngineProcess {
    /// Starts the engine and waits until it listens. What it has to say goes to `log`.
    pub(crate) fn start(command: &EngineCommand, log: &Path) -> Result<Self, LabError> {
        let failed = |source| LabError::EngineStart {
            program: command.program.clone(),
            source,
        };
        let stderr = File::create(log).map_err(failed)?;
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C in a terminal is for us: the engine serves on until the run has ended.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let ready = child.stdout.take().map(ready_line);
        let mut engine = Self {
            child,
            url: String::new(),
            log: log.to_owned(),
        };
        let line = ready.and_then(|ready| ready.recv_timeout(START_LIMIT).ok());
        match line.as_deref().and_then(|line| line.strip_prefix("ready ")) {
            Some(url) => engine.url = url.trim().to_owned(),
            None => return Err(engine.not_ready()),
        }
        Ok(engine)
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last line of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// Moves its log; it goes on writing to it.
    pub(crate) fn move_log(&mut self, place: &Path) {
        // On failure the log stays where it is: found there, if anyone needs it.
        if fs::rename(&self.log, place).is_ok() {
            self.log = place.to_owned();
        }
    }

    /// Whether it still runs.
    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn not_ready(&self) -> LabError {
        LabError::EngineNotReady {
            limit_s: START_LIMIT.as_secs(),
            last_words: self.last_words(),
        }
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        // Asked first, so that it can close its connections and its files; then ended.
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        if self.is_alive() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let asked = Instant::now();
        while self.is_alive() && asked.elapsed() < STOP_LIMIT {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands over the first line, and reads on, so that the engine never blocks on a full pipe.
fn ready_line(stdout: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        if let Some(Ok(line)) = lines.next() {
            let _ = sender.send(line);
        }
        lines.map_while(Result::ok).for_each(drop);
    });
    receiver
}
