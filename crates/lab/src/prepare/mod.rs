//! What is done to the machine before a session, and undone after.
//!
//! The path of a change: the plan's `[prepare]` → what it wants changed ([`setting`], [`timers`],
//! [`swap`], [`precondition`]) → a line in the journal, synced → the change → the line undone
//! ([`change`]), by the session's end, by the next session's start, or by `spillpoint restore`.

mod change;
mod journal;
mod precondition;
mod setting;
pub(crate) mod settle;
mod swap;
mod timers;

use crate::LabError;
use change::Change;
pub use change::{How, Undone};
use journal::Journal;
use plan::{Plan, Prepare};
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
    /// The file that names what a session has changed.
    pub fn journal(&self) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join(journal::NAME))
    }

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
    match Journal::open_left(state, machine)? {
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
    /// Changes what the plan wants changed, but for what the device under test decides: see
    /// [`Self::precondition`].
    pub(crate) fn make(plan: &Plan, machine: &Machine) -> Result<Self, LabError> {
        let prepare = &plan.prepare;
        let mut made = Self {
            machine: machine.clone(),
            journal: None,
            done: Vec::new(),
            drops_caches: false,
        };
        made.set(prepare)?;
        if !prepare.stop_timers.is_empty() {
            made.stop_timers(&prepare.stop_timers)?;
        }
        if prepare.swap_off {
            made.switch_swap_off(plan.watchdog.mem_available_mib_min)?;
        }
        if prepare.drop_caches {
            made.try_drop_caches();
        }
        made.refuse_what_is_required(prepare)?;
        Ok(made)
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

    /// Where the plan requires its preparation, what was left out is an error.
    fn refuse_what_is_required(&self, prepare: &Prepare) -> Result<(), LabError> {
        let refused = self.done.iter().find_map(|it| match &it.outcome {
            PrepareOutcome::Skipped(why) => Some(LabError::NotPrepared {
                what: it.what.clone(),
                why: why.clone(),
            }),
            PrepareOutcome::Done | PrepareOutcome::AsWanted => None,
        });
        match refused {
            Some(refused) if prepare.required => Err(refused),
            _ => Ok(()),
        }
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.done.push(Prepared {
            what: what.to_owned(),
            before: None,
            after: None,
            outcome: PrepareOutcome::Skipped(why.to_owned()),
        });
    }

    fn set(&mut self, prepare: &Prepare) -> Result<(), LabError> {
        let policies = self.machine.cpu_policies();
        if prepare.governor.is_some() && policies.is_empty() {
            self.skip("governor", "this machine has no CPU frequency policies");
        }
        for setting in setting::wanted(prepare, &self.machine.root, &policies) {
            if let Some(prepared) = self.change(&setting)? {
                self.done.push(prepared);
            }
        }
        Ok(())
    }

    /// None where it can't be noted, which is told.
    fn change(&mut self, setting: &Setting) -> Result<Option<Prepared>, LabError> {
        let file = setting.file.display();
        let told = |before: &Option<String>, after: &Option<String>, outcome| Prepared {
            what: setting.what.clone(),
            before: before.clone(),
            after: after.clone(),
            outcome,
        };
        let skipped = |before, why| {
            let outcome = PrepareOutcome::Skipped(why);
            Ok(Some(told(&before, &before, outcome)))
        };
        let before = match change::read(&setting.file) {
            Ok(before) => Some(before),
            Err(error) => return skipped(None, format!("cannot read {file} ({error})")),
        };
        if before.as_ref() == Some(&setting.wanted) {
            return Ok(Some(told(&before, &before, PrepareOutcome::AsWanted)));
        }
        // Asked first, so that nothing is noted that may not be changed.
        if let Err(error) = fs::File::options().write(true).open(&setting.file) {
            return skipped(before, format!("cannot write {file} ({error})"));
        }
        let change = Change::Setting {
            file: setting.file.clone(),
            before: before.clone().unwrap_or_default(),
            after: setting.wanted.clone(),
        };
        if !self.note(&setting.what, &change)? {
            return Ok(None);
        }
        if let Err(error) = change::write(&setting.file, &setting.wanted) {
            return skipped(before, format!("cannot write {file} ({error})"));
        }
        let after = change::read(&setting.file).ok();
        Ok(Some(told(&before, &after, PrepareOutcome::Done)))
    }

    /// Writes a change down, before it is made. False where there is nowhere to write it: `what` is
    /// left out then.
    fn note(&mut self, what: &str, change: &Change) -> Result<bool, LabError> {
        let Some(state) = &self.machine.state else {
            let why = "there is no folder to note its value in: set XDG_STATE_HOME";
            self.skip(what, why);
            return Ok(false);
        };
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => none.insert(Journal::open(state, &self.machine)?),
        };
        journal.note(change)?;
        Ok(true)
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
    change::write(&setting::drop_caches(&machine.root), "3\n")
}
