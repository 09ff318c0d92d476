//! One block device: its counters and the gauges since its last reading.

use crate::{
    Fault, Roots, Sensor, device,
    gauges::{BlockGauges, growth_ms},
    kept_file::Source,
    parse::{self, BlockStat},
};
use clock::MonoNs;
use record::{Device, Value};

/// A sector as the kernel counts them is 512 bytes on every device (include/linux/blk_types.h).
const SECTOR_BYTES: u64 = 512;

pub(crate) struct BlockProbe {
    name: String,
    /// The kernel counts no flushes of a partition, and prints 0 (Documentation/block/stat.rst).
    has_flushes: bool,
    source: Source<BlockStat>,
    last: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    at: MonoNs,
    raw: BlockStat,
    times: LongTimes,
}

impl BlockProbe {
    /// `name` is a whole device's or a partition's: both are in /sys/class/block.
    pub(crate) fn open(roots: &Roots, name: &str, faults: &mut Vec<Fault>) -> Self {
        let path = roots.sys.join("class/block").join(name).join("stat");
        let sensor = Sensor::Disk(name.to_owned());
        Self {
            name: name.to_owned(),
            has_flushes: device::is_whole(roots, name),
            source: Source::open(sensor, path, parse::block_stat, faults),
            last: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Fills `values`, which has a place for each of [`Device::ALL`].
    pub(crate) fn read(&mut self, values: &mut [Value], faults: &mut Vec<Fault>) {
        let at = MonoNs::now();
        let Some(&(mut raw)) = self.source.read(faults) else {
            // A gauge over a hole would be taken for one over the last interval.
            self.last = None;
            values.fill(Value::Absent);
            return;
        };
        raw.flushes = raw.flushes.filter(|_| self.has_flushes);
        let times = match &self.last {
            Some(last) => last.times.followed_by(&last.raw, &raw),
            None => LongTimes::of(&raw),
        };
        let gauges = self.last.map_or_else(BlockGauges::default, |last| {
            BlockGauges::between(&last.raw, &raw, at.since(last.at))
        });
        for &field in Device::ALL {
            values[field as usize] = value(field, &raw, &times, &gauges);
        }
        self.last = Some(Reading { at, raw, times });
    }

    /// Bytes read and written since boot, at the last reading.
    pub(crate) fn bytes(&self) -> Option<DiskBytes> {
        self.last.map(|last| DiskBytes {
            read: last.raw.read_sectors_512 * SECTOR_BYTES,
            written: last.raw.write_sectors_512 * SECTOR_BYTES,
        })
    }
}

#[derive(Clone, Copy)]
pub(crate) struct DiskBytes {
    pub(crate) read: u64,
    pub(crate) written: u64,
}

/// The kernel's 32-bit times, carried on over each wrap since the first reading: a recorded
/// counter only grows.
#[derive(Clone, Copy)]
struct LongTimes {
    read_ms: u64,
    write_ms: u64,
    io_ms: u64,
    weighted_ms: u64,
    discard_ms: Option<u64>,
    flush_ms: Option<u64>,
}

impl LongTimes {
    fn of(raw: &BlockStat) -> Self {
        Self {
            read_ms: raw.read_time_ms,
            write_ms: raw.write_time_ms,
            io_ms: raw.io_time_ms,
            weighted_ms: raw.weighted_io_time_ms,
            discard_ms: raw.discards.map(|discards| discards.time_ms),
            flush_ms: raw.flushes.map(|flushes| flushes.time_ms),
        }
    }

    fn followed_by(&self, first: &BlockStat, last: &BlockStat) -> Self {
        let (from, to) = (Self::of(first), Self::of(last));
        let optional = |sum: Option<u64>, from: Option<u64>, to: Option<u64>| {
            Some(sum? + growth_ms(from?, to?))
        };
        Self {
            read_ms: self.read_ms + growth_ms(from.read_ms, to.read_ms),
            write_ms: self.write_ms + growth_ms(from.write_ms, to.write_ms),
            io_ms: self.io_ms + growth_ms(from.io_ms, to.io_ms),
            weighted_ms: self.weighted_ms + growth_ms(from.weighted_ms, to.weighted_ms),
            discard_ms: optional(self.discard_ms, from.discard_ms, to.discard_ms),
            flush_ms: optional(self.flush_ms, from.flush_ms, to.flush_ms),
        }
    }
}

fn value(field: Device, raw: &BlockStat, times: &LongTimes, gauges: &BlockGauges) -> Value {
    let discards = raw.discards;
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
    match field {
        Device::ReadsCount => raw.reads.into(),
        Device::ReadMergesCount => raw.read_merges.into(),
        Device::ReadBytes => bytes(raw.read_sectors_512).into(),
        Device::ReadTimeMs => times.read_ms.into(),
        Device::WritesCount => raw.writes.into(),
        Device::WriteMergesCount => raw.write_merges.into(),
        Device::WriteBytes => bytes(raw.write_sectors_512).into(),
        Device::WriteTimeMs => times.write_ms.into(),
        Device::InFlightCount => raw.in_flight.into(),
        Device::IoTimeMs => times.io_ms.into(),
        Device::WeightedIoTimeMs => times.weighted_ms.into(),
        Device::DiscardsCount => discards.map(|discards| discards.count).into(),
        Device::DiscardMergesCount => discards.map(|discards| discards.merges).into(),
        Device::DiscardBytes => discards.map(|discards| bytes(discards.sectors_512)).into(),
        Device::DiscardTimeMs => times.discard_ms.into(),
        Device::FlushesCount => raw.flushes.map(|flushes| flushes.count).into(),
        Device::FlushTimeMs => times.flush_ms.into(),
        Device::RAwaitMs => gauges.r_await_ms.into(),
        Device::WAwaitMs => gauges.w_await_ms.into(),
        Device::AquSz => gauges.aqu_sz.into(),
        Device::UtilPct => gauges.util_pct.into(),
        // From the controller, not from the block layer.
        Device::TempC => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(stat: &str) -> (tempfile::TempDir, Roots) {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::under(folder.path());
        let device = roots.sys.join("class/block/vda");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("stat"), stat).unwrap();
        (folder, roots)
    }

    fn read(probe: &mut BlockProbe) -> Vec<Value> {
        let mut values = vec![Value::Int(77); Device::ALL.len()];
        probe.read(&mut values, &mut Vec::new());
        values
    }

    #[test]
    fn counters_are_raw_and_gauges_need_two_readings() {
        let (_folder, roots) = tree("10 0 80 5 2 0 16 4 1 9 9\n");
        let mut probe = BlockProbe::open(&roots, "vda", &mut Vec::new());
        let first = read(&mut probe);
        assert_eq!(first[Device::ReadBytes as usize], Value::Int(40_960));
        assert_eq!(first[Device::DiscardsCount as usize], Value::Absent);
        assert_eq!(first[Device::AquSz as usize], Value::Absent);
        fs::write(
            roots.sys.join("class/block/vda/stat"),
            "14 0 80 7 2 0 16 4 1 9 9\n",
        )
        .unwrap();
        let second = read(&mut probe);
        assert_eq!(second[Device::RAwaitMs as usize], Value::Real(0.5));
        assert_eq!(second[Device::WAwaitMs as usize], Value::Absent);
        assert_eq!(second[Device::UtilPct as usize], Value::Real(0.0));
    }

    #[test]
    fn a_time_that_wraps_goes_on_growing() {
        let (_folder, roots) = tree("0 0 0 0 0 0 0 0 0 0 4294967290\n");
        let mut probe = BlockProbe::open(&roots, "vda", &mut Vec::new());
        read(&mut probe);
        fs::write(
            roots.sys.join("class/block/vda/stat"),
            "0 0 0 0 0 0 0 0 0 0 10\n",
        )
        .unwrap();
        let weighted = Device::WeightedIoTimeMs as usize;
        assert_eq!(read(&mut probe)[weighted], Value::Int((1 << 32) + 10));
    }

    #[test]
    fn a_device_that_goes_leaves_nothing() {
        let (_folder, roots) = tree("10 0 80 5 2 0 16 4 1 9 9\n");
        let mut probe = BlockProbe::open(&roots, "vda", &mut Vec::new());
        read(&mut probe);
        fs::write(roots.sys.join("class/block/vda/stat"), "").unwrap();
        assert!(read(&mut probe).iter().all(|value| *value == Value::Absent));
    }
}
