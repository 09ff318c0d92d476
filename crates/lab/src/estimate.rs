//! How long a session will take, with what earlier sessions in its folder say of its server.

use crate::{Job, session::is_whole};
use plan::Estimate;
use record::{RunManifest, Session, SessionManifest, TargetKind};
use std::{fs, path::PathBuf, time::Duration};

/// How long the job takes: what is left of it, where it goes on with a session.
pub fn estimate(job: &Job) -> Estimate {
    let mut runs = job.plan.schedule();
    if let Some(session) = job.resume.as_ref().and_then(|it| Session::open(it).ok()) {
        runs.retain(|&run| !is_whole(&job.plan, &session, run));
    }
    let lifecycle = job.target.whose.lifecycle();
    let last_start = lifecycle.and_then(|_| last_start(job));
    job.plan.estimate(&runs, lifecycle, last_start)
}

/// How many sessions are looked through, the newest first.
const SESSIONS: usize = 32;

/// The longest start in the newest session of this server that has recorded one.
fn last_start(job: &Job) -> Option<Duration> {
    let entries = fs::read_dir(&job.results).ok()?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("session.json").is_file() && !path.is_symlink())
        .collect();
    // A session's name begins with its time.
    folders.sort_unstable_by(|one, other| other.cmp(one));
    let sessions = folders.iter().take(SESSIONS);
    let sessions = sessions.filter_map(|folder| Session::open(folder).ok());
    sessions
        .filter(|session| is_of(job, &session.manifest))
        .find_map(|session| longest_start(&session))
}

fn is_of(job: &Job, session: &SessionManifest) -> bool {
    let kind = job.target.whose.kind();
    kind == session.target.kind
        && match kind {
            // Its port is drawn anew; what it loads follows from the experiment.
            TargetKind::Embedded => session.experiment == job.plan.experiment.name(),
            TargetKind::Managed | TargetKind::Attached => {
                session.target.url == job.target.url.to_string()
            }
        }
}

fn longest_start(session: &Session) -> Option<Duration> {
    let first = session.manifest.server_start_ms;
    let first = first.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
    let manifests = session
        .run_dirs()
        .filter_map(|run| run.read_manifest().ok());
    let loads = manifests.filter_map(|manifest| loaded_in(&manifest));
    loads.chain(first).max()
}

fn loaded_in(run: &RunManifest) -> Option<Duration> {
    let load = run.model_load.as_ref()?;
    let ns = load.first_token_ns? - load.started_ns;
    Some(Duration::from_nanos(u64::try_from(ns).ok()?))
}
