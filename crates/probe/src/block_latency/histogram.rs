//! The histograms, as they are told: what the kernel's slots mean.

use super::program::SUB_BITS;
use serde::{Deserialize, Serialize};

/// Histograms since a start, or between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// One for each device, kind and process.
    pub histograms: Vec<Histogram>,
    /// Completions whose issue was not seen: requests in flight at the start, and the later parts
    /// of those that were completed in parts.
    pub unmatched: u64,
    /// Completions for which there was no room.
    pub uncounted: u64,
    /// Events that came while another eBPF program, or a reading of these histograms, ran on their
    /// CPU: each can be a request that is not counted. Absent before Linux 5.12.
    pub missed: Option<u64>,
}

/// How long the requests of one kind took that one process issued to one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The device, as the kernel names it: `nvme0n1`; `259:0` if it is gone.
    pub device: String,
    /// What was asked of it.
    pub kind: Kind,
    /// The process, by its number; absent for a sum over processes.
    pub pid: Option<u32>,
    /// Its name; absent if it has ended.
    pub process: Option<String>,
    /// The buckets that hold anything, by rising time.
    pub buckets: Vec<Bucket>,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Data to the host.
    Read,
    /// Data from the host.
    Write,
    /// Blocks given back.
    Discard,
    /// The drive's cache made durable.
    Flush,
    /// Something else, such as an administrative command.
    Other,
}

/// Requests that took from `from_ns` until just under `until_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The least time.
    pub from_ns: u64,
    /// The time that is too long.
    pub until_ns: u64,
    /// How many.
    pub count: u64,
}

/// What the kernel keeps histograms by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) device: u32,
    pub(super) process: u32,
    pub(super) kind: u8,
}

impl Latencies {
    /// What came after an earlier reading of the same programs.
    pub fn since(&self, earlier: &Self) -> Self {
        let histograms = self.histograms.iter().map(|later| {
            let mut fits = earlier.histograms.iter();
            let before = fits.find(|before| {
                (&before.device, before.kind, before.pid) == (&later.device, later.kind, later.pid)
            });
            let mut left = later.clone();
            for bucket in &mut left.buckets {
                bucket.count -= before.map_or(0, |before| before.at(bucket.from_ns));
            }
            left.buckets.retain(|bucket| bucket.count > 0);
            left
        });
        Self {
            histograms: histograms.filter(|left| !left.buckets.is_empty()).collect(),
            unmatched: self.unmatched.saturating_sub(earlier.unmatched),
            uncounted: self.uncounted.saturating_sub(earlier.uncounted),
            missed: self
                .missed
                .zip(earlier.missed)
                .map(|(later, before)| later.saturating_sub(before)),
        }
    }

    /// One kind's histogram of a device, over all processes; empty if there was none.
    pub fn of(&self, device: &str, kind: Kind) -> Histogram {
        let mut sum = Histogram {
            device: device.to_owned(),
            kind,
            pid: None,
            process: None,
            buckets: Vec::new(),
        };
        for one in &self.histograms {
            if one.device == device && one.kind == kind {
                sum.buckets.extend(&one.buckets);
            }
        }
        sum.buckets.sort_unstable_by_key(|bucket| bucket.from_ns);
        sum.buckets.dedup_by(|next, kept| {
            let is_same = next.from_ns == kept.from_ns;
            kept.count += if is_same { next.count } else { 0 };
            is_same
        });
        sum
    }
}

impl Histogram {
    pub(super) fn of_slots(
        key: &Key,
        device: String,
        process: Option<String>,
        mut slots: Vec<(u32, u64)>,
    ) -> Self {
        slots.sort_unstable();
        let bucket = |(slot, count)| Bucket {
            from_ns: lower(slot),
            until_ns: lower(slot + 1),
            count,
        };
        Self {
            device,
            kind: kind(key.kind),
            pid: Some(key.process),
            process,
            buckets: slots.into_iter().map(bucket).collect(),
        }
    }

    /// How many requests.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// The bucket in which the request lies that is as slow as this share of them, from 0 to 1,
    /// by nearest rank; absent if there was none.
    pub fn quantile(&self, share: f64) -> Option<Bucket> {
        let rank = (share.clamp(0.0, 1.0) * self.count() as f64)
            .ceil()
            .max(1.0) as u64;
        let mut seen = 0;
        let mut buckets = self.buckets.iter();
        let found = buckets.find(|bucket| {
            seen += bucket.count;
            seen >= rank
        });
        found.copied()
    }

    fn at(&self, from_ns: u64) -> u64 {
        let mut buckets = self.buckets.iter();
        let bucket = buckets.find(|bucket| bucket.from_ns == from_ns);
        bucket.map_or(0, |bucket| bucket.count)
    }
}

/// The least time of a slot: the inverse of what the program does.
fn lower(slot: u32) -> u64 {
    let (power, part) = (slot >> SUB_BITS, u64::from(slot) & ((1 << SUB_BITS) - 1));
    match power.checked_sub(1) {
        None => part,
        Some(shift) => ((1 << SUB_BITS) + part)
            .checked_shl(shift)
            .filter(|time| time >> shift == (1 << SUB_BITS) + part)
            .unwrap_or(u64::MAX),
    }
}

fn kind(letter: u8) -> Kind {
    match letter {
        b'R' => Kind::Read,
        b'W' => Kind::Write,
        b'D' => Kind::Discard,
        b'F' => Kind::Flush,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(pid: u32, slots: &[(u32, u64)]) -> Histogram {
        let key = Key {
            device: 259 << 20,
            process: pid,
            kind: b'R',
        };
        Histogram::of_slots(&key, "nvme0n1".to_owned(), None, slots.to_vec())
    }

    fn latencies(histograms: Vec<Histogram>) -> Latencies {
        Latencies {
            histograms,
            ..Latencies::default()
        }
    }

    #[test]
    fn slots_begin_where_the_last_ended() {
        assert_eq!(
            (0..10).map(lower).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        );
        assert_eq!((lower(16), lower(17), lower(24)), (16, 18, 32));
        assert_eq!(lower(495), 15 << 60);
        assert_eq!(lower(496), u64::MAX, "the end of the last");
        assert!((0..495).all(|slot| lower(slot) < lower(slot + 1)));
    }

    #[test]
    fn quantiles_are_buckets() {
        let histogram = histogram(1, &[(100, 98), (200, 1), (210, 1)]);
        assert_eq!(histogram.count(), 100);
        let at = |share| histogram.quantile(share).unwrap().from_ns;
        assert_eq!((at(0.0), at(0.98)), (lower(100), lower(100)));
        assert_eq!((at(0.99), at(1.0)), (lower(200), lower(210)));
        assert_eq!(super::tests::histogram(1, &[]).quantile(0.5), None);
    }

    #[test]
    fn differences_and_sums() {
        let before = latencies(vec![histogram(1, &[(100, 5)])]);
        let after = latencies(vec![
            histogram(1, &[(100, 5), (101, 2)]),
            histogram(2, &[(101, 3)]),
        ]);
        let since = after.since(&before);
        assert_eq!(
            since.histograms,
            [histogram(1, &[(101, 2)]), histogram(2, &[(101, 3)])]
        );
        let sum = since.of("nvme0n1", Kind::Read);
        assert_eq!((sum.buckets.len(), sum.count(), sum.pid), (1, 5, None));
        assert_eq!(since.of("nvme0n1", Kind::Write).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bucket_is_wider_than_an_eighth(slot in 8u32..488) {
            let width = lower(slot + 1) - lower(slot);
            prop_assert!(width <= lower(slot) / 8 || width == 1);
        }
    }
}
