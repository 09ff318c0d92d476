//! /proc/PID/*: one process (Documentation/filesystems/proc.rst, 1.1), and its control group's
//! files (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/blkio-controller.rst).

use super::{DeviceId, ParseError, lines, number, split_once, words};

/// What /proc/PID/stat says of a process, or of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidStat {
    /// `R` runs, `S` sleeps, `D` sleeps and can't be woken: it waits for storage, mostly.
    pub state: u8,
    /// Its parent.
    pub parent: u32,
    /// Page faults that needed I/O.
    pub majflt: u64,
    /// Ticks of USER_HZ in user mode.
    pub utime: u64,
    /// Ticks of USER_HZ in the kernel.
    pub stime: u64,
    /// Threads.
    pub threads: u64,
    /// Ticks of USER_HZ between boot and its start: with its number, this names a process.
    pub start: u64,
}

/// Parses /proc/PID/stat. The name in parentheses may itself hold blanks and parentheses: what
/// counts is behind the last.
pub fn pid_stat(text: &[u8]) -> Result<PidStat, ParseError> {
    let parse = || {
        let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
        let mut fields = words(text[behind..].trim_ascii_end());
        let &[state] = fields.next()? else {
            return None;
        };
        // The third field is `state`, so that nth counts from the fourth on.
        let mut field = |skip: usize| number(fields.nth(skip)?);
        Some(PidStat {
            state,
            parent: u32::try_from(field(0)?).ok()?,
            majflt: field(7)?,
            utime: field(1)?,
            stime: field(0)?,
            threads: field(4)?,
            start: field(1)?,
        })
    };
    parse().ok_or_else(|| ParseError::new(text, text, "a process' fields"))
}

/// What /proc/PID/io says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidIo {
    /// Bytes that it caused to be read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes that it caused to be written to storage.
    pub write_bytes: Option<u64>,
}

/// Parses /proc/PID/io.
pub fn pid_io(text: &[u8]) -> PidIo {
    PidIo {
        read_bytes: colon_number(text, b"read_bytes"),
        write_bytes: colon_number(text, b"write_bytes"),
    }
}

/// What /proc/PID/status says of memory; a kernel thread has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidMemory {
    /// Resident anonymous memory.
    pub rss_anon_bytes: Option<u64>,
    /// Resident pages of files.
    pub rss_file_bytes: Option<u64>,
}

/// Parses /proc/PID/status.
pub fn pid_memory(text: &[u8]) -> PidMemory {
    let bytes = |key| colon_number(text, key).and_then(|kib| kib.checked_mul(1024));
    PidMemory {
        rss_anon_bytes: bytes(b"RssAnon"),
        rss_file_bytes: bytes(b"RssFile"),
    }
}

/// The first number behind `key:`.
fn colon_number(text: &[u8], key: &[u8]) -> Option<u64> {
    let mut pairs = lines(text).filter_map(|line| split_once(line, b':'));
    let (_, value) = pairs.find(|(name, _)| *name == key)?;
    words(value).next().and_then(number)
}

/// One control group of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupLine {
    /// The controllers of a hierarchy of version 1; empty in version 2.
    pub controllers: String,
    /// The group, below the hierarchy's mount.
    pub path: String,
}

/// Parses /proc/PID/cgroup.
pub fn cgroups(text: &[u8]) -> Vec<CgroupLine> {
    let line = |line| {
        let (_, rest) = split_once(line, b':')?;
        let (controllers, path) = split_once(rest, b':')?;
        Some(CgroupLine {
            controllers: String::from_utf8_lossy(controllers).into_owned(),
            path: String::from_utf8_lossy(path).into_owned(),
        })
    };
    lines(text).filter_map(line).collect()
}

/// What a control group read and wrote on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupIo {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

