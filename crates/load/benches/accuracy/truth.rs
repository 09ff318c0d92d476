//! The truth server in a process of its own, and the way to its report.

use crate::{Point, myself, pin, read_line};
use anyhow::{Context, Result};
use engine::truth::{self, TruthConfig, TruthReport};
use std::{
    io::{BufReader, Read, Write, stdin, stdout},
    net::SocketAddr,
    process::{Child, ChildStdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// A running truth server. Dropped, it is ended.
pub(crate) struct Truth {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Truth {
    pub(crate) fn start(point: &Point) -> Result<Self> {
        let mut child = myself("truth")?.spawn()?;
        let output = child.stdout.take().context("no pipe from the server")?;
        let mut output = BufReader::new(output);
        let input = child.stdin.as_mut().context("no pipe to the server")?;
        writeln!(input, "{}", serde_json::to_string(point)?)?;
        let address = read_line(&mut output)?.trim().parse();
        Ok(Self {
            child,
            output,
            address: address.context("the truth server did not start")?,
        })
    }

    /// Stops the server and takes what it saw.
    pub(crate) fn report(mut self) -> Result<TruthReport> {
        // It stops when its input ends.
        drop(self.child.stdin.take());
        let mut json = Vec::new();
        self.output.read_to_end(&mut json)?;
        self.child.wait()?;
        Ok(serde_json::from_slice(&json)?)
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the input ends, then prints the report.
pub(crate) fn serve(point: Point) -> Result<()> {
    // The thread that waits for the input's end must not be on the server's CPU's account: it
    // sleeps all the time.
    pin(point.server_cpu)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    thread::spawn(move || {
        let _ = stdin().lock().read_to_end(&mut Vec::new());
        stopper.store(true, SeqCst);
    });
    let config = TruthConfig {
        token_gap: point.token_gap(),
        cpu: Some(point.server_cpu),
        ..TruthConfig::default()
    };
    let ready = |address| println!("{address}");
    let report = truth::serve(&config, ready, &stop)?;
    Ok(serde_json::to_writer(stdout().lock(), &report)?)
}
