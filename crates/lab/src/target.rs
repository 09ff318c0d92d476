//! The server under test, found and asked before anything is measured.

use crate::{LabError, Target, server::ManagedServer};
use load::{Api, PreflightError, Wish, preflight};
use probe::{
    Roots,
    server::{self, ServerProcess},
};
use record::TargetFacts;
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// A server that answered, its process where that is known, and its end if it is ours to end.
pub(crate) struct ReadyTarget {
    pub(crate) load: load::Target,
    pub(crate) facts: TargetFacts,
    /// Absent where the server runs on another host, or as another user's.
    pub(crate) process: Option<ServerProcess>,
    pub(crate) managed: Option<ManagedServer>,
    /// How long it took to answer, where it was started.
    pub(crate) start: Option<Duration>,
}

/// How often a server that comes up is asked.
const ASK: Duration = Duration::from_millis(50);

impl ReadyTarget {
    /// Starts the server if it is ours to start, and asks it what it is. `log` is where its lines
    /// go; the file is gone again if the server can't be measured.
    pub(crate) fn resolve(
        target: &Target,
        api: plan::Api,
        roots: &Roots,
        log: &Path,
    ) -> Result<Self, LabError> {
        let mut wish = Wish::new(target.url.clone());
        wish.model = target.model.clone();
        wish.api_key = target.api_key.clone();
        wish.api = spoken(api);
        let (mut managed, began) = (None, Instant::now());
        let load = match target.whose.lifecycle() {
            None => preflight(&wish)?,
            Some(lifecycle) => {
                let key = target.api_key.clone();
                let server = managed.insert(ManagedServer::new(lifecycle.clone(), log, key));
                let up = server.start().and_then(|()| come_up(server, &wish));
                if up.is_err() {
                    // Its last words are in the error.
                    let _ = fs::remove_file(log);
                }
                up?
            }
        };
        let facts = TargetFacts {
            kind: target.whose.kind(),
            url: load.url.to_string(),
            model: load.model.clone(),
            api: load.api.name().to_owned(),
            server: load.server.clone(),
        };
        let mut ready = Self {
            load,
            facts,
            process: None,
            start: managed.as_ref().map(|_| began.elapsed()),
            managed,
        };
        ready.find_process(roots);
        Ok(ready)
    }

    /// Looks for the server's process: again after each start.
    pub(crate) fn find_process(&mut self, roots: &Roots) {
        let address = self.load.address;
        self.process = match self.managed.as_ref().and_then(ManagedServer::pid) {
            Some(pid) => server::by_pid(roots, pid).ok(),
            None if address.ip().is_loopback() => server::listening_on(roots, address.port()).ok(),
            None => None,
        };
    }

    /// Whether the process that was found last still runs; None where none was found.
    pub(crate) fn is_alive(&self, roots: &Roots) -> Option<bool> {
        self.process.map(|process| process.is_alive(roots))
    }

    /// What the server said last, if its lines come to us.
    pub(crate) fn last_words(&self) -> String {
        match &self.managed {
            Some(server) => server.last_words(),
            None => "not known; look at its log".to_owned(),
        }
    }
}

/// Asks until the server answers as a server should, ends, or its time is over.
fn come_up(server: &mut ManagedServer, wish: &Wish) -> Result<load::Target, LabError> {
    let began = Instant::now();
    let limit = server.lifecycle().ready_limit.0;
    loop {
        match preflight(wish) {
            Ok(target) => return Ok(target),
            Err(error) if !may_pass(&error) => return Err(error.into()),
            Err(_) => {}
        }
        if !server.is_running() {
            return Err(LabError::ServerEnded {
                last_words: server.last_words(),
            });
        }
        if began.elapsed() > limit {
            return Err(LabError::ServerNotReady {
                limit,
                last_words: server.last_words(),
            });
        }
        thread::sleep(ASK);
    }
}

/// Whether a server that is coming up may get over it.
fn may_pass(error: &PreflightError) -> bool {
    matches!(
        error,
        PreflightError::Refused { .. }
            | PreflightError::Broken { .. }
            | PreflightError::Loading { .. }
            | PreflightError::NoModels { .. }
            | PreflightError::Timeout { .. }
    )
}

fn spoken(api: plan::Api) -> Option<Api> {
    match api {
        plan::Api::Auto => None,
        plan::Api::Completions => Some(Api::Completions),
        plan::Api::Chat => Some(Api::Chat),
    }
}
