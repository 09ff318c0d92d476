//! What a whole device is, and how its queue and its file system are set.

use super::sysfs::{self, BlockDevice, trimmed};
use crate::{Roots, parse};
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A whole block device. What the kernel does not say is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskFacts {
    /// The name, as the kernel gives it.
    pub name: String,
    /// The model.
    pub model: Option<String>,
    /// The firmware's version.
    pub firmware: Option<String>,
    /// The NVMe controller: `nvme0`.
    pub controller: Option<String>,
    /// The controller's link, if it is on PCI Express.
    pub pcie: Option<PcieLink>,
    /// The size.
    pub size_bytes: Option<u64>,
    /// The I/O scheduler in use.
    pub scheduler: Option<String>,
    /// How far the page cache reads ahead.
    pub read_ahead_kib: Option<u64>,
    /// Requests that the queue holds.
    pub nr_requests: Option<u64>,
    /// The largest single request.
    pub max_sectors_kib: Option<u64>,
    /// `write back` or `write through`.
    pub write_cache: Option<String>,
    /// The smallest unit that can be addressed.
    pub logical_block_bytes: Option<u64>,
    /// The smallest unit that is written without a read.
    pub physical_block_bytes: Option<u64>,
    /// Whether it has spinning parts, or says so, as a virtual disk may.
    pub rotational: Option<bool>,
    /// The whole devices that a mapped device lies on.
    pub below: Vec<String>,
}

/// A PCI Express link, as it is and as it could be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcieLink {
    /// `32.0 GT/s PCIe`.
    pub speed: Option<String>,
    /// Lanes in use.
    pub width: Option<u64>,
    /// The fastest that the device supports.
    pub max_speed: Option<String>,
    /// The lanes that the device has.
    pub max_width: Option<u64>,
}

impl PcieLink {
    /// Whether the link runs slower or narrower than the device could.
    pub fn is_reduced(&self) -> bool {
        self.speed != self.max_speed || self.width != self.max_width
    }
}

/// The facts of a whole device, by its kernel name; absent if there is no such device.
pub fn disk_facts(roots: &Roots, name: &str) -> Option<DiskFacts> {
    let device = sysfs::by_name(roots, name)?.whole;
    let dir = device.dir();
    let text = |file: &str| trimmed(&dir.join(file));
    let number = |file: &str| parse::number(text(file)?.as_bytes());
    let controller = device.controller();
    let below = device.below(roots);
    Some(DiskFacts {
        name: device.name(),
        model: super::model(roots, &device),
        firmware: text("device/firmware_rev").or_else(|| text("device/rev")),
        pcie: controller.as_deref().and_then(pcie_link),
        controller: controller.as_deref().map(sysfs::name),
        size_bytes: number("size").and_then(|sectors| sectors.checked_mul(512)),
        scheduler: text("queue/scheduler").as_deref().map(chosen),
        read_ahead_kib: number("queue/read_ahead_kb"),
        nr_requests: number("queue/nr_requests"),
        max_sectors_kib: number("queue/max_sectors_kb"),
        write_cache: text("queue/write_cache"),
        logical_block_bytes: number("queue/logical_block_size"),
        physical_block_bytes: number("queue/physical_block_size"),
        rotational: number("queue/rotational").map(|value| value != 0),
        below: below.iter().map(BlockDevice::name).collect(),
    })
}

/// `none [mq-deadline] kyber` has the one in use in brackets; a single one may have none.
fn chosen(schedulers: &str) -> String {
    let bracketed = schedulers
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    bracketed.map_or(schedulers, |(name, _)| name).to_owned()
}

fn pcie_link(controller: &Path) -> Option<PcieLink> {
    let pci = controller.join("device");
    let text = |file: &str| trimmed(&pci.join(file)).filter(|text| text != "Unknown");
    // Without a link, as in some guests, the kernel prints 0 lanes, and 255 for the most.
    let lanes = |file: &str| {
        let lanes = parse::number(text(file)?.as_bytes())?;
        (1..=32).contains(&lanes).then_some(lanes)
    };
    let link = PcieLink {
        speed: text("current_link_speed"),
        width: lanes("current_link_width"),
        max_speed: text("max_link_speed"),
        max_width: lanes("max_link_width"),
    };
    (link != PcieLink::default()).then_some(link)
}

/// The file system that holds a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFacts {
    /// Where it is mounted.
    pub point: PathBuf,
    /// What is mounted.
    pub source: PathBuf,
    /// Its type.
    pub file_system: String,
    /// The options of the mount and of the file system, as the kernel lists them.
    pub options: String,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// What a user without privileges can still write.
    pub available_bytes: Option<u64>,
}

/// The file system that holds `path`, or its nearest existing parent; absent if none is known.
pub fn mount_facts(roots: &Roots, path: &Path) -> Option<MountFacts> {
    let (file, mount) = super::under_test::file_and_mount(roots, path)?;
    let space = statvfs(&file).ok();
    let bytes = |blocks: u64| {
        let fragment = space.map_or(0, |space| space.fragment_size());
        blocks.checked_mul(fragment)
    };
    Some(MountFacts {
        options: format!("{},{}", mount.options, mount.super_options),
        point: mount.point,
        source: mount.source,
        file_system: mount.file_system,
        size_bytes: space.and_then(|space| bytes(space.blocks())),
        available_bytes: space.and_then(|space| bytes(space.blocks_available())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_gb10() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gb10");
        let facts = disk_facts(&Roots::under(Path::new(root)), "nvme0n1p2").unwrap();
        assert_eq!(facts.name, "nvme0n1");
        assert_eq!(facts.model.as_deref(), Some("SAMSUNG MZALC4T0HBL1-00B07"));
        assert_eq!(facts.firmware.as_deref(), Some("GXA75W1Q"));
        assert_eq!(facts.controller.as_deref(), Some("nvme0"));
        assert_eq!(facts.scheduler.as_deref(), Some("none"));
        assert_eq!(
            (facts.read_ahead_kib, facts.nr_requests),
            (Some(128), Some(1023))
        );
        assert_eq!(facts.size_bytes, Some(4_096_805_658_624));
        assert_eq!(facts.rotational, Some(false));
        let link = facts.pcie.unwrap();
        assert_eq!(link.speed.as_deref(), Some("32.0 GT/s PCIe"));
        assert_eq!(link.width, Some(4));
        assert!(!link.is_reduced());
    }

    #[test]
    fn the_scheduler_in_use_is_in_brackets() {
        assert_eq!(chosen("none [mq-deadline] kyber"), "mq-deadline");
        assert_eq!(chosen("none"), "none");
    }

    #[test]
    fn this_file_lies_on_something() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mount = mount_facts(&Roots::default(), here).unwrap();
        assert!(here.starts_with(&mount.point));
        assert!(mount.available_bytes.unwrap() <= mount.size_bytes.unwrap());
    }
}
