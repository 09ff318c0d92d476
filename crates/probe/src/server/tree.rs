//! A process and all that it started, followed as they come and go.

use super::ServerProcess;
use crate::{
    Roots,
    parse::{self, PidStat},
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// How many readings pass between looks at all processes of the host, in which new ones are
/// found: reading them all costs more than reading the tree.
const SCAN_EVERY: u32 = 5;

/// What only grows. Of a process that ended, it is kept as last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) utime: u64,
    pub(super) stime: u64,
    pub(super) majflt: u64,
    /// Absent without the right to trace every process of the tree (ptrace(2)).
    pub(super) read_bytes: Option<u64>,
    pub(super) write_bytes: Option<u64>,
}

impl Counters {
    fn plus(self, other: Self) -> Self {
        Self {
            utime: self.utime + other.utime,
            stime: self.stime + other.stime,
            majflt: self.majflt + other.majflt,
            read_bytes: self.read_bytes.zip(other.read_bytes).map(|(a, b)| a + b),
            write_bytes: self.write_bytes.zip(other.write_bytes).map(|(a, b)| a + b),
        }
    }
}

const NOTHING: Counters = Counters {
    utime: 0,
    stime: 0,
    majflt: 0,
    read_bytes: Some(0),
    write_bytes: Some(0),
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TreeReading {
    pub(super) counters: Counters,
    pub(super) rss_anon_bytes: Option<u64>,
    pub(super) rss_file_bytes: Option<u64>,
    pub(super) processes: u64,
    pub(super) threads: u64,
    pub(super) threads_d: u64,
}

pub(super) struct Tree {
    proc: PathBuf,
    /// The processes that live, by number, with what they last counted.
    members: HashMap<u32, Member>,
    /// What the processes counted that have ended.
    ended: Counters,
    readings: u32,
}

struct Member {
    start: u64,
    last: Counters,
}

impl Tree {
    pub(super) fn new(roots: &Roots, root: ServerProcess) -> Self {
        let member = Member {
            start: root.start_ticks,
            last: NOTHING,
        };
        Self {
            proc: roots.proc.clone(),
            members: HashMap::from([(root.pid, member)]),
            ended: NOTHING,
            readings: 0,
        }
    }

    pub(super) fn read(&mut self) -> TreeReading {
        if self.readings.is_multiple_of(SCAN_EVERY) {
            self.scan();
        }
        self.readings = self.readings.wrapping_add(1);
        let mut sum = TreeReading::default();
        let (proc, ended) = (&self.proc, &mut self.ended);
        self.members.retain(|pid, member| {
            let folder = proc.join(pid.to_string());
            let Some(stat) = stat(&folder).filter(|stat| stat.start == member.start) else {
                *ended = ended.plus(member.last);
                return false;
            };
            member.last = sum.add(&folder, &stat);
            true
        });
        let living = self.members.values().map(|member| member.last);
        sum.counters = living.fold(self.ended, Counters::plus);
        sum
    }

    /// Finds the members' new children. One that lost its parent before it was found belongs to
    /// init by then, and stays unseen.
    fn scan(&mut self) {
        let mut others: Vec<(u32, PidStat)> = pids(&self.proc)
            .filter(|pid| !self.members.contains_key(pid))
            .filter_map(|pid| Some((pid, stat(&self.proc.join(pid.to_string()))?)))
            .collect();
        loop {
            let (children, rest): (Vec<_>, Vec<_>) = others
                .into_iter()
                .partition(|(_, stat)| self.members.contains_key(&stat.parent));
            if children.is_empty() {
                return;
            }
            self.members.extend(children.into_iter().map(|(pid, stat)| {
                let start = stat.start;
                (
                    pid,
                    Member {
                        start,
                        last: NOTHING,
                    },
                )
            }));
            others = rest;
        }
    }
}

impl TreeReading {
    /// Adds a process' gauges; gives its counters.
    fn add(&mut self, folder: &Path, stat: &PidStat) -> Counters {
        let text = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        let memory = parse::pid_memory(&text("status"));
        let add = |sum: &mut Option<u64>, value: Option<u64>| {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0) + value);
            }
        };
        add(&mut self.rss_anon_bytes, memory.rss_anon_bytes);
        add(&mut self.rss_file_bytes, memory.rss_file_bytes);
        self.processes += 1;
        self.threads += stat.threads;
        self.threads_d += waiting_threads(folder, stat);
        let io = parse::pid_io(&text("io"));
        Counters {
            utime: stat.utime,
            stime: stat.stime,
            majflt: stat.majflt,
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
        }
    }
}

