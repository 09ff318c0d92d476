//! From a path to the block device that holds it.

use super::{
    model,
    sysfs::{self, Located},
};
use crate::{
    Roots,
    parse::{self, DeviceId, Mount},
};
use nix::sys::stat::{major, minor};
use record::DeviceUnderTest;
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Finds the block device that holds `path`: model files, or a results folder, which need not be
/// there yet. Where there is none, `why_not` says why and what to do.
pub fn resolve(roots: &Roots, path: &Path) -> DeviceUnderTest {
    let (mount, found) = match look_up(path) {
        Ok((file, id)) => {
            let mounts = mounts(roots);
            // A drive that is named itself has no file system that would matter.
            let mount = mount_of(&mounts, &file, id).filter(|_| !is_drive(&file));
            let mount = mount.cloned();
            let found = locate(roots, &mounts, &file, id);
            (mount, found)
        }
        Err(why_not) => (None, Err(why_not)),
    };
    describe(roots, path, mount, found)
}

/// The nearest existing part of `path`, and the mount that holds it.
pub(super) fn file_and_mount(roots: &Roots, path: &Path) -> Option<(PathBuf, Mount)> {
    let (file, id) = look_up(path).ok()?;
    let mount = mount_of(&mounts(roots), &file, id)?.clone();
    Some((file, mount))
}

fn describe(
    roots: &Roots,
    path: &Path,
    mount: Option<Mount>,
    found: Result<Located, String>,
) -> DeviceUnderTest {
    let (located, why_not) = match found {
        Ok(located) => (Some(located), None),
        Err(why_not) => (None, Some(why_not)),
    };
    let whole = located.as_ref().map(|located| &located.whole);
    DeviceUnderTest {
        path: path.to_owned(),
        name: whole.map(|whole| whole.name()),
        model: whole.and_then(|whole| model(roots, whole)),
        partition: located.and_then(|located| located.partition),
        file_system: mount.map(|mount| mount.file_system),
        why_not,
    }
}

/// The nearest part of the path that exists, by its real name, and the device that `stat` gives.
fn look_up(path: &Path) -> Result<(PathBuf, DeviceId), String> {
    let cannot = |error| format!("cannot look at {}: {error}", path.display());
    let absolute = std::path::absolute(path).map_err(cannot)?;
    let existing = absolute.ancestors().find(|part| part.exists());
    let file = fs::canonicalize(existing.unwrap_or(&absolute)).map_err(cannot)?;
    let metadata = fs::metadata(&file).map_err(cannot)?;
    // A drive's own file lies on devtmpfs: the drive itself is meant.
    let number = if is_drive(&file) {
        metadata.rdev()
    } else {
        metadata.dev()
    };
    Ok((file, device_id(number)))
}

fn is_drive(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

fn device_id(number: u64) -> DeviceId {
    DeviceId {
        major: major(number),
        minor: minor(number),
    }
}

fn mounts(roots: &Roots) -> Vec<Mount> {
    // Without the list, a device that has a number of its own is found all the same.
    let text = fs::read(roots.proc.join("self/mountinfo")).unwrap_or_default();
    parse::mountinfo(&text).unwrap_or_default()
}

/// The mount that holds `file`: the deepest above it, and of two at one place the last. On btrfs,
/// `stat` gives a subvolume's number, which is no mount's: then the place alone decides.
fn mount_of<'a>(mounts: &'a [Mount], file: &Path, id: DeviceId) -> Option<&'a Mount> {
    let above = || mounts.iter().filter(|mount| file.starts_with(&mount.point));
    let depth = |mount: &&Mount| mount.point.components().count();
    let of_device = above().filter(|mount| mount.device == id);
    of_device
        .max_by_key(depth)
        .or_else(|| above().max_by_key(depth))
}

