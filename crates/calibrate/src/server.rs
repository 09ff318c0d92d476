//! The truth server as a process of its own, and both ends of the talk with it.

use crate::CalibrateError;
use engine::truth::{self, TruthConfig, TruthReport};
use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How to start the truth server: a program that calls [`serve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCommand {
    /// The program: usually this one.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// The other end: serves the truth, having written `ready URL` to `output`, until `input` ends.
/// [`run`](crate::run) holds the other end of that, so no server outlives its client, however that ends.
pub fn serve(
    config: &TruthConfig,
    mut input: impl Read + Send + 'static,
    output: &mut impl Write,
) -> Result<(), CalibrateError> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    thread::spawn(move || {
        // An error ends it as well.
        let _ = io::copy(&mut input, &mut io::sink());
        stopped.store(true, Ordering::Relaxed);
    });
    let mut said = Ok(());
    let ready = |address| {
        said = writeln!(output, "ready http://{address}").and_then(|()| output.flush());
    };
    truth::serve(config, ready, &stop)?;
    said.map_err(CalibrateError::Announce)
}

/// A running truth server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How long an answer may take that is tens of megabytes.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(command: &ServerCommand) -> Result<Self, CalibrateError> {
        let failed = |source| CalibrateError::Start {
            program: command.program.clone(),
            source,
        };
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let first = child.stdout.take().map(first_line);
        let said = first.and_then(|first| first.recv_timeout(START_LIMIT).ok());
        let said = said.unwrap_or_default();
        let address = said
            .strip_prefix("ready http://")
            .and_then(|address| address.trim().parse().ok());
        // Ended also if it is not what it should be.
        let mut server = Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        server.address = address.ok_or_else(|| CalibrateError::NotReady {
            program: command.program.clone(),
            limit_s: START_LIMIT.as_secs(),
            said,
        })?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen since the last call.
    pub(crate) fn truth(&self) -> Result<TruthReport, CalibrateError> {
        let fetched = fetch(self.address, "/truth");
        let report = fetched.and_then(|body| Ok(serde_json::from_slice(&body)?));
        report.map_err(|source| CalibrateError::Fetch {
            address: self.address,
            source,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input tells it to stop.
        drop(self.child.stdin.take());
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOP_LIMIT {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands over the first line, and reads on, so that the server never blocks on a full pipe.
fn first_line(stdout: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        if let Some(Ok(line)) = lines.next() {
            // Err: it took too long, and nobody waits any more.
            let _ = sender.send(line);
        }
        lines.map_while(Result::ok).for_each(drop);
    });
    receiver
}

/// The body of an answer whose length is told, as the truth server's are.
fn fetch(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(socket, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let mut answer = BufReader::new(socket);
    let mut length = None;
    loop {
        let mut line = String::new();
        let read = answer.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        if read == 0 || line == "\r\n" {
            break;
        }
    }
    let length: usize = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    Ok(body)
}
