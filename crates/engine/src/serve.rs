//! Starting and stopping the server.

use crate::{
    api::{self, Shared},
    config::{Config, ConfigError},
    descriptors::raise_file_limit,
    ledger::Ledger,
    meters::Meters,
    stepper::{self, Command, Surroundings},
    storage::{Storage, StorageError},
};
use axum::{
    Router,
    serve::{Listener, ListenerExt as _, Serve},
};
use std::{
    fmt::Debug,
    future::{Future, IntoFuture as _},
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
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
    /// Storage failed, at the start or while serving.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The stepper thread panicked.
    #[error("the stepper thread panicked, so nothing can be served; this is a fault of the engine")]
    Stepper,
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
    raise_file_limit();
    let address = SocketAddr::new(config.host, config.port);
    let listen = |source| EngineError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;

    let meters = Arc::new(Meters::default());
    let Storage {
        loaded,
        paged,
        tier,
        registry,
        ballast,
    } = open_storage(config.clone()).await?;
    if let Some(loaded) = &loaded {
        meters.loaded(loaded.report);
    }
    let (failed, failure) = oneshot::channel();
    let surroundings = Surroundings {
        meters: Arc::clone(&meters),
        paged,
        tier,
        failed,
    };
    let (commands, thread) = stepper::spawn(&config, surroundings)?;
    // Stops the thread however this function is left.
    let _stop = StopOnDrop {
        commands: commands.clone(),
        thread: Some(thread),
    };
    let grace = config.shutdown_grace;
    let ledger = Ledger::new(config.truth_capacity);
    let app = api::router(Arc::new(Shared::new(
        config, commands, meters, ledger, ballast, registry,
    )));
    let listener = listener.tap_io(|stream| {
        // A token is one small write; it must not wait for the one before it to be acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(%error, "TCP_NODELAY failed; tokens may be held back");
        }
    });
    ready(bound);
    run(axum::serve(listener, app), shutdown, grace, failure).await
}

/// Opens storage, which may read gigabytes, off the runtime's workers.
async fn open_storage(config: Config) -> Result<Storage, StorageError> {
    tokio::task::spawn_blocking(move || Storage::open(&config))
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Serves until the shutdown and its grace are over, or something fails for good.
async fn run<L: Listener<Addr: Debug>>(
    server: Serve<L, Router, Router>,
    shutdown: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
    failure: oneshot::Receiver<StorageError>,
) -> Result<(), EngineError> {
    let (signalled, signal) = oneshot::channel::<()>();
    let server = server.with_graceful_shutdown(async move {
        shutdown.await;
        drop(signalled);
    });
    let out_of_grace = async {
        // Err: the sender is dropped, which is the signal.
        let _ = signal.await;
        time::sleep(grace).await;
    };
    let failed = async {
        // Err: the stepper is gone without having been told to go.
        failure
            .await
            .map_or(EngineError::Stepper, EngineError::from)
    };
    tokio::select! {
        result = server.into_future() => result.map_err(EngineError::Http),
        error = failed => Err(error),
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
