//! /sys/block/*/stat (Documentation/block/stat.rst) and /proc/diskstats
//! (Documentation/admin-guide/iostats.rst).

use super::{ParseError, lines, number, words};

/// The counters of one block device, as the kernel prints them.
///
/// A sector is 512 bytes, whatever the device's own block is. The times are milliseconds in 32
/// bits (block/genhd.c prints them with `%8u`): they wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStat {
    /// Reads completed.
    pub reads: u64,
    /// Reads merged before they were issued.
    pub read_merges: u64,
    /// Sectors of 512 bytes read.
    pub read_sectors_512: u64,
    /// Time of all reads, summed.
    pub read_time_ms: u64,
    /// Writes completed.
    pub writes: u64,
    /// Writes merged before they were issued.
    pub write_merges: u64,
    /// Sectors of 512 bytes written.
    pub write_sectors_512: u64,
    /// Time of all writes, summed.
    pub write_time_ms: u64,
    /// I/Os in flight now.
    pub in_flight: u64,
    /// Time with any I/O in flight.
    pub io_time_ms: u64,
    /// Time in flight, summed over all I/Os.
    pub weighted_io_time_ms: u64,
    /// Discards, since Linux 4.18.
    pub discards: Option<Discards>,
    /// Flushes, since Linux 5.5.
    pub flushes: Option<Flushes>,
}

/// The counters of discards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Discards {
    /// Discards completed.
    pub count: u64,
    /// Discards merged before they were issued.
    pub merges: u64,
    /// Sectors of 512 bytes discarded.
    pub sectors_512: u64,
    /// Time of all discards, summed.
    pub time_ms: u64,
}

/// The counters of flushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushes {
    /// Flushes completed.
    pub count: u64,
    /// Time of all flushes, summed.
    pub time_ms: u64,
}

impl BlockStat {
    fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut all = [0; 17];
        let mut count = 0;
        for (slot, word) in all.iter_mut().zip(words) {
            *slot = number(word)?;
            count += 1;
        }
        (count >= 11).then(|| Self {
            reads: all[0],
            read_merges: all[1],
            read_sectors_512: all[2],
            read_time_ms: all[3],
            writes: all[4],
            write_merges: all[5],
            write_sectors_512: all[6],
            write_time_ms: all[7],
            in_flight: all[8],
            io_time_ms: all[9],
            weighted_io_time_ms: all[10],
            discards: (count >= 15).then_some(Discards {
                count: all[11],
                merges: all[12],
                sectors_512: all[13],
                time_ms: all[14],
            }),
            flushes: (count >= 17).then_some(Flushes {
                count: all[15],
                time_ms: all[16],
            }),
        })
    }
}

const COUNTERS: &str = "at least 11 counters";

/// Parses /sys/block/X/stat, or a partition's stat.
pub fn block_stat(text: &[u8], into: &mut BlockStat) -> Result<(), ParseError> {
    let line = lines(text).next().unwrap_or_default();
    *into = BlockStat::parse(words(line)).ok_or_else(|| ParseError::new(text, line, COUNTERS))?;
    Ok(())
}

/// All devices of /proc/diskstats, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Name and counters, in the file's order.
    pub devices: Vec<(String, BlockStat)>,
}

/// Parses /proc/diskstats: the same counters as [`block_stat`], behind the device's number and
/// name. For cross-checks; the sampler reads each device's own file.
pub fn diskstats(text: &[u8], into: &mut DiskStats) -> Result<(), ParseError> {
    into.devices.clear();
    for line in lines(text) {
        let mut words = words(line).skip(2);
        let name = words
            .next()
            .ok_or_else(|| ParseError::new(text, line, "a device's name"))?;
        let name = String::from_utf8_lossy(name).into_owned();
        let stat = BlockStat::parse(words).ok_or_else(|| ParseError::new(text, line, COUNTERS))?;
        into.devices.push((name, stat));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "   51361    10954 10451434    37096     8472    35325  8653904    19106        \
        0    10392    58347     6028       68   678552     1513      199      631\n";

    fn parse(text: &str) -> Result<BlockStat, ParseError> {
        let mut raw = BlockStat::default();
        block_stat(text.as_bytes(), &mut raw).map(|()| raw)
    }

    #[test]
    fn seventeen_fields() {
        let raw = parse(STAT).unwrap();
        assert_eq!(
            (raw.reads, raw.read_sectors_512, raw.read_time_ms),
            (51361, 10_451_434, 37096)
        );
        assert_eq!(
            (raw.in_flight, raw.io_time_ms, raw.weighted_io_time_ms),
            (0, 10392, 58347)
        );
        assert_eq!(raw.discards.unwrap().time_ms, 1513);
        assert_eq!(
            raw.flushes.unwrap(),
            Flushes {
                count: 199,
                time_ms: 631
            }
        );
    }

    #[test]
    fn older_kernels_print_fewer() {
        let fields: Vec<_> = STAT.split_whitespace().collect();
        let of = |count: usize| parse(&fields[..count].join(" ")).unwrap();
        assert!(of(11).discards.is_none() && of(11).flushes.is_none());
        assert!(of(15).discards.is_some() && of(15).flushes.is_none());
        assert!(parse(&fields[..10].join(" ")).is_err());
    }

    #[test]
    fn diskstats_holds_the_same_behind_the_name() {
        let text = format!("   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n 254 0 vda {STAT}");
        let mut all = DiskStats::default();
        diskstats(text.as_bytes(), &mut all).unwrap();
        assert_eq!(all.devices[1], ("vda".to_owned(), parse(STAT).unwrap()));
        let error = diskstats(b"7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n7 1 loop1 x\n", &mut all);
        assert_eq!(error.unwrap_err().line, 2);
    }
}
