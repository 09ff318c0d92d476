//! The machine: kernel, privileges, memory, cores, GPUs and helper programs.

use super::{Facts, Finding, gib};
use crate::{
    gpu::GpuFacts,
    host::{Privileges, Settings, Swap},
};
use record::HostFacts;

/// Waking from an idle state that takes longer than a read from NVMe adds to every read's time.
const LONG_WAKE_US: u64 = 100;
/// Below this share of memory, the kernel reclaims while it allocates.
const LEAST_AVAILABLE: f64 = 0.1;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let settings = &facts.settings;
    let mut findings = vec![
        kernel(&facts.host),
        pressure(settings),
        cachestat(settings),
        page_size(facts.host.page_size_bytes),
        clock_source(settings),
    ];
    findings.extend(privileges(&settings.privileges));
    findings.extend(memory(facts));
    findings.push(swap(&settings.swaps, settings.swappiness));
    findings.push(governor(settings));
    findings.extend(idle_states(settings));
    findings.extend(power(settings));
    findings.extend(gpus(&facts.gpus));
    findings.extend(tools(settings));
    findings
}

fn kernel(host: &HostFacts) -> Finding {
    let cpu = host.cpu.as_deref().unwrap_or("unknown CPU");
    let fact = format!(
        "Linux {} on {}, {} cores, {cpu}",
        host.kernel, host.arch, host.cores
    );
    Finding::good("kernel", fact)
}

fn pressure(settings: &Settings) -> Finding {
    if settings.has_psi {
        return Finding::good("pressure", "the kernel counts stalls (PSI)");
    }
    Finding::spoils(
        "pressure",
        "the kernel counts no stalls (PSI): waiting for storage or memory can't be proven",
    )
    .remedy("boot with psi=1, on a kernel with CONFIG_PSI")
}

fn cachestat(settings: &Settings) -> Finding {
    if settings.has_cachestat {
        return Finding::good(
            "page cache",
            "cached pages of files are counted (cachestat)",
        );
    }
    Finding::note(
        "page cache",
        "no cachestat: cached pages are counted by mincore, without the dirty ones",
    )
    .remedy("Linux 6.5 or later has it")
}

fn page_size(bytes: u64) -> Finding {
    let fact = format!("{} KiB", bytes / 1024);
    if bytes == 4096 {
        return Finding::good("page size", fact);
    }
    Finding::note(
        "page size",
        format!("{fact}: the page cache reads no less than that at once"),
    )
}

fn clock_source(settings: &Settings) -> Finding {
    /// Read through a bus or counted in ticks: a time stamp costs a microsecond or more.
    const SLOW: &[&str] = &["hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"];
    match settings.clock_source.as_deref() {
        None => Finding::note("clock", "the kernel doesn't tell its clock source"),
        Some(source) if SLOW.contains(&source) => Finding::spoils(
            "clock",
            format!("{source}: each time stamp is slow to take or coarse"),
        )
        .remedy("see why the kernel gave up the CPU's own counter (`dmesg | grep -i clocksource`)"),
        Some(source) => Finding::good("clock", source),
    }
}

fn privileges(privileges: &Privileges) -> Vec<Finding> {
    let missing = [
        (
            privileges.sys_admin,
            "CAP_SYS_ADMIN",
            "SMART logs only through smartctl",
        ),
        (
            privileges.sys_ptrace,
            "CAP_SYS_PTRACE",
            "no storage bytes of other users' processes",
        ),
        (
            privileges.fowner,
            "CAP_FOWNER",
            "no cached pages of other users' files",
        ),
        (
            privileges.bpf,
            "CAP_BPF and CAP_PERFMON",
            "no histograms of block latency",
        ),
    ];
    let missing: Vec<_> = missing.iter().filter(|(has, ..)| !has).collect();
    if missing.is_empty() {
        return vec![Finding::good("privileges", "all that the sensors can use")];
    }
    let note = |&&(_, name, lost): &&(bool, &str, &str)| {
        Finding::note("privileges", format!("no {name}: {lost}"))
            .remedy("run as root (sudo), or give the binary these (setcap)")
    };
    missing.iter().map(note).collect()
}

