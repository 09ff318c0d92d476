//! How the host is set: what `doctor` judges. Facts alone, without a judgement.

use super::line;
use crate::{Roots, parse};
use nix::unistd::geteuid;
use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

/// The settings that stop or spoil a measurement, where this kernel tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether the kernel counts pressure (PSI).
    pub has_psi: bool,
    /// Whether the kernel counts a file's cached pages (`cachestat`, Linux 6.5).
    pub has_cachestat: bool,
    /// Where memory is swapped to.
    pub swaps: Vec<Swap>,
    /// How eagerly (`vm.swappiness`).
    pub swappiness: Option<u64>,
    /// Frequency governors, each with the cores that it governs.
    pub governors: BTreeMap<String, u32>,
    /// What times the clock: `tsc`, `arch_sys_counter`.
    pub clock_source: Option<String>,
    /// The longest that a core takes to wake from its deepest enabled idle state.
    pub idle_exit_us: Option<u64>,
    /// Transparent huge pages: the mode in use.
    pub huge_pages: Option<String>,
    /// Whether some supply gives mains power; absent where none is known.
    pub on_mains: Option<bool>,
    /// The NVIDIA system's own release, on DGX.
    pub dgx: Option<String>,
    /// What this process may do.
    pub privileges: Privileges,
    /// The helper programs that are on the path.
    pub tools: Vec<Tool>,
}

/// A place that memory is swapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The file or device.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// How much of it is used.
    pub used_bytes: u64,
    /// Its priority; the kernel gives negative ones in the order in which swaps are switched on.
    pub priority: i32,
}

/// What this process may do (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// It is root's.
    pub is_root: bool,
    /// `CAP_SYS_ADMIN`: SMART logs by admin command, dropping caches.
    pub sys_admin: bool,
    /// `CAP_SYS_PTRACE`: what other users' processes read and wrote.
    pub sys_ptrace: bool,
    /// `CAP_FOWNER`: the cached pages of other users' files.
    pub fowner: bool,
    /// `CAP_BPF` and `CAP_PERFMON`: eBPF programs on tracepoints.
    pub bpf: bool,
}

/// A helper program that was looked for and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Programs that something here can use, or be compared with.
const TOOLS: &[&str] = &[
    "smartctl",
    "nvme",
    "iostat",
    "mpstat",
    "fio",
    "nvidia-smi",
    "docker",
    "podman",
];

/// Reads the settings.
pub fn settings(roots: &Roots) -> Settings {
    let sys = |name: &str| line(&roots.sys.join(name));
    let vm = |name: &str| number(&roots.proc.join("sys/vm").join(name));
    Settings {
        // The file is there also where psi=0 forbids to read it.
        has_psi: fs::read(roots.proc.join("pressure/io")).is_ok(),
        has_cachestat: crate::page_cache::has_cachestat(),
        swaps: swaps(roots).unwrap_or_default(),
        swappiness: vm("swappiness"),
        governors: governors(roots),
        clock_source: sys("devices/system/clocksource/clocksource0/current_clocksource"),
        idle_exit_us: idle_exit_us(roots),
        huge_pages: sys("kernel/mm/transparent_hugepage/enabled").and_then(|modes| {
            let (_, rest) = modes.split_once('[')?;
            Some(rest.split_once(']')?.0.to_owned())
        }),
        on_mains: on_mains(roots),
        dgx: dgx(&fs::read_to_string(roots.etc.join("dgx-release")).unwrap_or_default()),
        privileges: privileges(roots),
        tools: tools(&env::var_os("PATH").unwrap_or_default()),
    }
}

fn number(file: &Path) -> Option<u64> {
    parse::number(line(file)?.as_bytes())
}

/// Where memory is swapped to.
pub fn swaps(roots: &Roots) -> io::Result<Vec<Swap>> {
    fs::read(roots.proc.join("swaps")).map(|text| parsed_swaps(&text))
}

/// /proc/swaps: a header, then `path type size used priority`, in KiB.
fn parsed_swaps(text: &[u8]) -> Vec<Swap> {
    let swap = |line: &[u8]| {
        let mut words = line
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let path = parse::escaped_path(words.next()?);
        let _type = words.next()?;
        let mut bytes = || parse::number(words.next()?)?.checked_mul(1024);
        Some(Swap {
            path,
            size_bytes: bytes()?,
            used_bytes: bytes()?,
            priority: std::str::from_utf8(words.next()?).ok()?.parse().ok()?,
        })
    };
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(swap).collect()
}

