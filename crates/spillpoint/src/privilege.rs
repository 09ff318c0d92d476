//! Root, given up where it is not needed.

use crate::cli::Command;
use anyhow::Context;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// What every command keeps: to read and write a session that another user owns, and for the engine
/// to keep its memory from being swapped out and to serve a port below 1024.
const KEPT: [Capability; 4] = [
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_IPC_LOCK,
    Capability::CAP_NET_BIND_SERVICE,
];

/// Gives up what this command has no use for: those that only talk to a server, or read files that
/// strangers may have sent, do so without root's rights, and can't get them back (capabilities(7),
/// PR_SET_NO_NEW_PRIVS). To be called before any thread is started: rights are a thread's own.
pub(crate) fn reduce_for(command: &Command) -> anyhow::Result<()> {
    if measures_the_host(command) {
        return Ok(());
    }
    let reduce = || -> Result<(), caps::errors::CapsError> {
        let held = caps::read(None, CapSet::Permitted)?;
        let kept: CapsHashSet = KEPT.into_iter().filter(|it| held.contains(it)).collect();
        caps::clear(None, CapSet::Inheritable)?;
        caps::set(None, CapSet::Effective, &kept)?;
        caps::set(None, CapSet::Permitted, &kept)
    };
    reduce().context("cannot give up the privileges of root")?;
    prctl::set_no_new_privs().context("cannot give up gaining privileges")
}

/// Those that read sensors, change and restore the machine, or start the server under test, to
/// which root's rights are passed on.
fn measures_the_host(command: &Command) -> bool {
    match command {
        Command::Run(_) | Command::Watch(_) | Command::Doctor(_) | Command::Restore => true,
        Command::Analyze(_)
        | Command::Load(_)
        | Command::Compare(_)
        | Command::Export(_)
        | Command::Import(_)
        | Command::Calibrate(_)
        | Command::TruthServer
        | Command::Engine(_)
        | Command::Plan(_)
        | Command::Manual { .. }
        | Command::Completions { .. } => false,
    }
}