fn memory(facts: &Facts) -> Option<Finding> {
    let total = facts.host.mem_total_bytes?;
    let available = facts.mem_available_bytes?;
    let fact = format!("{} of {} available", gib(available), gib(total));
    if (available as f64) < LEAST_AVAILABLE * total as f64 {
        return Some(
            Finding::spoils("memory", format!("{fact}: reads will wait for reclaim"))
                .remedy("stop what else uses it; a server's own pool counts as used"),
        );
    }
    Some(Finding::good("memory", fact))
}

fn swap(swaps: &[Swap], swappiness: Option<u64>) -> Finding {
    let used: u64 = swaps.iter().map(|swap| swap.used_bytes).sum();
    let size: u64 = swaps.iter().map(|swap| swap.size_bytes).sum();
    let eagerness = swappiness.map_or(String::new(), |value| format!(", swappiness {value}"));
    let off = "sudo swapoff -a, until the measurement is done";
    match (size, used) {
        (0, _) => Finding::good("swap", "none"),
        (_, 0) => Finding::note(
            "swap",
            format!(
                "{} unused{eagerness}: under pressure the kernel will use it",
                gib(size)
            ),
        )
        .remedy(off),
        (_, used) => Finding::spoils(
            "swap",
            format!(
                "{} of {} used{eagerness}: its pages are read back from a drive in the run",
                gib(used),
                gib(size)
            ),
        )
        .remedy(off),
    }
}

fn governor(settings: &Settings) -> Finding {
    let governors: Vec<_> = settings
        .governors
        .iter()
        .map(|(name, cores)| format!("{name} on {cores}"))
        .collect();
    match settings.governors.keys().all(|name| name == "performance") {
        _ if governors.is_empty() => Finding::note(
            "governor",
            "the kernel sets no clock rates here: a guest, or firmware does",
        ),
        true => Finding::good("governor", governors.join(", ")),
        false => Finding::spoils(
            "governor",
            format!(
                "{}: cores clock up only once the load is there",
                governors.join(", ")
            ),
        )
        .remedy("sudo cpupower frequency-set -g performance"),
    }
}

fn idle_states(settings: &Settings) -> Option<Finding> {
    let exit_us = settings.idle_exit_us?;
    let fact = format!("the deepest takes {exit_us} us to leave");
    Some(if exit_us > LONG_WAKE_US {
        Finding::note(
            "idle states",
            format!("{fact}: a lone read waits that much longer"),
        )
        .remedy(format!(
            "sudo cpupower idle-set -D {LONG_WAKE_US}, for the shortest reads"
        ))
    } else {
        Finding::good("idle states", fact)
    })
}

fn power(settings: &Settings) -> Option<Finding> {
    Some(if settings.on_mains? {
        Finding::good("power", "on mains")
    } else {
        Finding::spoils("power", "on battery: clocks are held back").remedy("plug it in")
    })
}

fn gpus(gpus: &Result<Vec<GpuFacts>, String>) -> Vec<Finding> {
    let gpus = match gpus {
        Err(why_not) => return vec![Finding::note("GPU", format!("none to look at: {why_not}"))],
        Ok(gpus) if gpus.is_empty() => return vec![Finding::note("GPU", "the driver finds none")],
        Ok(gpus) => gpus,
    };
    let finding = |gpu: &GpuFacts| {
        let name = gpu.name.as_deref().unwrap_or("unnamed");
        let driver = gpu.driver.as_deref().unwrap_or("unknown");
        let fact = format!("{} {name}, driver {driver}", gpu.number);
        match gpu.memory_bytes {
            Some(bytes) => Finding::good("GPU", format!("{fact}, {}", gib(bytes))),
            // NVML answers "not supported" where the memory is the host's (GB10).
            None => Finding::note(
                "GPU",
                format!(
                    "{fact}, memory not told: where it is the host's, its pressure is MemTotal - \
                     MemAvailable"
                ),
            ),
        }
    };
    gpus.iter().map(finding).collect()
}

