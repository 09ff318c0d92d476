//! The device under test, its drive, and the file system on it.

use super::{Beside, Facts, Finding, gib};
use crate::{
    device::{DiskFacts, MountFacts, PcieLink},
    nvme::SmartLog,
};

/// Results and logs of a long session fit; less ends it in the middle.
const LEAST_FREE_BYTES: u64 = 1 << 30;
/// A fuller drive writes more slowly: it has fewer erased blocks and less of its cache.
const LEAST_FREE_SHARE: f64 = 0.1;
/// Where most drives begin to hold themselves back, in degrees Celsius.
const HOT_C: u16 = 70;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![device(facts)];
    if let Some(disk) = &facts.disk {
        findings.push(queue(disk));
        findings.extend(disk.pcie.as_ref().map(link));
    }
    findings.extend(facts.mount.as_ref().map(free_space));
    findings.extend(drive(facts));
    findings.push(latency(&facts.block_latency));
    findings.extend(facts.sysstat.as_ref().map(beside));
    findings
}

fn device(facts: &Facts) -> Finding {
    let device = &facts.device;
    let path = device.path.display();
    let Some(name) = &device.name else {
        let why_not = device.why_not.as_deref().unwrap_or("unknown");
        return Finding::spoils(
            "device",
            format!("{path} is on no drive that can be watched: {why_not}"),
        )
        .remedy("name a path on the drive that the server reads");
    };
    let whole = device.partition.as_deref().unwrap_or(name);
    let fact = format!(
        "{path} is on {whole} ({}), {}",
        device.file_system.as_deref().unwrap_or("no file system"),
        device.model.as_deref().unwrap_or("of unknown model"),
    );
    if facts
        .disk
        .as_ref()
        .is_some_and(|disk| disk.rotational == Some(true))
    {
        return Finding::note(
            "device",
            format!("{fact}; it says that it has spinning parts, as some virtual disks do"),
        );
    }
    Finding::good("device", fact)
}

fn queue(disk: &DiskFacts) -> Finding {
    let scheduler = disk.scheduler.as_deref().unwrap_or("unknown");
    let number = |value: Option<u64>| value.map_or("unknown".to_owned(), |n| n.to_string());
    let fact = format!(
        "scheduler {scheduler}, read-ahead {} KiB, {} requests",
        number(disk.read_ahead_kib),
        number(disk.nr_requests),
    );
    if scheduler == "bfq" {
        return Finding::note("queue", format!("{fact}: bfq trades latency for fairness")).remedy(
            format!(
                "echo none | sudo tee /sys/block/{}/queue/scheduler",
                disk.name
            ),
        );
    }
    Finding::good("queue", fact)
}

fn link(link: &PcieLink) -> Finding {
    let of = |speed: &Option<String>, width: Option<u64>| {
        let speed = speed.as_deref().unwrap_or("unknown speed");
        let width = width.map_or("?".to_owned(), |lanes| lanes.to_string());
        format!("{speed} x{width}")
    };
    let now = of(&link.speed, link.width);
    // What is not told can't be compared.
    let is_told = link.max_speed.is_some() && link.max_width.is_some();
    if is_told && link.is_reduced() {
        let best = of(&link.max_speed, link.max_width);
        return Finding::spoils("PCIe link", format!("{now}, but the drive can {best}")).remedy(
            "check the slot, its lanes in the firmware's settings, and power saving (ASPM)",
        );
    }
    Finding::good("PCIe link", now)
}

fn free_space(mount: &MountFacts) -> Finding {
    let (Some(free), Some(size)) = (mount.available_bytes, mount.size_bytes) else {
        return Finding::note("free space", "the file system doesn't tell");
    };
    let point = mount.point.display();
    let fact = format!("{} of {} on {point}", gib(free), gib(size));
    let remedy = "free some, or name a path on another drive";
    if free < LEAST_FREE_BYTES {
        Finding::stops("free space", format!("{fact}: too little for a session")).remedy(remedy)
    } else if (free as f64) < LEAST_FREE_SHARE * size as f64 {
        Finding::note(
            "free space",
            format!("{fact}: a drive this full writes slowly"),
        )
        .remedy(remedy)
    } else {
        Finding::good("free space", fact)
    }
}

fn drive(facts: &Facts) -> Vec<Finding> {
    let Some(smart) = &facts.smart else {
        return vec![Finding::note(
            "drive",
            "no NVMe drive: no SMART log that counts its bytes, and no thermal state",
        )];
    };
    let mut findings = match smart {
        Ok(log) => health(log),
        Err(why_not) => vec![Finding::note("drive", why_not.clone())],
    };
    if !facts.has_temperature {
        findings.push(
            Finding::note("drive", "its temperature is not told during a run")
                .remedy("the kernel needs CONFIG_NVME_HWMON"),
        );
    }
    findings
}

