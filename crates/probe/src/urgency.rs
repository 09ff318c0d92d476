//! The sampler's claim on a CPU: where the load takes all of them, an instrument that waits its
//! turn among the load measures its own waiting.

use nix::{errno::Errno, libc};

/// How soon the sampler's thread gets a CPU that it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Before all ordinary threads (SCHED_FIFO).
    RealTime,
    /// Among the first of the ordinary threads: it asked for short slices, which Linux honours
    /// since 6.12. More needs CAP_SYS_NICE or a limit on real-time priority (`ulimit -r`).
    ShortSlices,
    /// Like every other thread.
    Ordinary,
}

/// `struct sched_attr`, in its first version (include/uapi/linux/sched/types.h).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;
const _: () = assert!(SIZE == 48);

/// Claims what may be claimed for the calling thread, which needs a fraction of a millisecond a
/// tick. Nothing outside this thread is changed.
pub(crate) fn claim() -> Urgency {
    let real_time = Attributes {
        size: SIZE,
        policy: libc::SCHED_FIFO as u32,
        // What a real-time thread starts is ordinary again.
        flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        priority: 1,
        ..Attributes::default()
    };
    if set(&real_time).is_ok() {
        return Urgency::RealTime;
    }
    // The shortest slice that the kernel grants (Documentation/scheduler/sched-eevdf.rst).
    const SLICE_NS: u64 = 100_000;
    let sliced = get().and_then(|current| {
        set(&Attributes {
            size: SIZE,
            runtime_ns: SLICE_NS,
            ..current
        })
    });
    match sliced.and_then(|()| get()) {
        Ok(now) if now.runtime_ns == SLICE_NS => Urgency::ShortSlices,
        _ => Urgency::Ordinary,
    }
}

#[expect(unsafe_code, reason = "no library wraps sched_setattr")]
fn set(attributes: &Attributes) -> Result<(), Errno> {
    let pointer: *const Attributes = attributes;
    // SAFETY: the kernel reads `size` bytes of its own struct; 0 is the calling thread, and there
    // are no flags.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, pointer, 0) }).map(drop)
}

#[expect(unsafe_code, reason = "no library wraps sched_getattr")]
fn get() -> Result<Attributes, Errno> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes at most `SIZE` bytes, the struct's own size; 0 is the calling
    // thread, and there are no flags.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0)
    })?;
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_claim_is_what_the_kernel_says_it_is() {
        // On a thread of its own, since the claim stays with it.
        thread::spawn(|| {
            let urgency = claim();
            let now = get().unwrap();
            match urgency {
                Urgency::RealTime => assert_eq!((now.policy, now.priority), (1, 1)),
                Urgency::ShortSlices => assert_eq!((now.policy, now.runtime_ns), (0, 100_000)),
                Urgency::Ordinary => assert_eq!(now.policy, 0),
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn without_the_right_to_real_time_slices_are_asked_for() {
        thread::spawn(|| {
            let current = get().unwrap();
            let sliced = Attributes {
                size: SIZE,
                runtime_ns: 100_000,
                ..current
            };
            assert_eq!(set(&sliced), Ok(()));
        })
        .join()
        .unwrap();
    }
}
