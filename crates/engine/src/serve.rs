//! Starting and stopping the server.

use crate::{
    api::{self, Shared},
    config::{Config, ConfigError},
    ledger::Ledger,
    meters::Meters,
    stepper::{self, Command},
};
use axum::serve::ListenerExt as _;
use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};
use tokio::{net::TcpListener, sync::oneshot, time};

/// Why the engine could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The settings can't work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is taken or not ours.
    #[error("can't listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The stepper thread could not be started.
    #[error("can't start the stepper thread: {0}")]
    Thread(#[source] io::Error),
    /// Accepting connections failed for good.
    #[error("the HTTP server stopped: {0}")]
    Http(#[source] io::Error),
}

/// Serves until `shutdown` completes, then lets requests in flight go on for the grace period.
/// `ready` is called once with the address that is listened on.
pub async fn serve(
    config: Config,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), EngineError> {
    config.check()?;
    let address = SocketAddr::new(config.host, config.port);
    let listen = |source| EngineError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;

    let meters = Arc::new(Meters::default());
    let (commands, thread) =
        stepper::spawn(&config, Arc::clone(&meters)).map_err(EngineError::Thread)?;
    // Stops the thread however this function is left.
    let _stop = StopOnDrop {
        commands: commands.clone(),
        thread: Some(thread),
    };
    let grace = config.shutdown_grace;
    let ledger = Ledger::new(config.truth_capacity);
    let app = api::router(Arc::new(Shared::new(config, commands, meters, ledger)));
    let listener = listener.tap_io(|stream| {
        // A token is one small write; it must not wait for the one before it to be acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(%error, "TCP_NODELAY failed; tokens may be held back");
        }
    });
    ready(bound);

    let (signalled, mut signal) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        shutdown.await;
        drop(signalled);
    });
    let mut server = std::pin::pin!(server.into_future());
    let out_of_grace = async {
        // Err: the sender is dropped, which is the signal.
        let _ = (&mut signal).await;
        time::sleep(grace).await;
    };
    tokio::select! {
        result = &mut server => result.map_err(EngineError::Http),
        () = out_of_grace => Ok(()),
    }
}

struct StopOnDrop {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        // Err: the thread has ended already.
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // It ends after the step it is in. A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}