/// Sums a group's bytes over the devices that `counts`, from `io.stat` (version 2: `8:0
/// rbytes=1 wbytes=2`) or `blkio.throttle.io_service_bytes` (version 1: `8:0 Read 1`).
pub fn group_io(text: &[u8], counts: impl Fn(DeviceId) -> bool) -> GroupIo {
    let mut sum = GroupIo::default();
    for line in lines(text) {
        let mut words = words(line);
        if !words.next().and_then(DeviceId::parse).is_some_and(&counts) {
            continue;
        }
        while let Some(word) = words.next() {
            let (slot, digits) = match word {
                b"Read" => (&mut sum.read_bytes, words.next().unwrap_or_default()),
                b"Write" => (&mut sum.write_bytes, words.next().unwrap_or_default()),
                _ => match split_once(word, b'=') {
                    Some((b"rbytes", digits)) => (&mut sum.read_bytes, digits),
                    Some((b"wbytes", digits)) => (&mut sum.write_bytes, digits),
                    _ => continue,
                },
            };
            *slot = slot.saturating_add(number(digits).unwrap_or(0));
        }
    }
    sum
}

/// The socket inodes that listen on `port`, from /proc/PID/net/tcp or tcp6.
pub fn listening_inodes(text: &[u8], port: u16) -> Vec<u64> {
    /// TCP_LISTEN (include/net/tcp_states.h).
    const LISTEN: &[u8] = b"0A";
    let inode = |line| {
        let mut fields = words(line).skip(1);
        let local = fields.next()?;
        let (_, state) = (fields.next()?, fields.next()?);
        let digits = local.rsplit(|&byte| byte == b':').next()?;
        let local_port = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        (state == LISTEN && local_port == port).then(|| fields.nth(5).and_then(number))?
    };
    lines(text).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text =
            b"4242 (trtllm (x) D 9) S 17 4242 4242 0 -1 4194304 100 0 55 0 1234 567 0 0 20 0 \
            31 0 987654 1000 200 18446744073709551615\n";
        let stat = pid_stat(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.majflt), (b'S', 17, 55));
        assert_eq!((stat.utime, stat.stime), (1234, 567));
        assert_eq!((stat.threads, stat.start), (31, 987_654));
        assert!(pid_stat(b"4242 (x) S 1").is_err());
    }

    #[test]
    fn io_and_memory() {
        let io = pid_io(b"rchar: 9\nread_bytes: 4096\nwrite_bytes: 0\ncancelled_write_bytes: 7\n");
        assert_eq!((io.read_bytes, io.write_bytes), (Some(4096), Some(0)));
        let memory =
            pid_memory(b"Name:\tx\nVmRSS:\t 30 kB\nRssAnon:\t      20 kB\nRssFile:\t10 kB\n");
        assert_eq!(memory.rss_anon_bytes, Some(20 * 1024));
        assert_eq!(memory.rss_file_bytes, Some(10 * 1024));
        assert_eq!(pid_memory(b"Name:\tkswapd0\n"), PidMemory::default());
    }

    #[test]
    fn groups_of_both_versions() {
        let groups = cgroups(b"9:blkio,io:/docker/abc\n0::/system.slice/docker-abc.scope\n");
        assert_eq!(groups[0].controllers, "blkio,io");
        assert_eq!(groups[1].path, "/system.slice/docker-abc.scope");
        let of_259 = |id: DeviceId| id.major == 259;
        let sum = GroupIo {
            read_bytes: 10,
            write_bytes: 20,
        };
        let two = b"259:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n252:0 rbytes=10\n";
        assert_eq!(group_io(two, of_259), sum);
        let one = b"259:0 Read 10\n259:0 Write 20\n259:0 Total 30\n252:0 Read 10\nTotal 40\n";
        assert_eq!(group_io(one, of_259), sum);
    }

    #[test]
    fn listeners_alone_count() {
        let text = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 31337 1\n\
            1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000 0 31338 1\n";
        assert_eq!(listening_inodes(text, 8080), [31337]);
        assert_eq!(listening_inodes(text, 8081), [0; 0]);
    }
}
