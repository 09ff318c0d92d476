//! `smart_pre.json` and `smart_post.json`: what an NVMe controller had counted before a run and
//! after it.

use crate::{FORMAT, RecordError, RunDir, session};
use clock::SessionNs;
use serde::{Deserialize, Serialize};

/// One of the two files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartSnapshot {
    /// The format's version, [`FORMAT`].
    pub format: u32,
    /// When it was taken.
    pub taken_ns: SessionNs,
    /// The whole device that was asked for: `nvme0n1`. The counters are its controller's, over
    /// all its namespaces.
    pub device: String,
    /// The counters.
    pub log: SmartLog,
}

impl SmartSnapshot {
    /// A snapshot of this device.
    pub fn new(taken: SessionNs, device: &str, log: SmartLog) -> Self {
        Self {
            format: FORMAT,
            taken_ns: taken,
            device: device.to_owned(),
            log,
        }
    }
}

/// What an NVMe controller has counted. Counters have 128 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartLog {
    /// How it was read.
    pub source: SmartSource,
    /// Warnings, as bits; 0 is none.
    pub critical_warning: u8,
    /// The composite temperature.
    pub temp_kelvin: u16,
    /// Spare blocks left, in percent.
    pub available_spare_pct: u8,
    /// Of the rated endurance, in percent; may pass 100.
    pub used_pct: u8,
    /// Data units of 512,000 bytes read by the host, rounded up.
    pub data_units_read: u128,
    /// Data units of 512,000 bytes written by the host, rounded up.
    pub data_units_written: u128,
    /// Read commands.
    pub host_reads: u128,
    /// Write commands.
    pub host_writes: u128,
    /// Minutes in which it was busy.
    pub busy_minutes: u128,
    /// Times that it was powered on.
    pub power_cycles: u128,
    /// Hours that it was on.
    pub power_on_hours: u128,
    /// Times that power went without notice.
    pub unsafe_shutdowns: u128,
    /// Errors of the medium that could not be corrected.
    pub media_errors: u128,
    /// Minutes above the warning temperature.
    pub warning_temp_minutes: u32,
    /// Minutes above the critical temperature.
    pub critical_temp_minutes: u32,
    /// Transitions to lighter and heavier thermal management (TMT1, TMT2); absent where
    /// `smartctl` does not tell.
    pub thermal_transitions: Option<[u32; 2]>,
    /// Seconds in each.
    pub thermal_seconds: Option<[u32; 2]>,
}

/// How a log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmartSource {
    /// By admin command.
    AdminCommand,
    /// By `smartctl`.
    Smartctl,
}

impl RunDir {
    /// Writes `smart_pre.json`, in one step.
    pub fn write_smart_pre(&self, snapshot: &SmartSnapshot) -> Result<(), RecordError> {
        session::write_json(&self.smart_pre(), snapshot)
    }

    /// Writes `smart_post.json`, in one step.
    pub fn write_smart_post(&self, snapshot: &SmartSnapshot) -> Result<(), RecordError> {
        session::write_json(&self.smart_post(), snapshot)
    }

    /// Reads `smart_pre.json`.
    pub fn read_smart_pre(&self) -> Result<SmartSnapshot, RecordError> {
        session::read_json(&self.smart_pre())
    }

    /// Reads `smart_post.json`.
    pub fn read_smart_post(&self) -> Result<SmartSnapshot, RecordError> {
        session::read_json(&self.smart_post())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn snapshot() -> SmartSnapshot {
        let log = SmartLog {
            source: SmartSource::AdminCommand,
            critical_warning: 0,
            temp_kelvin: 323,
            available_spare_pct: 100,
            used_pct: 7,
            data_units_read: 1 << 70,
            data_units_written: 132,
            host_reads: 9,
            host_writes: 8,
            busy_minutes: 7,
            power_cycles: 6,
            power_on_hours: 5,
            unsafe_shutdowns: 4,
            media_errors: 0,
            warning_temp_minutes: 0,
            critical_temp_minutes: 0,
            thermal_transitions: None,
            thermal_seconds: None,
        };
        SmartSnapshot::new(SessionNs(-1_000_000), "nvme0n1", log)
    }

    #[test]
    fn both_snapshots_read_back_with_128_bits() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir(folder.path().to_owned());
        let pre = snapshot();
        let mut post = pre.clone();
        post.log.data_units_read += 1;
        run.write_smart_pre(&pre).unwrap();
        run.write_smart_post(&post).unwrap();
        assert_eq!(run.read_smart_pre().unwrap(), pre);
        assert_eq!(run.read_smart_post().unwrap(), post);
        let text = fs::read_to_string(run.smart_pre()).unwrap();
        assert!(
            text.contains("\"data_units_read\": 1180591620717411303424"),
            "{text}"
        );
    }

    #[test]
    fn another_versions_or_a_damaged_snapshot_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir(folder.path().to_owned());
        let mut other = snapshot();
        other.format += 1;
        run.write_smart_pre(&other).unwrap();
        let error = run.read_smart_pre().unwrap_err().to_string();
        assert!(error.contains("format"), "{error}");
        fs::write(run.smart_post(), "{\"format\": 1, \"taken").unwrap();
        let error = run.read_smart_post().unwrap_err().to_string();
        assert!(error.contains("smart_post.json:1:"), "{error}");
        fs::remove_file(run.smart_post()).unwrap();
        assert!(run.read_smart_post().is_err());
    }
}
