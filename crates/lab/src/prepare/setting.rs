//! Which settings a plan wants changed: pure, but for the list of CPU policies that it is given.

use plan::Prepare;
use std::path::{Path, PathBuf};

/// A file of the kernel's, and the value that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) what: String,
    pub(super) file: PathBuf,
    pub(super) wanted: String,
}

/// Where CPU frequency policies are.
pub(super) fn policies(root: &Path) -> PathBuf {
    root.join("sys/devices/system/cpu/cpufreq")
}

/// What drops the page cache when it is written to.
pub(super) fn drop_caches(root: &Path) -> PathBuf {
    root.join("proc/sys/vm/drop_caches")
}

/// The settings of the plan, with the names of this machine's CPU frequency policies.
pub(super) fn wanted(prepare: &Prepare, root: &Path, cpu_policies: &[String]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut want = |what: String, file: PathBuf, wanted: String| {
        settings.push(Setting { what, file, wanted });
    };
    if let Some(governor) = prepare.governor {
        for policy in cpu_policies {
            want(
                format!("governor of {policy}"),
                policies(root).join(policy).join("scaling_governor"),
                governor.name().to_owned(),
            );
        }
    }
    if let Some(pages) = prepare.transparent_hugepage {
        want(
            "transparent_hugepage".to_owned(),
            root.join("sys/kernel/mm/transparent_hugepage/enabled"),
            pages.name().to_owned(),
        );
    }
    if let Some(swappiness) = prepare.swappiness {
        want(
            "swappiness".to_owned(),
            root.join("proc/sys/vm/swappiness"),
            swappiness.get().to_string(),
        );
    }
    settings
}

/// The value in a file of the kernel's: where it lists all, the one in brackets.
pub(super) fn current(text: &str) -> &str {
    let chosen = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    chosen.map_or(text, |(chosen, _)| chosen).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_the_kernel_writes_it() {
        assert_eq!(current("always [madvise] never\n"), "madvise");
        assert_eq!(current("schedutil\n"), "schedutil");
        assert_eq!(current("60\n"), "60");
    }

    #[test]
    fn a_plan_without_preparation_wants_nothing() {
        let policies = ["policy0".to_owned()];
        assert_eq!(wanted(&Prepare::default(), Path::new("/"), &policies), []);
    }

    #[test]
    fn every_policy_gets_the_governor() {
        let prepare = Prepare {
            governor: Some(plan::Governor::Performance),
            ..Prepare::default()
        };
        let policies = ["policy0".to_owned(), "policy10".to_owned()];
        let settings = wanted(&prepare, Path::new("/"), &policies);
        let files: Vec<_> = settings.iter().map(|it| it.file.to_str()).collect();
        let file = |policy| {
            Some(match policy {
                0 => "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
                _ => "/sys/devices/system/cpu/cpufreq/policy10/scaling_governor",
            })
        };
        assert_eq!(files, [file(0), file(10)]);
        assert!(settings.iter().all(|it| it.wanted == "performance"));
    }
}
