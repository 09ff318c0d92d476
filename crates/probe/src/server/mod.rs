//! The server under test as the kernel sees it: its process tree and its control group.
//!
//! The tree's root is named by number, by the port that it listens on, or by its container.
//! Memory that a GPU's driver allocates is in none of these figures: it is charged to nobody.

mod cgroup;
mod find;
mod tree;

pub use find::{ServerError, by_pid, in_container, listening_on};

use crate::{
    Roots,
    background::{Background, Fill},
    parse::UserHz,
};
use cgroup::Group;
use record::{Server, Value};
use std::{io, time::Duration};
use tree::{Tree, TreeReading};

/// Reading a tree of hundreds of threads takes milliseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// A process, named so that another that gets its number later is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks of USER_HZ since boot.
    pub start_ticks: u64,
}

impl ServerProcess {
    /// Whether it still runs: the same process, not another of its number.
    pub fn is_alive(&self, roots: &Roots) -> bool {
        by_pid(roots, self.pid).is_ok_and(|process| process == *self)
    }
}

impl ServerProcess {
    /// Whether it is `other`, or was started by it or by one that it started.
    pub fn descends_from(&self, roots: &Roots, other: ServerProcess) -> bool {
        // No tree is so deep; a process that ends meanwhile ends the way.
        let parents = std::iter::successors(Some(self.pid), |pid| {
            let stat = tree::stat(&roots.proc.join(pid.to_string()))?;
            (stat.parent > 0).then_some(stat.parent)
        });
        parents.take(64).any(|pid| pid == other.pid)
    }

    /// What its processes have caused to be read from storage since they began (proc(5),
    /// `/proc/PID/io`); absent where that is not ours to see.
    pub fn read_bytes(&self, roots: &Roots) -> Option<u64> {
        Tree::new(roots, *self).read().counters.read_bytes
    }
}

/// Reads the tree again and again into its columns.
pub(crate) fn watch(roots: &Roots, root: ServerProcess) -> io::Result<Box<dyn Fill + Send>> {
    let roots = roots.clone();
    let begin = move || {
        let hz = UserHz::of_this_system();
        let group = Group::of(&roots, root.pid);
        let mut tree = Tree::new(&roots, root);
        Some(move || Reading {
            tree: tree.read(),
            group: group.read(),
            hz,
        })
    };
    Ok(Box::new(Background::start(
        "server-tree",
        INTERVAL,
        begin,
        Reading::lay,
    )?))
}

#[derive(Clone, Copy)]
struct Reading {
    tree: TreeReading,
    group: cgroup::GroupReading,
    hz: UserHz,
}

impl Reading {
    fn lay(&self, values: &mut [Value]) {
        let Self { tree, group, hz } = self;
        for &field in Server::ALL {
            let value = match field {
                Server::CpuUsrMs => Some(hz.ms(tree.counters.utime)),
                Server::CpuSysMs => Some(hz.ms(tree.counters.stime)),
                Server::MajfaultCount => Some(tree.counters.majflt),
                Server::ReadBytes => tree.counters.read_bytes,
                Server::WriteBytes => tree.counters.write_bytes,
                Server::RssAnonBytes => tree.rss_anon_bytes,
                Server::RssFileBytes => tree.rss_file_bytes,
                Server::ProcessesCount => Some(tree.processes),
                Server::ThreadsCount => Some(tree.threads),
                Server::ThreadsDCount => Some(tree.threads_d),
                Server::CgroupReadBytes => group.io.map(|io| io.read_bytes),
                Server::CgroupWriteBytes => group.io.map(|io| io.write_bytes),
                Server::CgroupMemBytes => group.memory_bytes,
            };
            values[field as usize] = value.into();
        }
    }
}
