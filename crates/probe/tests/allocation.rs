//! Once its buffers have grown, sampling allocates nothing.

use clock::SessionClock;
use probe::{Probes, Roots, SampleInterval, Sampler, device, page_cache::Files, server};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    path::Path,
    sync::mpsc,
    time::Duration,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a count for each thread.
struct Counting;

#[expect(unsafe_code, reason = "an allocator can be counted only by being one")]
// SAFETY: every call goes to the system's allocator unchanged; a `const` thread-local of a type
// without a destructor neither allocates nor can be gone.
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
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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
    // A channel that has its places beforehand: sending allocates nothing.
    let (send, received) = mpsc::sync_channel(ticks);
    let interval = SampleInterval::new(Duration::from_millis(10)).expect("10 ms is in range");
    let sampler = Sampler::start(probes, interval, SessionClock::start(), move |_, _| {
        let _ = send.try_send(ALLOCATIONS.get());
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
        let counts = allocations(&roots, 40);
        assert!(counts[0] > 0, "the first tick grows the buffers");
        // The first `try_send` may set up the thread's own part of the channel.
        assert_eq!(counts[2], counts[39], "{counts:?}");
    }
}
