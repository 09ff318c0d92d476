//! The log itself (NVM Express base specification, Get Log Page, SMART / Health Information,
//! log identifier 02h), and what two of them say of the time between.

use record::{SmartLog, SmartSource};
use serde::Serialize;

/// One data unit: a thousand units of 512 bytes, whatever the format's block is.
pub const DATA_UNIT_BYTES: u64 = 512_000;

/// Parses the log page.
pub fn parse_log(page: &[u8; 512]) -> SmartLog {
    let u16_at = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| page[at + index]));
    let u128_at = |at: usize| u128::from_le_bytes(std::array::from_fn(|index| page[at + index]));
    SmartLog {
        source: SmartSource::AdminCommand,
        critical_warning: page[0],
        temp_kelvin: u16_at(1),
        available_spare_pct: page[3],
        used_pct: page[5],
        data_units_read: u128_at(32),
        data_units_written: u128_at(48),
        host_reads: u128_at(64),
        host_writes: u128_at(80),
        busy_minutes: u128_at(96),
        power_cycles: u128_at(112),
        power_on_hours: u128_at(128),
        unsafe_shutdowns: u128_at(144),
        media_errors: u128_at(160),
        warning_temp_minutes: u32_at(192),
        critical_temp_minutes: u32_at(196),
        thermal_transitions: Some([u32_at(216), u32_at(220)]),
        thermal_seconds: Some([u32_at(224), u32_at(228)]),
    }
}

/// What a controller counted between two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SmartDelta {
    /// Data units read.
    pub data_units_read: u128,
    /// Data units written.
    pub data_units_written: u128,
    /// Read commands.
    pub host_reads: u128,
    /// Write commands.
    pub host_writes: u128,
    /// Errors of the medium.
    pub media_errors: u128,
    /// Minutes above the warning or the critical temperature.
    pub hot_minutes: u32,
    /// Transitions to thermal management, both kinds; absent where one log lacks them.
    pub thermal_transitions: Option<u32>,
}

impl SmartDelta {
    /// The difference; absent if a counter fell: then the logs are of two devices, or swapped.
    pub fn between(first: &SmartLog, last: &SmartLog) -> Option<Self> {
        let hot = |log: &SmartLog| {
            log.warning_temp_minutes
                .checked_add(log.critical_temp_minutes)
        };
        let transitions = |log: &SmartLog| {
            let [light, heavy] = log.thermal_transitions?;
            light.checked_add(heavy)
        };
        let both = transitions(first).zip(transitions(last));
        Some(Self {
            data_units_read: last.data_units_read.checked_sub(first.data_units_read)?,
            data_units_written: last
                .data_units_written
                .checked_sub(first.data_units_written)?,
            host_reads: last.host_reads.checked_sub(first.host_reads)?,
            host_writes: last.host_writes.checked_sub(first.host_writes)?,
            media_errors: last.media_errors.checked_sub(first.media_errors)?,
            hot_minutes: hot(last)?.checked_sub(hot(first)?)?,
            thermal_transitions: match both {
                Some((first, last)) => Some(last.checked_sub(first)?),
                None => None,
            },
        })
    }
}

/// A controller's bytes beside the block layer's, for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CrossCheck {
    /// What the controller counted.
    pub smart_bytes: u128,
    /// What the block layer counted, over the whole device.
    pub block_bytes: u64,
    /// The controller's less the block layer's.
    pub difference_bytes: i128,
    /// How far rounding alone can part them.
    pub rounding_bytes: u64,
    /// Whether they agree.
    pub agrees: bool,
}

/// Compares the data units that a controller counted with the bytes that the block layer did,
/// between the same two moments. Each log is rounded up to a whole unit, so that rounding parts
/// them by less than one; what is beyond came from or went to somewhere else: another namespace,
/// another process past the block layer, or a controller that counts coarsely.
pub fn cross_check(data_units: u128, block_bytes: u64) -> CrossCheck {
    let smart_bytes = data_units.saturating_mul(u128::from(DATA_UNIT_BYTES));
    let signed = i128::try_from(smart_bytes).unwrap_or(i128::MAX);
    let difference_bytes = signed - i128::from(block_bytes);
    CrossCheck {
        smart_bytes,
        block_bytes,
        difference_bytes,
        rounding_bytes: DATA_UNIT_BYTES,
        agrees: difference_bytes.unsigned_abs() <= u128::from(DATA_UNIT_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> [u8; 512] {
        let mut page = [0; 512];
        page[1..3].copy_from_slice(&323u16.to_le_bytes());
        page[3] = 100;
        page[5] = 7;
        page[32..48].copy_from_slice(&(1u128 << 70).to_le_bytes());
        page[48..64].copy_from_slice(&132u128.to_le_bytes());
        page[192..196].copy_from_slice(&3u32.to_le_bytes());
        page[216..220].copy_from_slice(&5u32.to_le_bytes());
        page[220..224].copy_from_slice(&6u32.to_le_bytes());
        page
    }

    #[test]
    fn counters_have_128_bits() {
        let log = parse_log(&page());
        assert_eq!(log.data_units_read, 1 << 70);
        assert_eq!((log.temp_kelvin, log.used_pct), (323, 7));
        assert_eq!(log.thermal_transitions, Some([5, 6]));
        let json = serde_json::to_string(&log).unwrap();
        assert_eq!(serde_json::from_str::<SmartLog>(&json).unwrap(), log);
    }

    #[test]
    fn the_difference_of_two_logs() {
        let first = parse_log(&page());
        let mut last = first.clone();
        last.data_units_read += 10;
        last.thermal_transitions = Some([6, 6]);
        let delta = SmartDelta::between(&first, &last).unwrap();
        assert_eq!(
            (delta.data_units_read, delta.thermal_transitions),
            (10, Some(1))
        );
        assert_eq!(SmartDelta::between(&last, &first), None);
    }

    #[test]
    fn a_unit_of_rounding_is_no_mismatch() {
        // 64 MiB are 131.07 units: the log says 131 or 132.
        let read = 64 << 20;
        assert!(cross_check(132, read).agrees);
        assert!(cross_check(131, read).agrees);
        let missing = cross_check(66, read);
        assert!(!missing.agrees);
        assert_eq!(missing.difference_bytes, 66 * 512_000 - (64 << 20));
    }
}
