//! The server under test, found and asked before anything is measured.

use crate::{EngineCommand, LabError, Target, engine_process::EngineProcess};
use load::{Api, Wish, preflight};
use probe::{
    Roots,
    server::{self, ServerProcess},
};
use record::{TargetFacts, TargetKind};
use std::{fs, path::Path};

/// A server that answered, its process where that is known, and its end if it is ours to end.
pub(crate) struct ReadyTarget {
    pub(crate) load: load::Target,
    pub(crate) facts: TargetFacts,
    /// Absent where the server runs on another host, or as another user's.
    pub(crate) process: Option<ServerProcess>,
    engine: Option<EngineProcess>,
}

impl ReadyTarget {
    /// Starts the engine if it is the target, and asks the server what it is. `log` is where the
    /// engine's words go; the file is gone again if the server can't be measured.
    pub(crate) fn resolve(
        target: &Target,
        api: plan::Api,
        roots: &Roots,
        log: &Path,
    ) -> Result<Self, LabError> {
        match target {
            Target::Embedded(command) => {
                let ready = Self::embedded(command, api, roots, log);
                if ready.is_err() {
                    // Its last words are in the error.
                    let _ = fs::remove_file(log);
                }
                ready
            }
            Target::Attached {
                url,
                model,
                api_key,
            } => {
                let mut wish = Wish::new(url.clone());
                wish.model = model.clone();
                wish.api_key = api_key.clone();
                wish.api = spoken(api);
                let load = preflight(&wish)?;
                let process = load
                    .address
                    .ip()
                    .is_loopback()
                    .then(|| server::listening_on(roots, load.address.port()).ok())
                    .flatten();
                Ok(Self::new(load, TargetKind::Attached, process, None))
            }
        }
    }

    fn embedded(
        command: &EngineCommand,
        api: plan::Api,
        roots: &Roots,
        log: &Path,
    ) -> Result<Self, LabError> {
        let engine = EngineProcess::start(command, log)?;
        let mut wish = Wish::new(engine.url().parse()?);
        wish.api = spoken(api);
        let load = preflight(&wish)?;
        let process = server::by_pid(roots, engine.pid()).ok();
        Ok(Self::new(load, TargetKind::Embedded, process, Some(engine)))
    }

    fn new(
        load: load::Target,
        kind: TargetKind,
        process: Option<ServerProcess>,
        engine: Option<EngineProcess>,
    ) -> Self {
        let facts = TargetFacts {
            kind,
            url: load.url.to_string(),
            model: load.model.clone(),
            api: load.api.name().to_owned(),
            server: load.server.clone(),
        };
        Self {
            load,
            facts,
            process,
            engine,
        }
    }

    /// Whether the process that was found at the start still runs; None where none was found.
    pub(crate) fn is_alive(&self, roots: &Roots) -> Option<bool> {
        self.process.map(|process| process.is_alive(roots))
    }

    /// What the server said last, if it is ours.
    pub(crate) fn last_words(&self) -> String {
        match &self.engine {
            Some(engine) => engine.last_words(),
            None => "not known; look at its log".to_owned(),
        }
    }

    /// The engine's log is to be found with the session from now on.
    pub(crate) fn keep_log(&mut self, place: &Path) {
        if let Some(engine) = &mut self.engine {
            engine.move_log(place);
        }
    }
}

fn spoken(api: plan::Api) -> Option<Api> {
    match api {
        plan::Api::Auto => None,
        plan::Api::Completions => Some(Api::Completions),
        plan::Api::Chat => Some(Api::Chat),
    }
}
