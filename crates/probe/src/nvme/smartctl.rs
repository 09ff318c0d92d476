//! The SMART log as `smartctl --json` prints it.

use super::SmartctlError;
use record::{SmartLog, SmartSource};
use serde_json::{Map, Value};
use std::{path::Path, process::Command};

/// Runs `smartctl`. Its exit status is a bitmask that is not zero for many a good answer
/// (smartctl(8), EXIT STATUS): the JSON alone decides.
pub(super) fn read(device: &Path) -> Result<SmartLog, SmartctlError> {
    let mut command = Command::new("smartctl");
    let output = command.args(["--json", "--all"]).arg(device).output()?;
    parse_smartctl(&output.stdout)
}

/// Parses the JSON of `smartctl --json --all`.
pub fn parse_smartctl(json: &[u8]) -> Result<SmartLog, SmartctlError> {
    let answer: Value = serde_json::from_slice(json)?;
    let Some(Value::Object(log)) = answer.get("nvme_smart_health_information_log") else {
        return Err(SmartctlError::NoLog(messages(&answer)));
    };
    let field = |name: &str| {
        integer(log, name).ok_or_else(|| SmartctlError::NoLog(format!("its log has no {name}")))
    };
    let small = |name: &str| field(name).map(|value| u8::try_from(value).unwrap_or(u8::MAX));
    let minutes = |name: &str| {
        // Controllers without these limits have no such lines.
        u32::try_from(integer(log, name).unwrap_or(0)).unwrap_or(u32::MAX)
    };
    // smartctl prints degrees Celsius, which it made from whole kelvins by this same 273.
    let temp_kelvin = u16::try_from(field("temperature")?.saturating_add(273)).unwrap_or(u16::MAX);
    Ok(SmartLog {
        source: SmartSource::Smartctl,
        critical_warning: small("critical_warning")?,
        temp_kelvin,
        available_spare_pct: small("available_spare")?,
        used_pct: small("percentage_used")?,
        data_units_read: field("data_units_read")?,
        data_units_written: field("data_units_written")?,
        host_reads: field("host_reads")?,
        host_writes: field("host_writes")?,
        busy_minutes: field("controller_busy_time")?,
        power_cycles: field("power_cycles")?,
        power_on_hours: field("power_on_hours")?,
        unsafe_shutdowns: field("unsafe_shutdowns")?,
        media_errors: field("media_errors")?,
        warning_temp_minutes: minutes("warning_temp_time"),
        critical_temp_minutes: minutes("critical_comp_time"),
        thermal_transitions: None,
        thermal_seconds: None,
    })
}

/// A number that JSON's readers may not hold exactly is printed a second time, as text under
/// `name_s` (smartmontools, json.cpp): that one is taken first.
fn integer(log: &Map<String, Value>, name: &str) -> Option<u128> {
    let text = log.get(&format!("{name}_s")).and_then(Value::as_str);
    let exact = text.and_then(|text| text.parse().ok());
    exact.or_else(|| log.get(name)?.as_u64().map(u128::from))
}

fn messages(answer: &Value) -> String {
    let messages = answer
        .pointer("/smartctl/messages")
        .and_then(Value::as_array);
    let texts = messages.into_iter().flatten();
    let texts: Vec<_> = texts
        .filter_map(|message| message.get("string")?.as_str())
        .collect();
    if texts.is_empty() {
        return "its answer holds no NVMe log".to_owned();
    }
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"smartctl": {"exit_status": 4}, "nvme_smart_health_information_log": {
        "critical_warning": 0, "temperature": 50, "available_spare": 100,
        "available_spare_threshold": 10, "percentage_used": 1, "data_units_read": 18014398509481984,
        "data_units_read_s": "18014398509481985", "data_units_written": 132, "host_reads": 9,
        "host_writes": 8, "controller_busy_time": 7, "power_cycles": 6, "power_on_hours": 5,
        "unsafe_shutdowns": 4, "media_errors": 0, "num_err_log_entries": 0,
        "warning_temp_time": 2, "critical_comp_time": 1}}"#;

    #[test]
    fn the_log_is_read_whatever_the_exit_status() {
        let log = parse_smartctl(LOG.as_bytes()).unwrap();
        assert_eq!(log.source, SmartSource::Smartctl);
        assert_eq!((log.temp_kelvin, log.data_units_written), (323, 132));
        assert_eq!(log.data_units_read, 18_014_398_509_481_985);
        assert_eq!(log.thermal_transitions, None);
    }

    #[test]
    fn its_own_reason_is_told() {
        let json = r#"{"smartctl": {"messages": [
            {"string": "/dev/vda: Unable to detect device type", "severity": "error"}]}}"#;
        assert_eq!(
            parse_smartctl(json.as_bytes()).unwrap_err().to_string(),
            "/dev/vda: Unable to detect device type"
        );
        assert!(parse_smartctl(b"Failed to scan").is_err());
        let short = LOG.replace("\"host_reads\": 9,", "");
        assert_eq!(
            parse_smartctl(short.as_bytes()).unwrap_err().to_string(),
            "its log has no host_reads"
        );
    }
}
