//! What follows from two readings of CPU times.

use record::CpuTimes;

/// How a CPU, or all of them, spent an interval, in percent. They sum to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuShares {
    /// User mode, guests included.
    pub usr_pct: f64,
    /// User mode, niced.
    pub nice_pct: f64,
    /// Kernel.
    pub sys_pct: f64,
    /// Idle while a task waited for I/O.
    pub iowait_pct: f64,
    /// Hardware interrupts.
    pub irq_pct: f64,
    /// Soft interrupts.
    pub soft_pct: f64,
    /// Taken by the hypervisor.
    pub steal_pct: f64,
    /// Idle.
    pub idle_pct: f64,
}

/// The shares between two readings; absent if no time was counted between them. A time that went
/// back, as iowait may (Documentation/filesystems/proc.rst), counts as nothing.
pub fn cpu_shares(first: &CpuTimes, last: &CpuTimes) -> Option<CpuShares> {
    let mut spent = last.fields();
    for (last, first) in spent.iter_mut().zip(first.fields()) {
        *last = last.saturating_sub(first);
    }
    let total: u64 = spent.iter().sum();
    if total == 0 {
        return None;
    }
    let [usr, nice, sys, iowait, irq, soft, steal, idle] =
        spent.map(|ms| 100.0 * ms as f64 / total as f64);
    Some(CpuShares {
        usr_pct: usr,
        nice_pct: nice,
        sys_pct: sys,
        iowait_pct: iowait,
        irq_pct: irq,
        soft_pct: soft,
        steal_pct: steal,
        idle_pct: idle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_time_that_was_counted() {
        let first = CpuTimes {
            usr_ms: 100,
            iowait_ms: 500,
            idle_ms: 1000,
            ..CpuTimes::default()
        };
        let last = CpuTimes {
            usr_ms: 150,
            iowait_ms: 490,
            idle_ms: 1150,
            ..CpuTimes::default()
        };
        let shares = cpu_shares(&first, &last).unwrap();
        assert_eq!((shares.usr_pct, shares.idle_pct), (25.0, 75.0));
        assert_eq!(shares.iowait_pct, 0.0);
        assert_eq!(cpu_shares(&first, &first), None);
    }
}
