//! The control group of a process, in either version.

use crate::{
    Roots, device,
    parse::{self, DeviceId, GroupIo, Mount},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files to read of a group; absent what this host does not count.
#[derive(Debug, Default)]
pub(super) struct Group {
    io: Option<PathBuf>,
    memory: Option<PathBuf>,
    /// The real disks: a mapped device's bytes are counted once more on the disk below.
    disks: Vec<DeviceId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupReading {
    pub(super) io: Option<GroupIo>,
    pub(super) memory_bytes: Option<u64>,
}

impl Group {
    /// The group of a process. The root group is nobody's: it holds the whole host.
    pub(super) fn of(roots: &Roots, pid: u32) -> Self {
        let proc = &roots.proc;
        let lines = fs::read(proc.join(pid.to_string()).join("cgroup")).unwrap_or_default();
        let mounts = fs::read(proc.join("self/mountinfo")).unwrap_or_default();
        let mounts = parse::mountinfo(&mounts).unwrap_or_default();
        let mut group = Self {
            disks: device::real_disk_ids(roots),
            ..Self::default()
        };
        for line in parse::cgroups(&lines) {
            if line.path == "/" {
                continue;
            }
            for mount in mounts
                .iter()
                .filter(|mount| serves(mount, &line.controllers))
            {
                let folder = mount.point.join(line.path.trim_start_matches('/'));
                group.take(&folder);
            }
        }
        group
    }

    /// Takes what this folder has and no other had.
    fn take(&mut self, folder: &Path) {
        let existing = |names: [&str; 2]| {
            let mut files = names.iter().map(|name| folder.join(name));
            files.find(|file| file.exists())
        };
        self.io = self
            .io
            .take()
            .or_else(|| existing(["io.stat", "blkio.throttle.io_service_bytes"]));
        self.memory = self
            .memory
            .take()
            .or_else(|| existing(["memory.current", "memory.usage_in_bytes"]));
    }

    pub(super) fn read(&self) -> GroupReading {
        let io = self.io.as_ref().and_then(|file| fs::read(file).ok());
        let memory = self.memory.as_ref().and_then(|file| fs::read(file).ok());
        GroupReading {
            io: io.map(|text| parse::group_io(&text, |id| self.disks.contains(&id))),
            memory_bytes: memory.and_then(|text| parse::number(text.trim_ascii())),
        }
    }
}

/// Whether a mount is the hierarchy of these controllers: version 2 where there are none.
fn serves(mount: &Mount, controllers: &str) -> bool {
    match mount.file_system.as_str() {
        "cgroup2" => controllers.is_empty(),
        "cgroup" => {
            let mut options = mount.super_options.split(',');
            !controllers.is_empty()
                && options.any(|option| controllers.split(',').any(|name| name == option))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A host with nvme0n1 as 259:0, and a process 7 in the groups that `lines` names.
    fn host(lines: &str, mounts: &str) -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::under(folder.path());
        let disk = roots.sys.join("devices/nvme0n1");
        for dir in [
            disk.join("device"),
            roots.sys.join("block"),
            roots.proc.join("7"),
        ] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::create_dir_all(roots.proc.join("self")).unwrap();
        fs::write(disk.join("size"), "8\n").unwrap();
        fs::write(disk.join("dev"), "259:0\n").unwrap();
        symlink(&disk, roots.sys.join("block/nvme0n1")).unwrap();
        fs::write(roots.proc.join("7/cgroup"), lines).unwrap();
        let mounts = mounts.replace("ROOT", folder.path().to_str().unwrap());
        fs::write(roots.proc.join("self/mountinfo"), mounts).unwrap();
        (folder, roots)
    }

    #[test]
    fn version_2() {
        let (folder, roots) = host("0::/srv\n", "1 0 0:9 / ROOT/cg rw - cgroup2 cgroup2 rw\n");
        let group = folder.path().join("cg/srv");
        fs::create_dir_all(&group).unwrap();
        let io = "259:0 rbytes=5 wbytes=6 rios=1 wios=1 dbytes=0 dios=0\n252:0 rbytes=5 wbytes=6\n";
        fs::write(group.join("io.stat"), io).unwrap();
        fs::write(group.join("memory.current"), "4096\n").unwrap();
        let reading = Group::of(&roots, 7).read();
        let io = GroupIo {
            read_bytes: 5,
            write_bytes: 6,
        };
        assert_eq!(
            reading,
            GroupReading {
                io: Some(io),
                memory_bytes: Some(4096)
            }
        );
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let mounts = "1 0 0:9 / ROOT/cg/blkio rw - cgroup cgroup rw,blkio\n\
            2 0 0:10 / ROOT/cg/memory rw - cgroup cgroup rw,memory\n\
            3 0 0:11 / ROOT/cg/unified rw - cgroup2 cgroup2 rw\n";
        let (folder, roots) = host("5:memory:/d/a\n4:blkio:/d/a\n0::/\n", mounts);
        let blkio = folder.path().join("cg/blkio/d/a");
        let memory = folder.path().join("cg/memory/d/a");
        fs::create_dir_all(&blkio).unwrap();
        fs::create_dir_all(&memory).unwrap();
        let io = "259:0 Read 7\n259:0 Write 8\n259:0 Total 15\nTotal 15\n";
        fs::write(blkio.join("blkio.throttle.io_service_bytes"), io).unwrap();
        fs::write(memory.join("memory.usage_in_bytes"), "8192\n").unwrap();
        let reading = Group::of(&roots, 7).read();
        let io = GroupIo {
            read_bytes: 7,
            write_bytes: 8,
        };
        assert_eq!(
            reading,
            GroupReading {
                io: Some(io),
                memory_bytes: Some(8192)
            }
        );
    }

    #[test]
    fn the_root_group_is_nobodys() {
        let (_folder, roots) = host("0::/\n", "1 0 0:9 / ROOT/proc rw - cgroup2 cgroup2 rw\n");
        assert_eq!(Group::of(&roots, 7).read(), GroupReading::default());
    }
}