/// The device behind a file's device number, or why there is none.
fn locate(roots: &Roots, mounts: &[Mount], file: &Path, id: DeviceId) -> Result<Located, String> {
    if let Some(located) = sysfs::by_id(roots, id) {
        return Ok(located);
    }
    let shown = file.display();
    let Some(mount) = mount_of(mounts, file, id) else {
        return Err(format!(
            "{shown} is on device {id}, which is neither in /sys/dev/block nor mounted here; name \
             a path on a disk"
        ));
    };
    let source = mount.source.display();
    match mount.file_system.as_str() {
        "overlay" => below_overlay(roots, mounts, file, mount),
        memory @ ("tmpfs" | "ramfs" | "devtmpfs") => Err(format!(
            "{shown} is in memory ({memory}); name a path on a disk"
        )),
        // File systems over several devices, or with subvolumes, have a number that is none of
        // their devices'; the first device is their source.
        other => by_source(roots, &mount.source).ok_or_else(|| {
            format!(
                "{shown} is on {other} from {source}, which is no block device of this host; name \
                 a path on a local disk"
            )
        }),
    }
}

fn by_source(roots: &Roots, source: &Path) -> Option<Located> {
    if !source.starts_with("/dev") {
        return None;
    }
    let node = fs::metadata(source).ok();
    let node = node.filter(|node| node.file_type().is_block_device());
    let by_id = node.and_then(|node| sysfs::by_id(roots, device_id(node.rdev())));
    by_id.or_else(|| sysfs::by_name(roots, source.file_name()?.to_str()?))
}

