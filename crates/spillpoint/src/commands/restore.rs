//! `spillpoint restore`: puts back what a session has changed on this machine that was killed.

use crate::exit::{Exit, OrExit, Result};
use anyhow::anyhow;
use lab::{How, LabError, Machine};
use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

pub(crate) fn run() -> Result {
    let machine = machine();
    let Some(journal) = machine.journal() else {
        return Err(Exit::Usage(anyhow!(
            "neither XDG_STATE_HOME nor HOME says where the journal of changes is: set the one that the session had"
        )));
    };
    let undone = match lab::restore(&machine) {
        Err(error @ LabError::MachineBusy { .. }) => return Err(Exit::Usage(error.into())),
        undone => undone.or_failed()?,
    };
    let mut out = io::stdout().lock();
    if undone.is_empty() {
        let journal = journal.display();
        writeln!(out, "nothing to restore: {journal} names no change")?;
    }
    for undone in &undone {
        writeln!(out, "{undone}")?;
    }
    let failed = undone.iter().filter(|it| matches!(it.how, How::Failed(_)));
    match failed.count() {
        0 => Ok(Exit::Done),
        count => Err(Exit::Failed(anyhow!(
            "{count} settings are not as they were: see above"
        ))),
    }
}

/// This machine. A test names a tree of its own, so that it changes no setting of the machine that
/// it runs on.
pub(crate) fn machine() -> Machine {
    let root = env::var_os("SPILLPOINT_SETTINGS_ROOT");
    Machine {
        root: root.map_or_else(|| PathBuf::from("/"), PathBuf::from),
        state: state_folder(env::var_os("XDG_STATE_HOME"), env::var_os("HOME")),
    }
}

/// The XDG base directory specification ignores paths that are not absolute.
fn state_folder(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|it| it.is_absolute());
    let state = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("spillpoint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_where_others_keep_theirs() {
        let folder = |state: &str, home: &str| {
            let words = |text: &str| (!text.is_empty()).then(|| OsString::from(text));
            state_folder(words(state), words(home))
        };
        assert_eq!(folder("/s", "/h"), Some("/s/spillpoint".into()));
        assert_eq!(
            folder("relative", "/h"),
            Some("/h/.local/state/spillpoint".into())
        );
        assert_eq!(folder("", ""), None);
    }
}