fn tools(settings: &Settings) -> Vec<Finding> {
    let has = |name: &str| settings.tools.iter().any(|tool| tool.name == name);
    let mut findings = Vec::new();
    if !has("iostat") || !has("mpstat") {
        findings.push(
            Finding::note("tools", "no iostat or mpstat to check our figures against")
                .remedy("install sysstat"),
        );
    }
    if !settings.privileges.sys_admin && !has("smartctl") {
        findings.push(
            Finding::note("tools", "no smartctl, and no right to ask the drive itself")
                .remedy("install smartmontools, or run as root"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::good("tools", "all that are of use"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{
        Judgement::{self, Good, Note, Spoils},
        testing::{well, worst},
    };
    use super::*;

    /// What a change to a machine as it should be makes of a topic.
    type Case = (&'static str, fn(&mut Facts), Judgement);

    const CASES: &[Case] = &[
        ("pressure", |facts| facts.settings.has_psi = false, Spoils),
        (
            "page cache",
            |facts| facts.settings.has_cachestat = false,
            Note,
        ),
        (
            "page size",
            |facts| facts.host.page_size_bytes = 65536,
            Note,
        ),
        (
            "clock",
            |facts| facts.settings.clock_source = Some("hpet".into()),
            Spoils,
        ),
        (
            "clock",
            |facts| facts.settings.clock_source = Some("tsc".into()),
            Good,
        ),
        ("clock", |facts| facts.settings.clock_source = None, Note),
        (
            "privileges",
            |facts| facts.settings.privileges = Privileges::default(),
            Note,
        ),
        (
            "privileges",
            |facts| facts.settings.privileges.bpf = false,
            Note,
        ),
        (
            "memory",
            |facts| facts.mem_available_bytes = Some(1 << 30),
            Spoils,
        ),
        (
            "swap",
            |facts| facts.settings.swaps = vec![swapped(0)],
            Note,
        ),
        (
            "swap",
            |facts| facts.settings.swaps = vec![swapped(1)],
            Spoils,
        ),
        ("governor", |facts| facts.settings.governors.clear(), Note),
        ("governor", mixed_governors, Spoils),
        (
            "idle states",
            |facts| facts.settings.idle_exit_us = Some(231),
            Note,
        ),
        (
            "power",
            |facts| facts.settings.on_mains = Some(false),
            Spoils,
        ),
        ("power", |facts| facts.settings.on_mains = Some(true), Good),
        ("GPU", |facts| facts.gpus = Err("NVML: none".into()), Note),
        ("GPU", |facts| facts.gpus = Ok(Vec::new()), Note),
        (
            "GPU",
            |facts| facts.gpus.as_mut().unwrap()[0].memory_bytes = None,
            Note,
        ),
        ("tools", |facts| facts.settings.tools.clear(), Note),
    ];

    fn swapped(used_bytes: u64) -> Swap {
        Swap {
            path: "/swap.img".into(),
            size_bytes: 1 << 34,
            used_bytes,
            priority: -2,
        }
    }

    fn mixed_governors(facts: &mut Facts) {
        facts.settings.governors = [("performance".into(), 10), ("schedutil".into(), 10)].into();
    }

    #[test]
    fn each_topic_is_judged_by_its_facts() {
        for &(topic, change, judgement) in CASES {
            let mut facts = well();
            change(&mut facts);
            assert_eq!(worst(&facts, topic), Some(judgement), "{topic}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_judged() {
        let mut facts = well();
        facts.settings.idle_exit_us = None;
        facts.settings.on_mains = None;
        facts.mem_available_bytes = None;
        for topic in ["idle states", "power", "memory"] {
            assert_eq!(worst(&facts, topic), None, "{topic}");
        }
    }

    #[test]
    fn a_missing_privilege_names_what_is_lost() {
        let mut facts = well();
        facts.settings.privileges.sys_ptrace = false;
        let findings = examine(&facts);
        let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
        let line = told.iter().find(|line| line.contains("CAP_SYS_PTRACE"));
        assert_eq!(
            line.unwrap(),
            "note   privileges: no CAP_SYS_PTRACE: no storage bytes of other users' processes; \
             run as root (sudo), or give the binary these (setcap)"
        );
    }
}