/// Threads in uninterruptible sleep. A process' own state is that of its first thread.
fn waiting_threads(folder: &Path, process: &PidStat) -> u64 {
    if process.threads <= 1 {
        return u64::from(process.state == b'D');
    }
    let task = folder.join("task");
    let states = pids(&task).filter_map(|tid| stat(&task.join(tid.to_string())));
    states.filter(|thread| thread.state == b'D').count() as u64
}

fn pids(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

pub(super) fn stat(folder: &Path) -> Option<PidStat> {
    parse::pid_stat(&fs::read(folder.join("stat")).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, parent: u32, utime: u64, read_bytes: u64) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("task").join(pid.to_string())).unwrap();
        let stat = format!(
            "{pid} (p) S {parent} 1 1 0 -1 0 0 0 2 0 {utime} 1 0 0 20 0 2 0 {start} 0 0\n",
            start = 1000 + pid
        );
        fs::write(folder.join("stat"), &stat).unwrap();
        let waiting = stat.replace(" S ", " D ");
        fs::write(
            folder.join("task").join(pid.to_string()).join("stat"),
            waiting,
        )
        .unwrap();
        fs::write(
            folder.join("io"),
            format!("read_bytes: {read_bytes}\nwrite_bytes: 0\n"),
        )
        .unwrap();
        fs::write(folder.join("status"), "RssAnon:\t 4 kB\nRssFile:\t 8 kB\n").unwrap();
    }

    fn tree(root: &Path) -> Tree {
        let roots = Roots::under(root);
        let root = ServerProcess {
            pid: 10,
            start_ticks: 1010,
        };
        Tree::new(&roots, root)
    }

    #[test]
    fn children_are_found_and_the_ended_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        process(&proc, 10, 1, 100, 4096);
        process(&proc, 11, 10, 50, 1000);
        process(&proc, 12, 11, 7, 24);
        process(&proc, 99, 1, 1_000_000, 1);
        let mut tree = tree(folder.path());
        let first = tree.read();
        assert_eq!((first.processes, first.threads, first.threads_d), (3, 6, 3));
        assert_eq!((first.counters.utime, first.counters.majflt), (157, 6));
        assert_eq!(first.counters.read_bytes, Some(5120));
        assert_eq!(first.rss_file_bytes, Some(3 * 8192));
        fs::remove_dir_all(proc.join("11")).unwrap();
        let second = tree.read();
        assert_eq!(second.processes, 2);
        assert_eq!(second.counters, first.counters);
    }

    #[test]
    fn another_process_of_the_number_is_not_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        process(&proc, 10, 1, 100, 0);
        let mut tree = tree(folder.path());
        tree.read();
        let stat = fs::read_to_string(proc.join("10/stat")).unwrap();
        fs::write(proc.join("10/stat"), stat.replace(" 1010 ", " 2222 ")).unwrap();
        assert_eq!(tree.read().processes, 0);
    }

    #[test]
    fn without_the_right_to_look_bytes_are_absent() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().join("proc");
        process(&proc, 10, 1, 100, 0);
        fs::remove_file(proc.join("10/io")).unwrap();
        let reading = tree(folder.path()).read();
        assert_eq!(reading.counters.read_bytes, None);
        assert_eq!(reading.counters.utime, 100);
    }
}
