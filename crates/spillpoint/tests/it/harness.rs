//! The real binary, in a folder of its own.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use record::Session;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A folder to run in, gone at the end.
pub(crate) struct Workplace(TempDir);

/// How long anything that a test waits for may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

impl Workplace {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary with these arguments, in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spillpoint"));
        command.args(args).current_dir(self.0.path());
        command.env_remove("OPENAI_API_KEY");
        // What it keeps of this machine belongs to the test.
        command.env("XDG_STATE_HOME", self.path("state"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }

    /// Runs the quick variant of a plan to its end; the options' words are apart by spaces.
    pub(crate) fn quick(&self, plan: &str, options: &str) -> Ran {
        let words = ["run", plan, "--quick"].into_iter();
        let args: Vec<&str> = words.chain(options.split_whitespace()).collect();
        self.run(&args)
    }

    /// Starts it, its output kept for later.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The latest session.
    pub(crate) fn latest(&self) -> Session {
        Session::open(&self.path("results/latest")).unwrap()
    }
}

/// What came of it.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn status(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// It ended so, or the test ends with what it said.
    #[track_caller]
    pub(crate) fn ended(self, status: i32) -> Self {
        assert_eq!(self.status(), status, "{}\n{}", self.out(), self.err());
        self
    }
}

/// An engine in the foreground, ended as a person would end it.
pub(crate) struct Engine {
    child: Child,
    pub(crate) url: String,
}

impl Engine {
    pub(crate) fn start(place: &Workplace) -> Self {
        let args = ["engine", "--port", "0", "--speed", "20"];
        let mut child = place.start(&args);
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").unwrap().to_owned();
        Self { child, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn end(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert!(!listens(&self.url));
    }
}

/// Waits until `found` finds something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether something listens there.
pub(crate) fn listens(url: &str) -> bool {
    let address: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
}

/// Whether this is root, who may mount and limit.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs a script in a mount namespace of its own, `$SPILLPOINT` being the binary: whatever it mounts
/// is gone with it.
pub(crate) fn with_mounts(place: &Workplace, script: &str) -> Ran {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]);
    command.env("SPILLPOINT", env!("CARGO_BIN_EXE_spillpoint"));
    command.env("XDG_STATE_HOME", place.path("state"));
    Ran(command.current_dir(place.path("")).output().unwrap())
}
