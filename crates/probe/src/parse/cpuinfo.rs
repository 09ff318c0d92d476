//! /proc/cpuinfo, and lists of CPUs such as /sys/devices/system/cpu/online.

use super::{ParseError, lines, number, split_once};

/// What /proc/cpuinfo says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuInfo {
    /// CPUs that it lists.
    pub cpus: u32,
    /// The name; on Arm, which gives numbers alone, each kind of core with its count.
    pub name: Option<String>,
}

/// Parses /proc/cpuinfo. Its form differs by architecture, so that nothing in it is an error.
pub fn cpuinfo(text: &[u8]) -> CpuInfo {
    let mut info = CpuInfo::default();
    let mut implementer = None;
    let mut parts: Vec<(ArmPart, u32)> = Vec::new();
    for line in lines(text) {
        let Some((key, value)) = split_once(line, b':') else {
            continue;
        };
        let value = value.trim_ascii();
        match key.trim_ascii() {
            b"processor" => info.cpus += 1,
            b"model name" if info.name.is_none() => {
                info.name = Some(String::from_utf8_lossy(value).into_owned());
            }
            b"CPU implementer" => implementer = hex(value),
            b"CPU part" => {
                let Some((implementer, part)) = implementer.zip(hex(value)) else {
                    continue;
                };
                let part = ArmPart { implementer, part };
                match parts.iter_mut().find(|(other, _)| *other == part) {
                    Some((_, count)) => *count += 1,
                    None => parts.push((part, 1)),
                }
            }
            _ => {}
        }
    }
    if info.name.is_none() && !parts.is_empty() {
        let names = parts
            .iter()
            .map(|(part, count)| format!("{count} x {}", part.name()));
        info.name = Some(names.collect::<Vec<_>>().join(" + "));
    }
    info
}

/// The kind of an Arm core, by the numbers of its MIDR_EL1 register.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ArmPart {
    implementer: u32,
    part: u32,
}

impl ArmPart {
    /// Names from Arm's technical reference manuals (MIDR_EL1), as arch/arm64/include/asm/cputype.h
    /// lists them.
    fn name(self) -> String {
        let name = match (self.implementer, self.part) {
            (0x41, 0xd0c) => "Neoverse-N1",
            (0x41, 0xd40) => "Neoverse-V1",
            (0x41, 0xd49) => "Neoverse-N2",
            (0x41, 0xd4f) => "Neoverse-V2",
            (0x41, 0xd08) => "Cortex-A72",
            (0x41, 0xd85) => "Cortex-X925",
            (0x41, 0xd87) => "Cortex-A725",
            (0x4e, 0x004) => "Carmel",
            (implementer, part) => return format!("Arm core {implementer:#x}/{part:#x}"),
        };
        name.to_owned()
    }
}

fn hex(value: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(value.strip_prefix(b"0x")?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// How many CPUs a list such as `0-4,6,8-9` names.
pub fn cpu_list(text: &[u8]) -> Result<u32, ParseError> {
    let list = text.trim_ascii();
    let mut count = 0;
    for range in list.split(|&byte| byte == b',') {
        let (first, last) = split_once(range, b'-').unwrap_or((range, range));
        let length = number(first)
            .zip(number(last))
            .and_then(|(first, last)| last.checked_sub(first)?.checked_add(1))
            .ok_or_else(|| ParseError::new(text, range, "a range of CPUs"))?;
        count += length;
        if count > 1 << 20 {
            return Err(ParseError::new(text, range, "at most a million CPUs"));
        }
    }
    Ok(count as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_gives_a_name() {
        let info =
            cpuinfo(b"processor\t: 0\nmodel name\t: Xeon\n\nprocessor\t: 1\nmodel name\t: Xeon\n");
        assert_eq!(info.cpus, 2);
        assert_eq!(info.name.as_deref(), Some("Xeon"));
    }

    #[test]
    fn arm_gives_the_kinds_of_cores() {
        let core =
            |part: &str| format!("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n");
        let text = [core("0xd87"), core("0xd85"), core("0xd87"), core("0xabc")].concat();
        let info = cpuinfo(text.as_bytes());
        assert_eq!(info.cpus, 4);
        assert_eq!(
            info.name.as_deref(),
            Some("2 x Cortex-A725 + 1 x Cortex-X925 + 1 x Arm core 0x41/0xabc")
        );
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list(b"0-19\n"), Ok(20));
        assert_eq!(cpu_list(b"0-4,6,8-9\n"), Ok(8));
        assert!(cpu_list(b"\n").is_err());
        assert!(cpu_list(b"4-1\n").is_err());
        assert!(cpu_list(b"0-18446744073709551615\n").is_err());
    }
}
