//! The device's rates since boot, by iostat and by us: two readers of the same counters that
//! must agree.

use crate::{Roots, parse};
use serde_json::Value;
use std::{fmt, fs, process::Command};

/// A device's mean rates since boot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskRates {
    /// Reads.
    pub reads_s: f64,
    /// Writes.
    pub writes_s: f64,
    /// KiB read.
    pub read_kib_s: f64,
    /// KiB written.
    pub written_kib_s: f64,
}

impl DiskRates {
    fn all(&self) -> [f64; 4] {
        [
            self.reads_s,
            self.writes_s,
            self.read_kib_s,
            self.written_kib_s,
        ]
    }

    /// Whether two tools say the same: within 2 %, or what iostat's two decimals can hide.
    pub fn agrees(&self, other: &Self) -> bool {
        const ROUNDING: f64 = 0.005;
        let pairs = self.all().into_iter().zip(other.all());
        pairs
            .into_iter()
            .all(|(one, other)| (one - other).abs() <= (0.02 * one.abs()).max(ROUNDING))
    }
}

impl fmt::Display for DiskRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2} reads/s of {:.2} KiB/s and {:.2} writes/s of {:.2} KiB/s",
            self.reads_s, self.read_kib_s, self.writes_s, self.written_kib_s
        )
    }
}

/// The rates of one device in the first report of `iostat -d -x -k -o JSON`.
pub fn iostat_rates(json: &[u8], device: &str) -> Option<DiskRates> {
    let answer: Value = serde_json::from_slice(json).ok()?;
    let disks = answer.pointer("/sysstat/hosts/0/statistics/0/disk")?;
    let mut disks = disks.as_array()?.iter();
    let disk =
        disks.find(|disk| disk.get("disk_device").and_then(Value::as_str) == Some(device))?;
    let rate = |name: &str| disk.get(name)?.as_f64();
    Some(DiskRates {
        reads_s: rate("r/s")?,
        writes_s: rate("w/s")?,
        read_kib_s: rate("rkB/s")?,
        written_kib_s: rate("wkB/s")?,
    })
}

/// Both tools' rates, ours read right after iostat's.
pub(super) fn beside(roots: &Roots, device: &str) -> Option<super::Beside> {
    let mut iostat = Command::new("iostat");
    iostat.args(["-d", "-x", "-k", "-o", "JSON", device]);
    // Other languages write numbers with a comma.
    let output = iostat.env("LC_ALL", "C").output().ok()?;
    let theirs = iostat_rates(&output.stdout, device)?;
    let ours = our_rates(roots, device)?;
    Some(super::Beside { ours, theirs })
}

fn our_rates(roots: &Roots, device: &str) -> Option<DiskRates> {
    let stat = fs::read(roots.sys.join("block").join(device).join("stat")).ok()?;
    let mut counters = parse::BlockStat::default();
    parse::block_stat(&stat, &mut counters).ok()?;
    let uptime = fs::read_to_string(roots.proc.join("uptime")).ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let rate = |count: u64| count as f64 / uptime;
    let kib = |sectors: u64| sectors as f64 / 2.0 / uptime;
    Some(DiskRates {
        reads_s: rate(counters.reads),
        writes_s: rate(counters.writes),
        read_kib_s: kib(counters.read_sectors_512),
        written_kib_s: kib(counters.write_sectors_512),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iostats_json_is_read_by_name() {
        let json = br#"{"sysstat": {"hosts": [{"statistics": [{"disk": [
            {"disk_device": "sda", "r/s": 1.00, "w/s": 0.00, "rkB/s": 0.00, "wkB/s": 0.00},
            {"disk_device": "nvme0n1", "r/s": 12.50, "w/s": 3.00, "rkB/s": 800.25, "wkB/s": 96.00,
             "util": 0.50}]}]}]}}"#;
        let rates = iostat_rates(json, "nvme0n1").unwrap();
        assert_eq!(rates.all(), [12.5, 3.0, 800.25, 96.0]);
        assert_eq!(iostat_rates(json, "sdb"), None);
        assert_eq!(iostat_rates(b"no JSON", "sda"), None);
    }

    #[test]
    fn rounding_and_two_percent_agree() {
        let rates = |reads_s, writes_s| DiskRates {
            reads_s,
            writes_s,
            read_kib_s: 0.0,
            written_kib_s: 0.0,
        };
        assert!(rates(0.0049, 100.0).agrees(&rates(0.0, 101.9)));
        assert!(!rates(0.006, 100.0).agrees(&rates(0.0, 100.0)));
        assert!(!rates(0.0, 100.0).agrees(&rates(0.0, 103.0)));
    }
}
