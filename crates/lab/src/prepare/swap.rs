//! Swap: off for the session, and on again in the order of its priorities, by swapon(8).

use super::{
    Machine, Preparation,
    change::{self, Change},
};
use crate::LabError;
use probe::{
    Roots,
    host::{self, Swap},
    parse::{self, Meminfo},
};
use record::{PrepareOutcome, Prepared};
use std::{fs, io, path::Path};

const MIB: u64 = 1 << 20;

/// Why memory could not hold what is swapped out, and still have `keep_mib` available: pure.
fn too_much(swaps: &[Swap], available_bytes: Option<u64>, keep_mib: u64) -> Option<String> {
    let used_mib = swaps.iter().map(|swap| swap.used_bytes).sum::<u64>() / MIB;
    if used_mib == 0 {
        return None;
    }
    match available_bytes.map(|bytes| bytes / MIB) {
        None => Some("how much memory is available is not known (MemAvailable)".to_owned()),
        Some(mib) if mib < used_mib + keep_mib => Some(format!(
            "{used_mib} MiB are swapped out, and memory with {mib} MiB available could not hold \
             them and keep {keep_mib} MiB"
        )),
        Some(_) => None,
    }
}

pub(super) fn is_on(root: &Path, device: &Path) -> io::Result<bool> {
    let swaps = host::swaps(&Roots::under(root))?;
    Ok(swaps.iter().any(|swap| swap.path == device))
}

/// A negative priority is the kernel's own, by the order of switching on; it can't be asked for.
pub(super) fn switch_on(device: &Path, priority: i32) -> io::Result<()> {
    let device = device.display().to_string();
    match priority {
        ..0 => change::run(&["swapon", "--", &device]),
        _ => change::run(&["swapon", "--priority", &priority.to_string(), "--", &device]),
    }
    .map(drop)
}

fn switch_off(root: &Path, device: &Path) -> io::Result<()> {
    change::run(&["swapoff", "--", &device.display().to_string()])?;
    match is_on(root, device)? {
        false => Ok(()),
        true => Err(io::Error::other("it is still on")),
    }
}

impl Preparation {
    /// Switches all swap off, if memory can hold what is swapped out.
    pub(super) fn switch_swap_off(&mut self, keep_mib: u64) -> Result<(), LabError> {
        let mut swaps = match host::swaps(&Roots::under(&self.machine.root)) {
            Ok(swaps) => swaps,
            Err(error) => {
                self.skip("swap", &format!("cannot read /proc/swaps ({error})"));
                return Ok(());
            }
        };
        if swaps.is_empty() {
            self.done.push(Prepared {
                what: "swap".to_owned(),
                before: Some("off".to_owned()),
                after: Some("off".to_owned()),
                outcome: PrepareOutcome::AsWanted,
            });
        }
        if let Some(why) = too_much(&swaps, available_bytes(&self.machine), keep_mib) {
            self.skip("swap", &why);
            return Ok(());
        }
        // The last to go is the first to come again: the highest priority.
        swaps.sort_by_key(|swap| swap.priority);
        for swap in &swaps {
            self.switch_one_off(swap)?;
        }
        Ok(())
    }

    fn switch_one_off(&mut self, swap: &Swap) -> Result<(), LabError> {
        let what = format!("swap on {}", swap.path.display());
        let change = Change::Swap {
            device: swap.path.clone(),
            priority: swap.priority,
        };
        if !self.note(&what, &change)? {
            return Ok(());
        }
        let used_mib = swap.used_bytes / MIB;
        let before = format!("on (priority {}), {used_mib} MiB used", swap.priority);
        let (after, outcome) = match switch_off(&self.machine.root, &swap.path) {
            Ok(()) => ("off".to_owned(), PrepareOutcome::Done),
            Err(error) => (before.clone(), PrepareOutcome::Skipped(error.to_string())),
        };
        self.done.push(Prepared {
            what,
            before: Some(before),
            after: Some(after),
            outcome,
        });
        Ok(())
    }
}

fn available_bytes(machine: &Machine) -> Option<u64> {
    let mut memory = Meminfo::default();
    let text = fs::read(machine.root.join("proc/meminfo")).ok()?;
    parse::meminfo(&text, &mut memory).ok()?;
    memory.available_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swaps(used_mib: u64) -> Vec<Swap> {
        let swap = |path: &str, used_mib: u64| Swap {
            path: path.into(),
            size_bytes: 1 << 34,
            used_bytes: used_mib * MIB,
            priority: -2,
        };
        vec![swap("/a", used_mib), swap("/b", 1)]
    }

    #[test]
    fn swap_goes_off_only_where_memory_holds_what_is_in_it() {
        assert_eq!(too_much(&swaps(99), Some(356 * MIB), 256), None);
        let why = too_much(&swaps(100), Some(356 * MIB), 256).unwrap();
        assert!(why.contains("101 MiB are swapped out"), "{why}");
        assert!(too_much(&swaps(100), None, 256).is_some());
        assert_eq!(too_much(&[], None, 256), None);
    }
}
