//! Parsers of the kernel's text files: pure functions from bytes to raw counters.
//!
//! They know no path and open nothing, so that fixtures, fuzzers and oracles can call them; the
//! readers add the path to an error. Each fills a value that its caller keeps, so that reading
//! again allocates nothing. A field or line that a newer kernel adds is skipped; one that an
//! older kernel lacks stays absent.

mod block;
mod cpu;
mod cpuinfo;
mod memory;
mod mounts;
mod os_release;
mod pressure;
mod process;

pub use block::{BlockStat, Discards, DiskStats, Flushes, block_stat, diskstats};
pub use cpu::{CoreTicks, CpuStat, CpuTicks, UserHz, cpu_stat};
pub use cpuinfo::{CpuInfo, cpu_list, cpuinfo};
pub use memory::{Meminfo, Vmstat, meminfo, vmstat};
pub(crate) use mounts::escaped_path;
pub use mounts::{DeviceId, Mount, mountinfo};
pub use os_release::pretty_name;
pub use pressure::{Pressure, pressure};
pub use process::{
    CgroupLine, GroupIo, PidIo, PidMemory, PidStat, cgroups, group_io, listening_inodes, pid_io,
    pid_memory, pid_stat,
};

/// A line that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{line}: {found:?} where {expected} was expected; the kernel may be newer than this version knows"
)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
    /// What should be there.
    pub expected: &'static str,
    /// What is there, shortened.
    pub found: String,
}

impl ParseError {
    /// An error about `part`, a slice of `text`.
    pub(crate) fn new(text: &[u8], part: &[u8], expected: &'static str) -> Self {
        const SHOWN: usize = 80;
        let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let before = &text[..offset.min(text.len())];
        let shown = &part[..part.len().min(SHOWN)];
        Self {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            expected,
            found: String::from_utf8_lossy(shown).into_owned(),
        }
    }
}

/// The lines, without their ends; an empty tail is no line.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// The fields of a line that blanks separate.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
}

/// The line's part before `separator`, and the part after it.
pub(crate) fn split_once(line: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&byte| byte == separator)?;
    Some((&line[..at], &line[at + 1..]))
}

/// A number of nothing but decimal digits that fits.
pub(crate) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_names_the_line() {
        let text = b"one\ntwo\nthree\n";
        let error = ParseError::new(text, &text[8..13], "3");
        assert_eq!(
            error.to_string(),
            "3: \"three\" where 3 was expected; the kernel may be newer than this version knows"
        );
    }

    #[test]
    fn numbers_are_whole_and_fit() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in ["", "-1", "+1", "1.0", "18446744073709551616", "1 "] {
            assert_eq!(number(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_reads_back(value: u64) {
            prop_assert_eq!(number(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = cpu_stat(&text, &mut CpuStat::default());
            let _ = meminfo(&text, &mut Meminfo::default());
            let _ = vmstat(&text, &mut Vmstat::default());
            let _ = pressure(&text, &mut Pressure::default());
            let _ = block_stat(&text, &mut BlockStat::default());
            let _ = diskstats(&text, &mut DiskStats::default());
            let _ = mountinfo(&text);
            let _ = cpu_list(&text);
            cpuinfo(&text);
            pretty_name(&text);
            let _ = pid_stat(&text);
            pid_io(&text);
            pid_memory(&text);
            cgroups(&text);
            listening_inodes(&text, 1);
            group_io(&text, |_| true);
        }

        #[test]
        fn no_text_like_the_kernels_panics(
            text in "((cpu|some|full|MemTotal:|pgmajfault|total=|processor|model name|[0-9]{1,22}|-|:|/|=|\\\\040) ?\n?){0,40}"
        ) {
            let text = text.as_bytes();
            let _ = cpu_stat(text, &mut CpuStat::default());
            let _ = meminfo(text, &mut Meminfo::default());
            let _ = vmstat(text, &mut Vmstat::default());
            let _ = pressure(text, &mut Pressure::default());
            let _ = block_stat(text, &mut BlockStat::default());
            let _ = diskstats(text, &mut DiskStats::default());
            let _ = mountinfo(text);
            cpuinfo(text);
        }
    }
}
