//! A server that is ours to start and stop, as a process of its own.

use crate::{
    LabError,
    memory_back::{self, Memory},
};
use clock::MonoNs;
use load::{ApiKey, Stop};
use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, killpg},
    },
    unistd::Pid,
};
use plan::{Lifecycle, Variant};
use probe::Roots;
use record::MemoryBack;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// The server. Dropping it ends it, and all that it started.
pub(crate) struct ManagedServer {
    /// As the target says.
    own: Lifecycle,
    /// As it is started: its own, or a variant.
    lifecycle: Lifecycle,
    /// Where it will listen.
    addresses: Vec<SocketAddr>,
    log: PathBuf,
    /// What its log may not show.
    api_key: Option<ApiKey>,
    running: Option<Running>,
    /// What memory there was before it was started.
    before: Option<Memory>,
}

struct Running {
    child: Child,
    first_line: Arc<OnceLock<MonoNs>>,
}

impl ManagedServer {
    /// A server that does not run yet. All its lines are kept in `log`, less the key.
    pub(crate) fn new(
        lifecycle: Lifecycle,
        addresses: Vec<SocketAddr>,
        log: &Path,
        api_key: Option<ApiKey>,
    ) -> Self {
        Self {
            own: lifecycle.clone(),
            lifecycle,
            addresses,
            log: log.to_owned(),
            api_key,
            running: None,
            before: None,
        }
    }

    /// How it is started and stopped.
    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// From its next start on it is this variant.
    pub(crate) fn vary(&mut self, variant: &Variant) {
        self.lifecycle = self.own.varied(variant);
    }

    /// Starts it. Whether it answers is another question; refused where something answers already,
    /// which would be measured in its place.
    pub(crate) fn start(&mut self) -> Result<(), LabError> {
        self.none_answers()?;
        let failed = |source| LabError::ServerStart {
            command: self.lifecycle.start.join(" "),
            source,
        };
        let log = File::options().append(true).create(true).open(&self.log);
        let log = Arc::new(log.map_err(failed)?);
        self.before = Memory::now(&Roots::default());
        let mut child = command(&self.lifecycle.start)
            .envs(&self.lifecycle.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let first_line = Arc::new(OnceLock::new());
        let key = self.api_key.as_ref();
        keep(child.stdout.take(), &log, &first_line, key);
        keep(child.stderr.take(), &log, &first_line, key);
        self.running = Some(Running { child, first_line });
        Ok(())
    }

    /// What is stopped may go on listening for a moment.
    fn none_answers(&self) -> Result<(), LabError> {
        const MOMENT: Duration = Duration::from_secs(2);
        let asked = Instant::now();
        let answers = |address: &&SocketAddr| {
            TcpStream::connect_timeout(address, Duration::from_secs(1)).is_ok()
        };
        while let Some(address) = self.addresses.iter().find(answers) {
            if asked.elapsed() > MOMENT {
                return Err(LabError::AddressTaken { address: *address });
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The error of a server that has ended. What it said last may still be on its way into its log.
    pub(crate) fn ended(&self) -> LabError {
        thread::sleep(Duration::from_millis(100));
        LabError::ServerEnded {
            last_words: self.last_words(),
        }
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// When it said its first line since it was started.
    pub(crate) fn first_line(&self) -> Option<MonoNs> {
        self.running.as_ref()?.first_line.get().copied()
    }

    /// Whether what was started still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        let running = self.running.as_mut();
        running.is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// The last line of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").to_owned()
    }

    /// Moves its log; it goes on writing to it.
    pub(crate) fn move_log(&mut self, place: &Path) {
        // On failure the log stays where it is: found there, if anyone needs it.
        if fs::rename(&self.log, place).is_ok() {
            self.log = place.to_owned();
        }
    }

    /// Ends it, and waits until its memory is available again. None where it did not run, or the
    /// kernel does not say.
    pub(crate) fn stop_and_wait(&mut self, stop: &Stop) -> Option<MemoryBack> {
        self.running.as_ref()?;
        self.stop();
        let limit = self.lifecycle.memory_limit.0;
        memory_back::wait(self.before?, limit, &Roots::default(), stop)
    }

    /// Asks it to end, waits, and then ends it and all that it started.
    pub(crate) fn stop(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        let group = Pid::from_raw(running.child.id().cast_signed());
        match &self.lifecycle.stop {
            // What can't be asked is ended below.
            Some(stop) => drop(command(stop).stdin(Stdio::null()).output()),
            None => drop(killpg(group, Signal::SIGTERM)),
        }
        let asked = Instant::now();
        let mut gone = false;
        while !gone && asked.elapsed() < self.lifecycle.stop_limit.0 {
            // The first has ended, and nobody of its group is left.
            gone = !matches!(running.child.try_wait(), Ok(None))
                && killpg(group, None) == Err(Errno::ESRCH);
            thread::sleep(Duration::from_millis(10));
        }
        let _ = killpg(group, Signal::SIGKILL);
        let _ = running.child.wait();
    }
}

impl Drop for ManagedServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command of its own group, so that Ctrl-C in a terminal is for us alone, and so that it can be
/// ended with all that it starts.
pub(crate) fn command(words: &[String]) -> Command {
    let (program, args) = words
        .split_first()
        .map_or(("", words), |(program, args)| (program.as_str(), args));
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    // Killed, we can't stop it any more: the kernel does (prctl(2), PR_SET_PDEATHSIG).
    let with_us = || prctl::set_pdeathsig(Some(Signal::SIGTERM)).map_err(io::Error::from);
    #[expect(unsafe_code, reason = "the only way to a child's own settings")]
    // SAFETY: between fork and exec only a system call is made; it allocates nothing and takes no
    // lock.
    unsafe {
        command.pre_exec(with_us);
    }
    command
}

/// Appends what the server says to its log, until it says no more. Reads on whatever happens, so
/// that it never blocks on a full pipe.
fn keep(
    said: Option<impl Read + Send + 'static>,
    log: &Arc<File>,
    first_line: &Arc<OnceLock<MonoNs>>,
    api_key: Option<&ApiKey>,
) {
    let Some(said) = said else { return };
    let (log, first_line) = (Arc::clone(log), Arc::clone(first_line));
    let api_key = api_key.cloned();
    thread::spawn(move || {
        let mut said = BufReader::new(said);
        let mut line = Vec::new();
        while matches!(said.read_until(b'\n', &mut line), Ok(1..)) {
            let _ = first_line.set(MonoNs::now());
            let text = String::from_utf8_lossy(&line).into_owned();
            let kept = ApiKey::hide(api_key.as_ref(), text);
            let _ = (&*log).write_all(kept.as_bytes());
            line.clear();
        }
    });
}
