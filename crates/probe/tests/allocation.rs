//! Once its buffers have grown, sampling allocates nothing.

use clock::SessionClock;
use nix::libc;
use probe::{Probes, Roots, SampleInterval, Sampler, device, page_cache::Files, server};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Allocations of the sampler's thread.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with a count for one thread.
struct Counting;

#[expect(unsafe_code, reason = "an allocator can be counted only by being one")]
// SAFETY: every call goes to the system's allocator unchanged; to count allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    let mut name = [0u8; 16];
    #[expect(unsafe_code, reason = "the safe call allocates the name")]
    // SAFETY: the kernel writes at most 16 bytes (prctl(2), PR_GET_NAME).
    unsafe {
        libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
    }
    if name.starts_with(b"sampler\0") {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

/// The sampler thread's allocations up to each of its first `ticks` ticks.
fn allocations(roots: &Roots, ticks: usize) -> Vec<u64> {
    let under_test = device::resolve(roots, Path::new(env!("CARGO_MANIFEST_DIR")));
    let program = std::env::current_exe().expect("a test is a program");
    let files = Files::open(&program).expect("its file can be opened");
    let myself = server::by_pid(&Roots::default(), std::process::id()).expect("it runs");
    let probes = Probes::open(roots, Some(&under_test))
        .with_server(&Roots::default(), myself)
        .with_files(files);
    let (send, received) = mpsc::channel();
    let interval = SampleInterval::new(Duration::from_millis(10)).expect("10 ms is in range");
    let sampler = Sampler::start(probes, interval, SessionClock::start(), move |_, _| {
        let _ = send.send(ALLOCATIONS.load(Ordering::Relaxed));
    })
    .expect("a thread can be started");
    let counts = received.iter().take(ticks).collect();
    sampler.stop();
    counts
}

#[test]
fn the_steady_state_allocates_nothing() {
    let gb10 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gb10");
    for roots in [Roots::default(), Roots::under(&gb10)] {
        let counts = allocations(&roots, 150);
        assert!(counts[0] > 0, "the first tick grows the buffers");
        // Buffers take turns; by then each has been grown once.
        assert_eq!(counts[80], counts[149], "{counts:?}");
    }
}