fn health(log: &SmartLog) -> Vec<Finding> {
    /// The bits of "critical warning" (NVM Express base specification, SMART / Health).
    const WARNINGS: &[&str] = &[
        "spare blocks run out",
        "too hot or too cold",
        "unreliable",
        "read-only",
        "its backup of volatile memory failed",
        "its persistent memory failed",
    ];
    let celsius = log.temp_kelvin.saturating_sub(273);
    let mut findings = Vec::new();
    if log.critical_warning != 0 {
        let warnings = WARNINGS.iter().enumerate();
        let set = warnings.filter(|(bit, _)| log.critical_warning >> bit & 1 == 1);
        let set: Vec<_> = set.map(|(_, warning)| *warning).collect();
        findings.push(
            Finding::spoils("drive", format!("it warns: {}", set.join(", ")))
                .remedy("cool or replace it before its figures are used"),
        );
    }
    if celsius >= HOT_C {
        findings.push(
            Finding::spoils("drive", format!("{celsius} C: it may hold itself back"))
                .remedy("let it cool down, and see to its air flow"),
        );
    }
    if log.used_pct >= 100 || log.media_errors > 0 {
        findings.push(Finding::note(
            "drive",
            format!(
                "{} % of its rated endurance used, {} errors of the medium: worn, it is slower",
                log.used_pct, log.media_errors
            ),
        ));
    }
    if findings.is_empty() {
        let fact = format!(
            "{celsius} C, {} % of its rated endurance used",
            log.used_pct
        );
        findings.push(Finding::good("drive", fact));
    }
    findings
}

fn latency(available: &Result<(), String>) -> Finding {
    match available {
        Ok(()) => Finding::good("block latency", "each request can be timed (eBPF)"),
        Err(why_not) => Finding::note("block latency", format!("means only: {why_not}")),
    }
}

fn beside(Beside { ours, theirs }: &Beside) -> Finding {
    let fact = format!("since boot, iostat has {theirs} and we have {ours}");
    if ours.agrees(theirs) {
        return Finding::good("cross-check", fact);
    }
    Finding::spoils("cross-check", fact).remedy(
        "report it with the output of `iostat -d -x -o JSON` and the device's /sys/block/*/stat",
    )
}

#[cfg(test)]
mod tests {
    use super::super::{
        Judgement::{self, Good, Note, Spoils, Stops},
        testing::{well, worst},
    };
    use super::*;

    type Case = (&'static str, fn(&mut Facts), Judgement);

    const CASES: &[Case] = &[
        ("device", |facts| facts.device.name = None, Spoils),
        ("device", |facts| disk(facts).rotational = Some(true), Note),
        (
            "queue",
            |facts| disk(facts).scheduler = Some("bfq".into()),
            Note,
        ),
        ("queue", |facts| disk(facts).scheduler = None, Good),
        (
            "PCIe link",
            |facts| disk(facts).pcie.as_mut().unwrap().width = Some(2),
            Spoils,
        ),
        (
            "PCIe link",
            |facts| disk(facts).pcie = Some(half_told()),
            Good,
        ),
        (
            "free space",
            |facts| mount(facts).available_bytes = Some(1 << 20),
            Stops,
        ),
        (
            "free space",
            |facts| mount(facts).available_bytes = Some(9 << 30),
            Note,
        ),
        (
            "free space",
            |facts| mount(facts).available_bytes = None,
            Note,
        ),
        ("drive", |facts| facts.smart = None, Note),
        (
            "drive",
            |facts| facts.smart = Some(Err("denied".into())),
            Note,
        ),
        ("drive", |facts| facts.has_temperature = false, Note),
        ("drive", |facts| log(facts).critical_warning = 0b10, Spoils),
        ("drive", |facts| log(facts).temp_kelvin = 273 + 75, Spoils),
        ("drive", |facts| log(facts).media_errors = 1, Note),
        ("drive", |facts| log(facts).used_pct = 103, Note),
        (
            "block latency",
            |facts| facts.block_latency = Err("eBPF: denied".into()),
            Note,
        ),
        (
            "cross-check",
            |facts| theirs(facts).read_kib_s = 1030.0,
            Spoils,
        ),
        (
            "cross-check",
            |facts| theirs(facts).read_kib_s = 1010.0,
            Good,
        ),
    ];

    fn disk(facts: &mut Facts) -> &mut DiskFacts {
        facts.disk.as_mut().unwrap()
    }

    fn mount(facts: &mut Facts) -> &mut MountFacts {
        facts.mount.as_mut().unwrap()
    }

    fn log(facts: &mut Facts) -> &mut SmartLog {
        facts.smart.as_mut().unwrap().as_mut().unwrap()
    }

    fn theirs(facts: &mut Facts) -> &mut super::super::DiskRates {
        &mut facts.sysstat.as_mut().unwrap().theirs
    }

    fn half_told() -> PcieLink {
        PcieLink {
            speed: Some("2.5 GT/s PCIe".into()),
            ..PcieLink::default()
        }
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
    fn a_drives_warnings_are_named() {
        let mut facts = well();
        log(&mut facts).critical_warning = 0b1001;
        let findings = examine(&facts);
        let drive = findings.iter().find(|finding| finding.topic == "drive");
        assert_eq!(
            drive.unwrap().fact,
            "it warns: spare blocks run out, read-only"
        );
    }
}
