//! `*_smartctl_pre.txt` and `*_smartctl_post.txt`: what `smartctl -a` printed.

use record::{SmartLog, SmartSource};

const KELVIN: u16 = 273;

/// In words why not.
pub(crate) fn parse(text: &str) -> Result<SmartLog, String> {
    if text.trim().is_empty() {
        return Err("smartctl printed nothing: the scripts hide that it failed".to_owned());
    }
    let report = Report(text);
    let narrow = |name: &str| -> Result<u32, String> {
        u32::try_from(report.count(name)?).map_err(|_| lacks(name))
    };
    let percent = |name: &str| u8::try_from(report.count(name)?).map_err(|_| lacks(name));
    Ok(SmartLog {
        source: SmartSource::Smartctl,
        critical_warning: report.bits("Critical Warning")?,
        temp_kelvin: u16::try_from(report.count("Temperature")?)
            .map_err(|_| lacks("Temperature"))?
            + KELVIN,
        available_spare_pct: percent("Available Spare")?,
        used_pct: percent("Percentage Used")?,
        data_units_read: report.count("Data Units Read")?,
        data_units_written: report.count("Data Units Written")?,
        host_reads: report.count("Host Read Commands")?,
        host_writes: report.count("Host Write Commands")?,
        busy_minutes: report.count("Controller Busy Time")?,
        power_cycles: report.count("Power Cycles")?,
        power_on_hours: report.count("Power On Hours")?,
        unsafe_shutdowns: report.count("Unsafe Shutdowns")?,
        media_errors: report.count("Media and Data Integrity Errors")?,
        warning_temp_minutes: narrow("Warning  Comp. Temperature Time")?,
        critical_temp_minutes: narrow("Critical Comp. Temperature Time")?,
        thermal_transitions: None,
        thermal_seconds: None,
    })
}

fn lacks(name: &str) -> String {
    format!("smartctl's text lacks {name:?}, or holds no number there")
}

struct Report<'a>(&'a str);

impl<'a> Report<'a> {
    fn text(&self, name: &str) -> Result<&'a str, String> {
        let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
        let found = self.0.lines().find_map(value);
        found.map(str::trim).ok_or_else(|| lacks(name))
    }

    /// `1,234,567 [632 GB]`, `45 Celsius`, `100%`.
    fn count(&self, name: &str) -> Result<u128, String> {
        let digits: String = self
            .text(name)?
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '\u{a0}' | '\u{202f}'))
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse().map_err(|_| lacks(name))
    }

    /// `0x00`.
    fn bits(&self, name: &str) -> Result<u8, String> {
        let text = self
            .text(name)?
            .strip_prefix("0x")
            .ok_or_else(|| lacks(name))?;
        u8::from_str_radix(text, 16).map_err(|_| lacks(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../tests/smartctl.txt");

    #[test]
    fn units_and_commands_are_read_past_their_commas() {
        let log = parse(TEXT).unwrap();
        assert_eq!(log.data_units_read, 41_238_112);
        assert_eq!(log.host_reads, 511_872_003);
        assert_eq!((log.temp_kelvin, log.used_pct), (318, 2));
        assert_eq!(log.warning_temp_minutes, 0);
    }

    #[test]
    fn a_failed_smartctl_is_refused_by_name() {
        assert!(parse("").unwrap_err().contains("hide"));
        let cut = &TEXT[..TEXT.find("Host Read").unwrap()];
        assert!(parse(cut).unwrap_err().contains("Host Read Commands"));
    }
}
