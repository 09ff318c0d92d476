//! What would stop or spoil a measurement on this host, and what helps.
//!
//! [`gather`] reads the facts, which takes a moment; [`examine`] judges them, and is pure. Each
//! finding is one line: a fact, a judgement, and a remedy where there is one. The limits behind
//! the judgements stand beside them in `host.rs` and `storage.rs`.

mod gather;
mod host;
mod storage;
mod sysstat;

pub use gather::gather;
pub use sysstat::{DiskRates, iostat_rates};

use crate::{
    device::{DiskFacts, MountFacts},
    gpu::GpuFacts,
    host::Settings,
    nvme::SmartLog,
};
use record::{DeviceUnderTest, HostFacts};
use std::fmt;

/// What is known of the host, and of the device that holds a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The machine.
    pub host: HostFacts,
    /// How it is set.
    pub settings: Settings,
    /// Memory that can be had without swapping.
    pub mem_available_bytes: Option<u64>,
    /// The device that holds the path.
    pub device: DeviceUnderTest,
    /// What that device is.
    pub disk: Option<DiskFacts>,
    /// The file system that holds the path.
    pub mount: Option<MountFacts>,
    /// Whether its controller tells its temperature.
    pub has_temperature: bool,
    /// Its SMART log, or why it can't be read; absent if it is no NVMe drive.
    pub smart: Option<Result<SmartLog, String>>,
    /// The GPUs, or why none can be looked at.
    pub gpus: Result<Vec<GpuFacts>, String>,
    /// Whether the kernel can count how long each request took, or why not.
    pub block_latency: Result<(), String>,
    /// What iostat says of the device, and what we do; absent without iostat or device.
    pub sysstat: Option<Beside>,
}

/// The same figures from two tools.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beside {
    /// Ours, since boot.
    pub ours: DiskRates,
    /// iostat's, since boot.
    pub theirs: DiskRates,
}

/// How a fact bears on a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// As it should be.
    Good,
    /// Something that a reader of the figures should know, or that leaves a column empty.
    Note,
    /// It can change the figures, or takes a run its proof.
    Spoils,
    /// No run can be made.
    Stops,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Judgement::Good => "good",
            Judgement::Note => "note",
            Judgement::Spoils => "spoils",
            Judgement::Stops => "stops",
        })
    }
}

/// One line of the examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is of: `swap`.
    pub topic: &'static str,
    /// What is the case.
    pub fact: String,
    /// How that bears on a measurement.
    pub judgement: Judgement,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(topic: &'static str, fact: impl Into<String>) -> Self {
        Self {
            topic,
            fact: fact.into(),
            judgement: Judgement::Good,
            remedy: None,
        }
    }

    fn note(topic: &'static str, fact: impl Into<String>) -> Self {
        Self {
            judgement: Judgement::Note,
            ..Self::good(topic, fact)
        }
    }

    fn spoils(topic: &'static str, fact: impl Into<String>) -> Self {
        Self {
            judgement: Judgement::Spoils,
            ..Self::good(topic, fact)
        }
    }

    fn stops(topic: &'static str, fact: impl Into<String>) -> Self {
        Self {
            judgement: Judgement::Stops,
            ..Self::good(topic, fact)
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6} {}: {}", self.judgement, self.topic, self.fact)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// Judges the facts, in the order in which a reader goes through a machine.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = host::examine(facts);
    findings.extend(storage::examine(facts));
    findings
}

/// Bytes in GiB, as people compare them with what they bought or freed.
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::{Roots, device, host};
    use std::path::Path;

    /// A GB10 as it should be: each test spoils one thing.
    pub(crate) fn well() -> Facts {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gb10");
        let roots = Roots::under(Path::new(root));
        let mut settings = host::settings(&roots);
        settings.swaps.clear();
        settings.has_cachestat = true;
        settings.idle_exit_us = Some(10);
        settings.clock_source = Some("arch_sys_counter".to_owned());
        settings.privileges = host::Privileges {
            is_root: true,
            sys_admin: true,
            sys_ptrace: true,
            fowner: true,
            bpf: true,
        };
        let tool = |name| host::Tool {
            name,
            path: Path::new("/usr/bin").join(name),
        };
        settings.tools = vec![tool("iostat"), tool("mpstat"), tool("smartctl")];
        let rates = DiskRates {
            reads_s: 10.0,
            writes_s: 5.0,
            read_kib_s: 1000.0,
            written_kib_s: 500.0,
        };
        Facts {
            host: host::facts(&roots),
            settings,
            mem_available_bytes: Some(100 << 30),
            device: DeviceUnderTest {
                path: "/models".into(),
                name: Some("nvme0n1".to_owned()),
                partition: Some("nvme0n1p2".to_owned()),
                file_system: Some("ext4".to_owned()),
                model: Some("SAMSUNG MZALC4T0HBL1-00B07".to_owned()),
                why_not: None,
            },
            disk: device::disk_facts(&roots, "nvme0n1"),
            mount: Some(MountFacts {
                point: "/".into(),
                source: "/dev/nvme0n1p2".into(),
                file_system: "ext4".to_owned(),
                options: "rw,relatime".to_owned(),
                size_bytes: Some(4 << 40),
                available_bytes: Some(2 << 40),
            }),
            has_temperature: true,
            smart: Some(Ok(crate::nvme::parse_log(&[0; 512]))),
            gpus: Ok(vec![GpuFacts {
                number: 0,
                name: Some("NVIDIA GB10".to_owned()),
                driver: Some("580.95.05".to_owned()),
                memory_bytes: Some(1 << 36),
            }]),
            block_latency: Ok(()),
            sysstat: Some(Beside {
                ours: rates,
                theirs: rates,
            }),
        }
    }

    /// The worst that is said of a topic.
    pub(crate) fn worst(facts: &Facts, topic: &str) -> Option<Judgement> {
        let findings = examine(facts);
        let of_topic = findings.iter().filter(|finding| finding.topic == topic);
        of_topic.map(|finding| finding.judgement).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_as_it_should_be_is_good_throughout() {
        for finding in examine(&testing::well()) {
            assert_eq!(finding.judgement, Judgement::Good, "{finding}");
            assert_eq!(finding.remedy, None, "{finding}");
        }
    }

    #[test]
    fn whatever_spoils_or_stops_has_a_remedy() {
        let mut facts = testing::well();
        facts.settings = Default::default();
        facts.device.name = None;
        facts.disk = None;
        facts.mount = None;
        facts.smart = Some(Err("no".to_owned()));
        facts.gpus = Err("NVML: not found; install the driver".to_owned());
        facts.block_latency = Err("eBPF: denied".to_owned());
        facts.mem_available_bytes = Some(1);
        for finding in examine(&facts) {
            let is_bad = finding.judgement >= Judgement::Spoils;
            assert!(!is_bad || finding.remedy.is_some(), "{finding}");
        }
    }

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding::spoils("swap", "1.0 GiB used").remedy("swapoff -a");
        assert_eq!(finding.to_string(), "spoils swap: 1.0 GiB used; swapoff -a");
    }

    #[test]
    fn this_host_can_be_examined() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let findings = examine(&gather(&crate::Roots::default(), here));
        assert!(findings.iter().any(|finding| finding.topic == "kernel"));
        assert!(findings.iter().any(|finding| finding.topic == "device"));
    }
}
