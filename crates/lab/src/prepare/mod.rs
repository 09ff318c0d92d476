//! What is done to the machine before a session, and undone after.
//!
//! The path of a change: the plan's `[prepare]` → the settings it wants ([`setting`], pure) → a line
//! in the journal, synced → the change → the line undone, by the session's end, by the next
//! session's start, or by `spillpoint restore`.

mod journal;
mod setting;
pub(crate) mod settle;

use crate::LabError;
use journal::Journal;
pub use journal::{How, Undone};
use plan::Prepare;
use record::{PrepareOutcome, Prepared};
use setting::Setting;
use std::{fs, io, path::PathBuf};

/// The machine whose settings a plan may change, and where is kept what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Where /proc and /sys are; a test names a tree of its own.
    pub root: PathBuf,
    /// The folder of the journal. Absent: there is none, and no setting is changed.
    pub state: Option<PathBuf>,
}

impl Machine {
    fn boot_id(&self) -> Option<String> {
        let file = self.root.join("proc/sys/kernel/random/boot_id");
        Some(fs::read_to_string(file).ok()?.trim().to_owned())
    }

    fn cpu_policies(&self) -> Vec<String> {
        let entries = fs::read_dir(setting::policies(&self.root));
        let names = entries.into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with("policy"))
            .collect();
        names.sort_unstable();
        names
    }
}

/// Puts back what a session has changed that was killed. Refused while a session lives that has
/// changed something.
pub fn restore(machine: &Machine) -> Result<Vec<Undone>, LabError> {
    let Some(state) = &machine.state else {
        return Ok(Vec::new());
    };
    match Journal::open_left(state, machine.boot_id())? {
        Some(mut journal) => journal.undo(),
        None => Ok(Vec::new()),
    }
}

/// The machine, prepared. Dropping it puts everything back.
pub(crate) struct Preparation {
    machine: Machine,
    journal: Option<Journal>,
    /// For the manifest.
    pub(crate) done: Vec<Prepared>,
    drops_caches: bool,
}

impl Preparation {
    /// Changes what the plan wants changed.
    pub(crate) fn make(prepare: &Prepare, machine: &Machine) -> Result<Self, LabError> {
        let mut made = Self {
            machine: machine.clone(),
            journal: None,
            done: Vec::new(),
            drops_caches: false,
        };
        let policies = machine.cpu_policies();
        if prepare.governor.is_some() && policies.is_empty() {
            made.skip("governor", "this machine has no CPU frequency policies");
        }
        for setting in setting::wanted(prepare, &machine.root, &policies) {
            let prepared = made.change(&setting)?;
            made.done.push(prepared);
        }
        if prepare.drop_caches {
            made.try_drop_caches();
        }
        match made.first_skipped() {
            Some(refusal) if prepare.required => Err(refusal),
            _ => Ok(made),
        }
    }

    /// Puts everything back.
    pub(crate) fn undo(&mut self) -> Result<Vec<Undone>, LabError> {
        match self.journal.take() {
            Some(mut journal) => journal.undo(),
            None => Ok(Vec::new()),
        }
    }

    /// Before a run: drops the page cache, if the plan wants that and it can be done.
    pub(crate) fn before_run(&self) -> io::Result<()> {
        match self.drops_caches {
            true => drop_caches(&self.machine),
            false => Ok(()),
        }
    }

    /// What was left out, for people.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = String> {
        self.done.iter().filter_map(|it| match &it.outcome {
            PrepareOutcome::Skipped(why) => Some(format!("{} is left as it is: {why}", it.what)),
            PrepareOutcome::Done | PrepareOutcome::AsWanted => None,
        })
    }

    fn first_skipped(&self) -> Option<LabError> {
        self.done.iter().find_map(|it| match &it.outcome {
            PrepareOutcome::Skipped(why) => Some(LabError::NotPrepared {
                what: it.what.clone(),
                why: why.clone(),
            }),
            PrepareOutcome::Done | PrepareOutcome::AsWanted => None,
        })
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.done.push(Prepared {
            what: what.to_owned(),
            before: None,
            after: None,
            outcome: PrepareOutcome::Skipped(why.to_owned()),
        });
    }

    fn change(&mut self, setting: &Setting) -> Result<Prepared, LabError> {
        let file = setting.file.display();
        let told = |before: &Option<String>, after: &Option<String>, outcome| Prepared {
            what: setting.what.clone(),
            before: before.clone(),
            after: after.clone(),
            outcome,
        };
        let skipped = |before, why| {
            let outcome = PrepareOutcome::Skipped(why);
            Ok(told(&before, &before, outcome))
        };
        let before = match journal::read(&setting.file) {
            Ok(before) => Some(before),
            Err(error) => return skipped(None, format!("cannot read {file} ({error})")),
        };
        if before.as_ref() == Some(&setting.wanted) {
            return Ok(told(&before, &before, PrepareOutcome::AsWanted));
        }
        // Asked first, so that nothing is noted that may not be changed.
        if let Err(error) = fs::File::options().write(true).open(&setting.file) {
            return skipped(before, format!("cannot write {file} ({error})"));
        }
        if self.machine.state.is_none() {
            let why = "there is no folder to note its value in: set XDG_STATE_HOME".to_owned();
            return skipped(before, why);
        }
        self.note(setting, before.as_deref().unwrap_or_default())?;
        if let Err(error) = journal::write(&setting.file, &setting.wanted) {
            return skipped(before, format!("cannot write {file} ({error})"));
        }
        let after = journal::read(&setting.file).ok();
        Ok(told(&before, &after, PrepareOutcome::Done))
    }

    fn note(&mut self, setting: &Setting, before: &str) -> Result<(), LabError> {
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => {
                let state = self.machine.state.clone().unwrap_or_default();
                none.insert(Journal::open(&state, self.machine.boot_id())?)
            }
        };
        journal.note(&setting.file, before, &setting.wanted)
    }

    /// Drops them once, to see whether it can be done before each run.
    fn try_drop_caches(&mut self) {
        match drop_caches(&self.machine) {
            Ok(()) => {
                self.drops_caches = true;
                self.done.push(Prepared {
                    what: "drop_caches before each run".to_owned(),
                    before: None,
                    after: None,
                    outcome: PrepareOutcome::Done,
                });
            }
            Err(error) => {
                let file = setting::drop_caches(&self.machine.root);
                let why = format!("cannot write {} ({error})", file.display());
                self.skip("drop_caches before each run", &why);
            }
        }
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        // What fails stays in the journal, and is told by whoever undoes it next.
        let _ = self.undo();
    }
}

/// Drops clean pages, and what the kernel keeps of names (Documentation/admin-guide/sysctl/vm.rst).
fn drop_caches(machine: &Machine) -> io::Result<()> {
    // Dirty pages stay: they are written first.
    nix::unistd::sync();
    journal::write(&setting::drop_caches(&machine.root), "3\n")
}
