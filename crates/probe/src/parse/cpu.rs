//! /proc/stat: CPU times (Documentation/filesystems/proc.rst, 1.7).

use super::{ParseError, lines, number, words};
use record::CpuTimes;

/// The times of one CPU, or of all, in ticks of USER_HZ since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// User mode, guests included.
    pub user: u64,
    /// User mode, niced.
    pub nice: u64,
    /// Kernel.
    pub system: u64,
    /// Idle.
    pub idle: u64,
    /// Idle while a task of this CPU waited for I/O.
    pub iowait: u64,
    /// Hardware interrupts.
    pub irq: u64,
    /// Soft interrupts.
    pub softirq: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// Of `user`: the part that guests ran.
    pub guest: u64,
    /// Of `nice`: the part that niced guests ran.
    pub guest_nice: u64,
}

/// Ticks a second in what the kernel shows to users: USER_HZ, 100 nearly everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserHz(u64);

impl UserHz {
    /// Asks the system.
    pub fn of_this_system() -> Self {
        let hz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
        // 100 is the value of every architecture that Linux still supports (uapi/asm-generic/param.h).
        let hz = hz.ok().flatten().and_then(|hz| u64::try_from(hz).ok());
        Self(hz.filter(|&hz| hz > 0).unwrap_or(100))
    }

    /// Ticks as milliseconds.
    pub fn ms(self, ticks: u64) -> u64 {
        let ms = u128::from(ticks) * 1000 / u128::from(self.0);
        u64::try_from(ms).unwrap_or(u64::MAX)
    }
}

impl CpuTicks {
    /// The times in milliseconds.
    pub fn times(&self, hz: UserHz) -> CpuTimes {
        CpuTimes {
            usr_ms: hz.ms(self.user),
            nice_ms: hz.ms(self.nice),
            sys_ms: hz.ms(self.system),
            iowait_ms: hz.ms(self.iowait),
            irq_ms: hz.ms(self.irq),
            soft_ms: hz.ms(self.softirq),
            steal_ms: hz.ms(self.steal),
            idle_ms: hz.ms(self.idle),
        }
    }

    /// The kernel has added fields over time, at the end; what it doesn't print is 0.
    fn parse(fields: impl Iterator<Item = Option<u64>>) -> Option<Self> {
        let mut all = [0; 10];
        let mut count = 0;
        for (slot, field) in all.iter_mut().zip(fields) {
            *slot = field?;
            count += 1;
        }
        let [
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
            guest,
            guest_nice,
        ] = all;
        (count >= 8).then_some(Self {
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
            guest,
            guest_nice,
        })
    }
}

/// The times of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreTicks {
    /// The core's number.
    pub core: u32,
    /// Its times.
    pub ticks: CpuTicks,
}

/// What /proc/stat says of CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStat {
    /// All CPUs together.
    pub total: CpuTicks,
    /// Each core that is online.
    pub cores: Vec<CoreTicks>,
}

/// Parses /proc/stat up to the last line about a CPU: they come first.
pub fn cpu_stat(text: &[u8], into: &mut CpuStat) -> Result<(), ParseError> {
    const TICKS: &str = "at least 8 numbers of ticks";
    into.cores.clear();
    let mut total = None;
    for line in lines(text) {
        let mut words = words(line);
        let Some(cpu) = words.next().and_then(|name| name.strip_prefix(b"cpu")) else {
            break;
        };
        let ticks =
            CpuTicks::parse(words.map(number)).ok_or_else(|| ParseError::new(text, line, TICKS))?;
        if cpu.is_empty() {
            total = Some(ticks);
            continue;
        }
        let core = number(cpu)
            .and_then(|core| u32::try_from(core).ok())
            .ok_or_else(|| ParseError::new(text, line, "a CPU's number"))?;
        into.cores.push(CoreTicks { core, ticks });
    }
    into.total = total.ok_or_else(|| ParseError::new(text, text, "a line `cpu`"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"cpu  21 1 10 1385 6 2 5 3 4 0\ncpu3 20 0 4 600 5 0 3 1 0 0\n\
        intr 1065236 0 0\ncpu9 not reached\n";

    #[test]
    fn total_and_cores() {
        let mut stat = CpuStat::default();
        cpu_stat(TEXT, &mut stat).unwrap();
        assert_eq!(stat.cores.len(), 1);
        assert_eq!(stat.cores[0].core, 3);
        let times = stat.total.times(UserHz(100));
        assert_eq!(times.fields(), [210, 10, 100, 60, 20, 50, 30, 13850]);
        assert_eq!(stat.total.guest, 4);
    }

    #[test]
    fn a_core_that_went_offline_leaves() {
        let mut stat = CpuStat::default();
        cpu_stat(TEXT, &mut stat).unwrap();
        cpu_stat(&TEXT[..30], &mut stat).unwrap();
        assert!(stat.cores.is_empty());
    }

    #[test]
    fn what_is_no_stat_is_refused() {
        let error = |text: &str| cpu_stat(text.as_bytes(), &mut CpuStat::default()).unwrap_err();
        assert_eq!(error("").expected, "a line `cpu`");
        assert_eq!(error("cpu 1 2 3\n").line, 1);
        assert_eq!(error("cpu 1 2 3 4 5 6 7 8\ncpu0 1 x 3 4 5 6 7 8\n").line, 2);
    }
}
