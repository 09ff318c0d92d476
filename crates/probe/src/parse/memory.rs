//! /proc/meminfo and /proc/vmstat.

use super::{ParseError, lines, number, split_once, words};

/// What /proc/meminfo says, in bytes; absent what this kernel does not print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meminfo {
    /// All usable memory.
    pub total_bytes: Option<u64>,
    /// Unused memory.
    pub free_bytes: Option<u64>,
    /// What can be had without swapping.
    pub available_bytes: Option<u64>,
    /// The page cache.
    pub cached_bytes: Option<u64>,
    /// Page cache that waits to be written back.
    pub dirty_bytes: Option<u64>,
    /// All swap.
    pub swap_total_bytes: Option<u64>,
    /// Unused swap.
    pub swap_free_bytes: Option<u64>,
}

/// Parses /proc/meminfo. Its "kB" are 1024 bytes.
pub fn meminfo(text: &[u8], into: &mut Meminfo) -> Result<(), ParseError> {
    *into = Meminfo::default();
    for line in lines(text) {
        let (key, rest) = split_once(line, b':')
            .ok_or_else(|| ParseError::new(text, line, "`name: number kB`"))?;
        let slot = match key {
            b"MemTotal" => &mut into.total_bytes,
            b"MemFree" => &mut into.free_bytes,
            b"MemAvailable" => &mut into.available_bytes,
            b"Cached" => &mut into.cached_bytes,
            b"Dirty" => &mut into.dirty_bytes,
            b"SwapTotal" => &mut into.swap_total_bytes,
            b"SwapFree" => &mut into.swap_free_bytes,
            _ => continue,
        };
        let mut words = words(rest);
        let value = words.next().and_then(number);
        let (Some(kib), Some(b"kB")) = (value, words.next()) else {
            return Err(ParseError::new(text, line, "a number of kB"));
        };
        *slot = kib.checked_mul(1024);
    }
    if into.total_bytes.is_none() {
        return Err(ParseError::new(text, text, "a line `MemTotal:`"));
    }
    Ok(())
}

/// What /proc/vmstat says of paging since boot; absent what this kernel does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmstat {
    /// Page faults that needed I/O.
    pub pgmajfault: Option<u64>,
    /// Pages scanned by kswapd.
    pub pgscan_kswapd: Option<u64>,
    /// Pages scanned by allocating tasks.
    pub pgscan_direct: Option<u64>,
    /// Pages reclaimed by kswapd.
    pub pgsteal_kswapd: Option<u64>,
    /// Pages reclaimed by allocating tasks.
    pub pgsteal_direct: Option<u64>,
    /// File pages read back soon after eviction.
    pub workingset_refault_file: Option<u64>,
    /// Anonymous pages read back soon after eviction.
    pub workingset_refault_anon: Option<u64>,
    /// Pages swapped in.
    pub pswpin: Option<u64>,
    /// Pages swapped out.
    pub pswpout: Option<u64>,
    /// Times that the page cache was dropped by hand.
    pub drop_pagecache: Option<u64>,
    /// Direct reclaims, summed over the zones, each of which has a line.
    pub allocstall: Option<u64>,
    /// Tasks killed for want of memory.
    pub oom_kill: Option<u64>,
}

/// Parses /proc/vmstat.
pub fn vmstat(text: &[u8], into: &mut Vmstat) -> Result<(), ParseError> {
    *into = Vmstat::default();
    for line in lines(text) {
        let (key, value) =
            split_once(line, b' ').ok_or_else(|| ParseError::new(text, line, "`name number`"))?;
        let slot = match key {
            b"pgmajfault" => &mut into.pgmajfault,
            b"pgscan_kswapd" => &mut into.pgscan_kswapd,
            b"pgscan_direct" => &mut into.pgscan_direct,
            b"pgsteal_kswapd" => &mut into.pgsteal_kswapd,
            b"pgsteal_direct" => &mut into.pgsteal_direct,
            b"workingset_refault_file" => &mut into.workingset_refault_file,
            b"workingset_refault_anon" => &mut into.workingset_refault_anon,
            b"pswpin" => &mut into.pswpin,
            b"pswpout" => &mut into.pswpout,
            b"drop_pagecache" => &mut into.drop_pagecache,
            b"oom_kill" => &mut into.oom_kill,
            key if key.starts_with(b"allocstall") => &mut into.allocstall,
            _ => continue,
        };
        let value = number(value).ok_or_else(|| ParseError::new(text, line, "a count"))?;
        *slot = Some(slot.unwrap_or(0).saturating_add(value));
    }
    if into.pgmajfault.is_none() {
        return Err(ParseError::new(text, text, "a line `pgmajfault`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes() {
        let text = b"MemTotal:       127600748 kB\nMemFree:  1 kB\nHugePages_Total:       0\n\
            Active(anon):  5 kB\nCached:  7 kB\nSwapCached:  8 kB\n";
        let mut meminfo_ = Meminfo::default();
        meminfo(text, &mut meminfo_).unwrap();
        assert_eq!(meminfo_.total_bytes, Some(130_663_165_952));
        assert_eq!(meminfo_.cached_bytes, Some(7 * 1024));
        assert_eq!(meminfo_.available_bytes, None);
    }

    #[test]
    fn a_key_that_went_is_absent_again() {
        let mut raw = Vmstat::default();
        vmstat(b"pgmajfault 5\npswpin 7\npswpout 0\n", &mut raw).unwrap();
        assert_eq!((raw.pswpin, raw.pswpout), (Some(7), Some(0)));
        vmstat(b"pgmajfault 6\n", &mut raw).unwrap();
        assert_eq!((raw.pgmajfault, raw.pswpin), (Some(6), None));
        assert_eq!(raw.allocstall, None);
    }

    #[test]
    fn stalls_are_summed_over_zones() {
        let mut raw = Vmstat::default();
        let text = b"pgmajfault 1\nallocstall_dma 0\nallocstall_normal 5\nallocstall_movable 7\n";
        vmstat(text, &mut raw).unwrap();
        assert_eq!(raw.allocstall, Some(12));
    }

    #[test]
    fn damage_is_refused_by_line() {
        let mut memory = Meminfo::default();
        assert_eq!(
            meminfo(b"MemTotal: 5 kB\nDirty: 5 MB\n", &mut memory)
                .unwrap_err()
                .line,
            2
        );
        assert_eq!(meminfo(b"", &mut memory).unwrap_err().line, 1);
        let mut paging = Vmstat::default();
        assert_eq!(
            vmstat(b"pgmajfault 1\npswpin x\n", &mut paging)
                .unwrap_err()
                .line,
            2
        );
    }
}
