//! Facts about the machine, and how it is set.

mod settings;

pub use settings::{Privileges, Settings, Swap, Tool, settings, swaps};

use crate::{
    Roots,
    parse::{self, Meminfo},
};
use nix::unistd::{SysconfVar, sysconf};
use record::HostFacts;
use std::{fs, path::Path};

/// Reads the facts. What is not to be had is absent, or empty where it is a name.
pub fn facts(roots: &Roots) -> HostFacts {
    let proc = |name: &str| roots.proc.join(name);
    let mut memory = Meminfo::default();
    // Without /proc/meminfo the figures stay absent.
    let _ = parse::meminfo(&fs::read(proc("meminfo")).unwrap_or_default(), &mut memory);
    let cpu = parse::cpuinfo(&fs::read(proc("cpuinfo")).unwrap_or_default());
    let online = fs::read(roots.sys.join("devices/system/cpu/online")).unwrap_or_default();
    let os_release = fs::read(roots.etc.join("os-release")).unwrap_or_default();
    HostFacts {
        hostname: line(&proc("sys/kernel/hostname")).unwrap_or_default(),
        kernel: line(&proc("sys/kernel/osrelease")).unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        os: parse::pretty_name(&os_release),
        cpu: cpu.name,
        cores: parse::cpu_list(&online).unwrap_or(cpu.cpus),
        mem_total_bytes: memory.total_bytes,
        swap_total_bytes: memory.swap_total_bytes,
        page_size_bytes: page_size_bytes(),
        boot_id: line(&proc("sys/kernel/random/boot_id")),
    }
}

/// The size of a page of memory: 4 KiB, but 64 KiB on some Arm kernels.
pub(crate) fn page_size_bytes() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let size = size.and_then(|size| u64::try_from(size).ok());
    // POSIX requires the value; no Linux lacks it.
    size.expect("the system knows its page size")
}

fn line(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
