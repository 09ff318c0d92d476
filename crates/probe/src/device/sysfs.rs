//! Block devices as /sys shows them (Documentation/ABI/stable/sysfs-block).

use crate::{
    Roots,
    parse::{self, DeviceId},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A whole block device, by its folder under /sys/devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockDevice {
    dir: PathBuf,
}

/// A block device, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) whole: BlockDevice,
    pub(super) partition: Option<String>,
}

impl BlockDevice {
    pub(super) fn name(&self) -> String {
        name(&self.dir)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the hardware that the device stands for.
    pub(super) fn hardware(&self) -> Option<PathBuf> {
        fs::canonicalize(self.dir.join("device")).ok()
    }

    /// The folder of the NVMe controller. A namespace with several lies below their subsystem:
    /// then the first that is live.
    pub(super) fn controller(&self) -> Option<PathBuf> {
        let parent = self.hardware()?;
        if is_controller(&name(&parent)) {
            return Some(parent);
        }
        let controllers = entries(&parent)
            .into_iter()
            .filter(|name| is_controller(name));
        controllers
            .filter_map(|name| fs::canonicalize(parent.join(name)).ok())
            .find(|dir| trimmed(&dir.join("state")).is_none_or(|state| state == "live"))
    }

    pub(super) fn model(&self) -> Option<String> {
        trimmed(&self.dir.join("device/model"))
    }

    /// The whole devices that a mapped device (dm, md) lies on.
    pub(super) fn below(&self, roots: &Roots) -> Vec<BlockDevice> {
        let slaves = entries(&self.dir.join("slaves"));
        let located = slaves.iter().filter_map(|slave| by_name(roots, slave));
        located.map(|located| located.whole).collect()
    }
}

/// `nvme0`, but neither `nvme0n1` nor `nvme-subsys0`.
fn is_controller(name: &str) -> bool {
    name.strip_prefix("nvme")
        .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// The device with this number.
pub(super) fn by_id(roots: &Roots, id: DeviceId) -> Option<Located> {
    located(&roots.sys.join("dev/block").join(id.to_string()))
}

/// The device or partition of this name.
pub(super) fn by_name(roots: &Roots, name: &str) -> Option<Located> {
    located(&roots.sys.join("class/block").join(name))
}

/// Follows a link to the device's folder; a partition's lies within its whole device's.
fn located(link: &Path) -> Option<Located> {
    let dir = fs::canonicalize(link).ok()?;
    if !dir.join("partition").exists() {
        let whole = BlockDevice { dir };
        return Some(Located {
            whole,
            partition: None,
        });
    }
    Some(Located {
        partition: Some(name(&dir)),
        whole: BlockDevice {
            dir: dir.parent()?.to_owned(),
        },
    })
}

/// The whole disks that stand for hardware, by name. What is made of files, memory or other
/// devices (loop, ram, zram, dm, md) has no `device` link; an empty drive has no size; a path of
/// a multipath NVMe namespace is `hidden` behind the namespace itself.
pub(super) fn real_disks(roots: &Roots) -> Vec<String> {
    let block = roots.sys.join("block");
    let mut disks = entries(&block);
    disks.retain(|name| {
        let dir = block.join(name);
        let number = |file: &str| parse::number(trimmed(&dir.join(file))?.as_bytes());
        dir.join("device").exists()
            && number("size").is_some_and(|sectors| sectors > 0)
            && number("hidden").unwrap_or(0) == 0
    });
    disks
}

/// The names in a folder, sorted; none if it is not there.
pub(super) fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

pub(super) fn trimmed(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