/// The folders of the cores: `cpu0`, but not `cpufreq`.
fn cores(roots: &Roots) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(roots.sys.join("devices/system/cpu"));
    let paths = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("cpu"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

fn governors(roots: &Roots) -> BTreeMap<String, u32> {
    let mut governors = BTreeMap::new();
    for core in cores(roots) {
        if let Some(governor) = line(&core.join("cpufreq/scaling_governor")) {
            *governors.entry(governor).or_default() += 1;
        }
    }
    governors
}

/// The deepest state costs a waiting read its exit (Documentation/admin-guide/pm/cpuidle.rst).
fn idle_exit_us(roots: &Roots) -> Option<u64> {
    let states = cores(roots).flat_map(|core| {
        let entries = fs::read_dir(core.join("cpuidle")).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    });
    let enabled = states.filter(|state| number(&state.join("disable")) == Some(0));
    enabled
        .filter_map(|state| number(&state.join("latency")))
        .max()
}

fn on_mains(roots: &Roots) -> Option<bool> {
    let supplies = fs::read_dir(roots.sys.join("class/power_supply"))
        .into_iter()
        .flatten();
    let supplies = supplies.filter_map(|entry| Some(entry.ok()?.path()));
    let mains = supplies.filter(|supply| line(&supply.join("type")).as_deref() == Some("Mains"));
    let online = mains.filter_map(|supply| number(&supply.join("online")));
    online
        .map(|online| online == 1)
        .reduce(|one, other| one || other)
}

/// `DGX_PRETTY_NAME` and the build's version.
fn dgx(text: &str) -> Option<String> {
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == key)?;
        Some(value.trim_matches('"').to_owned())
    };
    let name = value("DGX_PRETTY_NAME").or_else(|| value("DGX_NAME"))?;
    Some(match value("DGX_SWBUILD_VERSION") {
        Some(version) => format!("{name} {version}"),
        None => name,
    })
}

fn privileges(roots: &Roots) -> Privileges {
    let status = fs::read_to_string(roots.proc.join("self/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    // The numbers are in include/uapi/linux/capability.h.
    let has = |capability: u32| effective.unwrap_or(0) >> capability & 1 == 1;
    Privileges {
        is_root: geteuid().is_root(),
        sys_admin: has(21),
        sys_ptrace: has(19),
        fowner: has(3),
        bpf: has(21) || (has(38) && has(39)),
    }
}

fn tools(path: &std::ffi::OsStr) -> Vec<Tool> {
    let folders: Vec<_> = env::split_paths(path).collect();
    let find = |&name: &&'static str| {
        let mut files = folders.iter().map(|folder| folder.join(name));
        let path = files.find(|file| file.is_file())?;
        Some(Tool { name, path })
    };
    TOOLS.iter().filter_map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_files_and_their_use() {
        let text = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /swap.img                               file\t\t16777212\t\t1024\t\t-2\n\
            /my\\040swap file 1024 0 5\n";
        let swap = |path: &str, size_kib: u64, used_bytes, priority| Swap {
            path: path.into(),
            size_bytes: size_kib * 1024,
            used_bytes,
            priority,
        };
        assert_eq!(
            parsed_swaps(text),
            [
                swap("/swap.img", 16_777_212, 1 << 20, -2),
                swap("/my swap", 1024, 0, 5)
            ]
        );
        assert!(parsed_swaps(b"").is_empty());
    }

    #[test]
    fn a_gb10s_settings() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gb10");
        let settings = settings(&Roots::under(Path::new(root)));
        assert!(settings.has_psi);
        assert_eq!(settings.dgx.as_deref(), Some("NVIDIA DGX Spark 7.2.3"));
        assert_eq!(
            settings.governors,
            BTreeMap::from([("performance".to_owned(), 2)])
        );
        assert_eq!(settings.idle_exit_us, Some(231));
        assert_eq!(settings.swaps.len(), 1);
        assert_eq!(settings.clock_source.as_deref(), Some("arch_sys_counter"));
    }

    #[test]
    fn this_process_has_its_own_privileges() {
        let privileges = settings(&Roots::default()).privileges;
        assert_eq!(privileges.is_root, geteuid().is_root());
    }
}
