//! `spillpoint engine`: the embedded engine in the foreground.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
};
use engine::{Config, EngineError};
use std::{
    future::Future,
    io::{self, Write},
    net::SocketAddr,
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

pub(crate) fn run(args: cli::Engine) -> Result {
    let config = args.config();
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .or_failed()?;
    let banner = banner(&config);
    runtime.block_on(async {
        let asked = asked_to_end()?;
        let ready = |address| announce(address, &banner);
        match engine::serve(config, ready, asked).await {
            Ok(()) => Ok(Exit::Done),
            Err(error @ EngineError::Config(_)) => Err(Exit::Usage(error.into())),
            Err(error) => Err(Exit::Failed(error.into())),
        }
    })
}

fn banner(config: &Config) -> String {
    format!(
        "spillpoint engine: {} (compute modelled: {}, speed {}; storage is real)",
        config.name(),
        engine::profile::Machine::GB10.name,
        config.speed
    )
}

/// Programs read the first line of standard output, people the banner.
fn announce(address: SocketAddr, banner: &str) {
    // Nobody to read it is no reason not to serve.
    let _ = writeln!(io::stdout(), "ready http://{address}");
    let _ = io::stdout().flush();
    let _ = writeln!(io::stderr(), "{banner}");
}

/// Completes at SIGINT or SIGTERM.
fn asked_to_end() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt()).or_failed()?;
    let mut terminate = signal(SignalKind::terminate()).or_failed()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