/// A container's files: what is written goes to the upper folder, and the lower ones usually lie
/// in the same store.
fn below_overlay(
    roots: &Roots,
    mounts: &[Mount],
    file: &Path,
    overlay: &Mount,
) -> Result<Located, String> {
    let shown = file.display();
    let upper = overlay
        .super_options
        .split(',')
        .find_map(|option| option.strip_prefix("upperdir="));
    let Some(upper) = upper.map(Path::new) else {
        return Err(format!(
            "{shown} is on an overlay without an upper folder; bind-mount the folder from a disk"
        ));
    };
    let hidden = || {
        format!(
            "{shown} is on an overlay whose upper folder {} can't be seen from here, as in a \
             container; bind-mount the folder from a disk",
            upper.display()
        )
    };
    let metadata = fs::metadata(upper).map_err(|_| hidden())?;
    let id = device_id(metadata.dev());
    // An overlay on an overlay is refused by its own message: the number is anonymous again.
    match sysfs::by_id(roots, id) {
        Some(located) => Ok(located),
        None => mount_of(mounts, upper, id)
            .and_then(|mount| by_source(roots, &mount.source))
            .ok_or_else(hidden),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree with nvme0n1, its partition p2, and dm-0 on that partition.
    fn tree() -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::under(folder.path());
        let sys = &roots.sys;
        let whole = sys.join("devices/pci0/nvme/nvme0/nvme0n1");
        let mapped = sys.join("devices/virtual/block/dm-0");
        for dir in [
            whole.join("nvme0n1p2"),
            whole.join("device"),
            mapped.join("slaves"),
            sys.join("dev/block"),
            sys.join("class/block"),
            sys.join("block"),
            roots.proc.join("self"),
        ] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(
            whole.join("device/model"),
            "SAMSUNG MZALC4T0HBL1-00B07          \n",
        )
        .unwrap();
        fs::write(whole.join("size"), "8001573552\n").unwrap();
        fs::write(whole.join("nvme0n1p2/partition"), "2\n").unwrap();
        let devices = [
            ("nvme0n1", "259:0", whole.clone()),
            ("nvme0n1p2", "259:2", whole.join("nvme0n1p2")),
            ("dm-0", "252:0", mapped.clone()),
        ];
        for (name, id, dir) in devices {
            symlink(&dir, sys.join("class/block").join(name)).unwrap();
            symlink(&dir, sys.join("dev/block").join(id)).unwrap();
        }
        symlink(&whole, sys.join("block/nvme0n1")).unwrap();
        symlink(&mapped, sys.join("block/dm-0")).unwrap();
        symlink(whole.join("nvme0n1p2"), mapped.join("slaves/nvme0n1p2")).unwrap();
        (folder, roots)
    }

    fn id(major: u64, minor: u64) -> DeviceId {
        DeviceId { major, minor }
    }

    fn resolved(roots: &Roots, mounts: &str, id: DeviceId) -> DeviceUnderTest {
        let mounts = parse::mountinfo(mounts.as_bytes()).unwrap();
        let file = Path::new("/models/a.gguf");
        let mount = mount_of(&mounts, file, id).cloned();
        describe(roots, file, mount, locate(roots, &mounts, file, id))
    }

    #[test]
    fn the_root_of_a_gb10_leads_to_its_whole_device() {
        let roots = Roots::under(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/gb10"
        )));
        let mounts = fs::read_to_string(roots.proc.join("self/mountinfo")).unwrap();
        let device = resolved(&roots, &mounts, id(259, 2));
        assert_eq!(device.name.as_deref(), Some("nvme0n1"));
        assert_eq!(device.partition.as_deref(), Some("nvme0n1p2"));
        assert_eq!(device.file_system.as_deref(), Some("ext4"));
        assert_eq!(device.model.as_deref(), Some("SAMSUNG MZALC4T0HBL1-00B07"));
        assert_eq!(device.why_not, None);
        // The loop device is no disk; the other partition is not under test.
        let sampled = super::super::to_sample(&roots, Some(&device));
        assert_eq!(sampled, ["nvme0n1", "nvme0n1p2"]);
    }

    #[test]
    fn a_mapped_device_is_sampled_beside_the_disk_below() {
        let (_folder, roots) = tree();
        let mounts = "27 1 252:0 / / rw - xfs /dev/mapper/vg-root rw\n";
        let device = resolved(&roots, mounts, id(252, 0));
        assert_eq!(device.name.as_deref(), Some("dm-0"));
        assert_eq!(device.partition, None);
        assert_eq!(device.model.as_deref(), Some("SAMSUNG MZALC4T0HBL1-00B07"));
        let sampled = super::super::to_sample(&roots, Some(&device));
        assert_eq!(sampled, ["dm-0", "nvme0n1"]);
    }

    #[test]
    fn an_anonymous_number_is_followed_by_the_mounts_source() {
        let (_folder, roots) = tree();
        let mounts = "27 1 0:31 / / rw - btrfs /dev/nvme0n1p2 rw,subvol=/\n";
        let device = resolved(&roots, mounts, id(0, 44));
        assert_eq!(device.partition.as_deref(), Some("nvme0n1p2"));
        assert_eq!(device.file_system.as_deref(), Some("btrfs"));
    }

    #[test]
    fn where_there_is_no_device_the_reason_is_told() {
        let (_folder, roots) = tree();
        let why_not = |mounts: &str| {
            let device = resolved(&roots, mounts, id(0, 44));
            assert_eq!(device.name, None);
            device.why_not.unwrap()
        };
        assert_eq!(
            why_not("27 1 0:44 / / rw - tmpfs tmpfs rw\n"),
            "/models/a.gguf is in memory (tmpfs); name a path on a disk"
        );
        assert_eq!(
            why_not("27 1 0:44 / / rw - nfs4 nas:/models rw\n"),
            "/models/a.gguf is on nfs4 from nas:/models, which is no block device of this host; \
             name a path on a local disk"
        );
        assert_eq!(
            why_not("27 1 0:44 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/no/such/u\n"),
            "/models/a.gguf is on an overlay whose upper folder /no/such/u can't be seen from \
             here, as in a container; bind-mount the folder from a disk"
        );
        assert_eq!(
            why_not(""),
            "/models/a.gguf is on device 0:44, which is neither in /sys/dev/block nor mounted \
             here; name a path on a disk"
        );
    }

    #[test]
    fn the_deepest_and_last_mount_holds_a_file() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /models rw - xfs /dev/sdb rw\n\
            3 1 8:3 / /models rw - ext4 /dev/sdc rw\n4 1 8:4 / /modelsx rw - ext4 /dev/sdd rw\n";
        let mounts = parse::mountinfo(text).unwrap();
        let mount = mount_of(&mounts, Path::new("/models/a"), id(9, 9)).unwrap();
        assert_eq!(mount.source, Path::new("/dev/sdc"));
        let mount = mount_of(&mounts, Path::new("/models/a"), id(8, 2)).unwrap();
        assert_eq!(mount.source, Path::new("/dev/sdb"));
    }

    #[test]
    fn a_path_that_is_not_there_yet_counts_by_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let (file, _) = look_up(&folder.path().join("not/yet")).unwrap();
        assert_eq!(file, fs::canonicalize(folder.path()).unwrap());
    }
}
