//! Block devices: which one holds a path, what it is, and which ones to sample.

mod facts;
mod sysfs;
pub(crate) mod temperature;
mod under_test;

pub use facts::{DiskFacts, MountFacts, PcieLink, disk_facts, mount_facts};
pub use temperature::warning_c;
pub use under_test::resolve;

use crate::{Roots, parse::DeviceId};
use record::DeviceUnderTest;
use sysfs::BlockDevice;

/// The names of the devices to sample: the one under test, its partition, and every real whole
/// disk, in this order and without repeats.
pub(crate) fn to_sample(roots: &Roots, under_test: Option<&DeviceUnderTest>) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(device) = under_test {
        names.extend(device.name.clone());
        names.extend(device.partition.clone());
    }
    for disk in sysfs::real_disks(roots) {
        if !names.contains(&disk) {
            names.push(disk);
        }
    }
    names
}

/// The numbers of the real whole disks.
pub(crate) fn real_disk_ids(roots: &Roots) -> Vec<DeviceId> {
    let disks = sysfs::real_disks(roots).into_iter();
    let ids = disks.filter_map(|disk| {
        let file = roots.sys.join("block").join(disk).join("dev");
        DeviceId::parse(sysfs::trimmed(&file)?.as_bytes())
    });
    ids.collect()
}

/// The name of the device with these numbers; the numbers themselves if there is none now.
pub(crate) fn name_of(roots: &Roots, major: u32, minor: u32) -> String {
    let numbers = format!("{major}:{minor}");
    let link = roots.sys.join("dev/block").join(&numbers);
    let folder = std::fs::canonicalize(link);
    folder.map_or(numbers, |folder| sysfs::name(&folder))
}

/// Whether the name is a whole device's, not a partition's.
pub(crate) fn is_whole(roots: &Roots, name: &str) -> bool {
    sysfs::by_name(roots, name).is_some_and(|located| located.partition.is_none())
}

/// The model of a whole device. A mapped device (dm, md) has none of its own: if it lies on one
/// disk alone, that disk's.
fn model(roots: &Roots, device: &BlockDevice) -> Option<String> {
    // A mapped device may lie on a mapped device; no real stack is deeper than this.
    const DEEPEST: usize = 8;
    let mut device = device.clone();
    for _ in 0..DEEPEST {
        if let Some(model) = device.model() {
            return Some(model);
        }
        let [below] = &device.below(roots)[..] else {
            return None;
        };
        device = below.clone();
    }
    None
}
