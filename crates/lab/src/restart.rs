//! Starting a server that is ours anew, in one of its configurations, and waiting until it serves.

use crate::{LabError, memory_back, run_log::RunLog, server::ManagedServer, target::ReadyTarget};
use clock::MonoNs;
use load::Stop;
use plan::{PhaseName, Variant};
use probe::Roots;
use std::{collections::BTreeMap, thread, time::Duration};

/// How often a server that comes up is looked at: what its times are exact to.
const LOOK: Duration = Duration::from_millis(10);
/// How long an answer to a look may take.
const ANSWER: Duration = Duration::from_secs(1);

/// When a server that was started served.
pub(crate) struct Up {
    /// It said that it is healthy.
    pub(crate) healthy: MonoNs,
    /// It gave a token.
    pub(crate) first_token: MonoNs,
}

/// Waits until the server that was started just now serves.
pub(crate) fn wait_up(
    server: &mut ManagedServer,
    asked: &load::Target,
    stop: &Stop,
) -> Result<Up, LabError> {
    let limit = server.lifecycle().ready_limit.0;
    let due = MonoNs::now().plus(limit);
    wait_until(server, due, limit, stop, || asked.is_healthy(ANSWER))?;
    let healthy = MonoNs::now();
    // Some answer to /health before they can serve: asked again until a token comes.
    wait_until(server, due, limit, stop, || {
        asked.first_token(limit).is_ok()
    })?;
    Ok(Up {
        healthy,
        first_token: MonoNs::now(),
    })
}

fn wait_until(
    server: &mut ManagedServer,
    due: MonoNs,
    limit: Duration,
    stop: &Stop,
    mut reached: impl FnMut() -> bool,
) -> Result<(), LabError> {
    while !reached() {
        if stop.is_stopped() {
            return Err(LabError::Interrupted);
        }
        if MonoNs::now() > due {
            let last_words = server.last_words();
            return Err(LabError::ServerNotReady { limit, last_words });
        }
        if !server.is_running() {
            return Err(server.ended());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Stops the server, and starts it in the named configuration, or in its own where none is named.
pub(crate) fn restart_as(
    target: &mut ReadyTarget,
    variants: &BTreeMap<PhaseName, Variant>,
    name: Option<&PhaseName>,
    roots: &Roots,
    stop: &Stop,
    log: &mut RunLog,
) -> Result<(), LabError> {
    let Some(server) = &mut target.managed else {
        return Err(LabError::NotOurs);
    };
    let none = Variant::default();
    let variant = match name {
        None => &none,
        Some(name) => variants
            .get(name)
            .ok_or_else(|| no_variant(name, variants))?,
    };
    let memory = server.stop_and_wait(stop);
    if let Some(words) = memory.as_ref().and_then(memory_back::complaint) {
        log.tell(&words)?;
    }
    server.vary(variant);
    let asked = MonoNs::now();
    server.start()?;
    let up = wait_up(server, &target.load, stop)?;
    let seconds = up.first_token.since(asked).as_secs_f64();
    let command = server.lifecycle().start.join(" ");
    log.tell(format_args!(
        "the server was started anew, and served after {seconds:.1} s: {command}"
    ))?;
    target.find_process(roots);
    Ok(())
}

/// The plan names a configuration that the target lacks.
pub(crate) fn no_variant(name: &PhaseName, variants: &BTreeMap<PhaseName, Variant>) -> LabError {
    let names: Vec<_> = variants.keys().map(PhaseName::as_str).collect();
    LabError::NoVariant {
        name: name.to_string(),
        known: match names.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", names.join(", ")),
        },
    }
}
