//! The server under test, found and asked before anything is measured.

use crate::{LabError, Target, server::ManagedServer};
use load::{Api, PreflightError, Stop, Wish, preflight};
use probe::{
    Roots,
    server::{self, ServerProcess},
};
use record::TargetFacts;
use std::{
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
    /// go.
    pub(crate) fn resolve(
        target: &Target,
        api: plan::Api,
        roots: &Roots,
        log: &Path,
        stop: &Stop,
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
                // A name that can't be resolved is refused below, with its reason.
                let addresses = target.url.addresses().unwrap_or_default();
                let server = ManagedServer::new(lifecycle.clone(), addresses, log, key);
                let server = managed.insert(server);
                server.start()?;
                come_up(server, &wish, stop)?
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
        let listening = match address.ip().is_loopback() {
            true => server::listening_on(roots, address.port()).ok(),
            false => None,
        };
        self.process = match &self.managed {
            None => listening,
            Some(managed) => started(roots, managed, listening),
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

/// The process of a server that we started: what was started, where that or a child of it listens.
/// What only asks another to start it (a container's client) is not the server: then it is what
/// listens, or the container's first process, or not known.
fn started(
    roots: &Roots,
    managed: &ManagedServer,
    listening: Option<ServerProcess>,
) -> Option<ServerProcess> {
    let own = server::by_pid(roots, managed.pid()?).ok();
    let container = container(&managed.lifecycle().start);
    match (listening, container) {
        (Some(process), _) if own.is_some_and(|own| process.descends_from(roots, own)) => own,
        (Some(process), _) => Some(process),
        (None, Some(name)) => server::in_container(roots, name?).ok(),
        (None, None) => own,
    }
}

/// Whether this starts a container, and its name, where it is given one.
fn container(start: &[String]) -> Option<Option<&str>> {
    let program = Path::new(start.first()?).file_name()?.to_str()?;
    if !matches!(program, "docker" | "podman" | "nerdctl") {
        return None;
    }
    let named = start
        .iter()
        .zip(start.iter().skip(1))
        .find_map(|(word, next)| match word.strip_prefix("--name")? {
            "" => Some(next.as_str()),
            rest => rest.strip_prefix('='),
        });
    Some(named)
}

/// Asks until the server answers as a server should, ends, or its time is over.
fn come_up(server: &mut ManagedServer, wish: &Wish, stop: &Stop) -> Result<load::Target, LabError> {
    let began = Instant::now();
    let limit = server.lifecycle().ready_limit.0;
    loop {
        match preflight(wish) {
            Ok(target) => return Ok(target),
            Err(error) if !may_pass(&error) => return Err(error.into()),
            Err(_) => {}
        }
        if stop.is_stopped() {
            return Err(LabError::Interrupted);
        }
        if !server.is_running() {
            return Err(server.ended());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_name() {
        let of = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            container(&words).map(|name| name.map(str::to_owned))
        };
        let named = |name: &str| Some(Some(name.to_owned()));
        assert_eq!(of("docker run --rm --name llm -p 1:2 image"), named("llm"));
        assert_eq!(of("/usr/bin/podman run --name=llm image --x"), named("llm"));
        assert_eq!(of("docker run image"), Some(None));
        assert_eq!(of("vllm serve --name x"), None);
    }
}
