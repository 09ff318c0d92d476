//! io_uring on one thread of its own. A request may come while the thread waits for completions,
//! so the ring also watches an eventfd that [`Waker`] writes to.

use super::{Completion, Direction, OnDone, Request};
use io_uring::{IoUring, opcode, squeue, types::Fd};
use nix::{
    libc,
    sys::eventfd::{EfdFlags, EventFd},
};
use std::{
    collections::HashMap,
    fs::File,
    io,
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

/// Marks the eventfd's completions; requests are numbered from 0.
const WAKE: u64 = u64::MAX;

/// A ring that is not in use yet.
pub(super) struct Ring {
    ring: IoUring,
    depth: usize,
}

impl Ring {
    /// Fails where the kernel has no io_uring or does not let us use it.
    pub(super) fn new(depth: u32) -> io::Result<Self> {
        // One more entry, for the eventfd.
        let entries = (depth + 1).next_power_of_two();
        // The thread waits in the kernel for completions: it need not be interrupted for them.
        // Kernels before 5.19 refuse the flag.
        let ring = IoUring::builder()
            .setup_coop_taskrun()
            .build(entries)
            .or_else(|_| IoUring::builder().build(entries))?;
        Ok(Self {
            ring,
            depth: depth as usize,
        })
    }
}

/// Tells the thread that there is a request, or that there will be none.
pub(super) struct Waker(Arc<Bell>);

/// What the thread sleeps by.
struct Bell {
    event: EventFd,
    /// The thread is about to sleep, or asleep, could take a request and has not been woken. While
    /// it is awake, or has no room, it looks at the inbox by itself, and no system call is needed.
    asleep: AtomicBool,
}

impl Waker {
    pub(super) fn wake(&self) {
        if self.0.asleep.swap(false, Ordering::SeqCst) {
            // It can only fail when the count is full, and then the thread is awake already.
            let _ = self.0.event.write(1);
        }
    }
}

pub(super) fn start(
    ring: Ring,
    file: File,
    inbox: mpsc::Receiver<Request>,
    on_done: OnDone,
) -> io::Result<(Waker, JoinHandle<()>)> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let bell = Arc::new(Bell {
        event: EventFd::from_value_and_flags(0, flags)?,
        asleep: AtomicBool::new(false),
    });
    let waker = Waker(Arc::clone(&bell));
    let mut worker = Worker {
        ring: ring.ring,
        depth: ring.depth,
        file,
        bell,
        inbox,
        on_done,
        under_way: HashMap::new(),
        next: 0,
        closed: false,
    };
    let thread = thread::Builder::new().name("disk".into()).spawn(move || {
        if let Err(error) = worker.run() {
            worker.give_up(&error);
        }
    })?;
    Ok((waker, thread))
}

struct Worker {
    ring: IoUring,
    depth: usize,
    file: File,
    bell: Arc<Bell>,
    inbox: mpsc::Receiver<Request>,
    on_done: OnDone,
    /// What the kernel works on: its buffers must stay where they are.
    under_way: HashMap<u64, Request>,
    next: u64,
    /// No more requests will come.
    closed: bool,
}

impl Worker {
    fn run(&mut self) -> io::Result<()> {
        self.watch_event()?;
        loop {
            self.take_requests()?;
            // With no room for more, a request has to wait for a completion anyway, and need not
            // ring.
            if self.has_room() {
                // What came before this is found by the second look, what comes after it rings.
                self.bell.asleep.store(true, Ordering::SeqCst);
                self.take_requests()?;
            }
            if self.closed && self.under_way.is_empty() {
                return Ok(());
            }
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                Err(error) => return Err(error),
            }
            self.bell.asleep.store(false, Ordering::SeqCst);
            self.reap()?;
        }
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < self.depth
    }

    fn take_requests(&mut self) -> io::Result<()> {
        while !self.closed && self.has_room() {
            match self.inbox.try_recv() {
                Ok(request) => self.begin(request)?,
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => self.closed = true,
            }
        }
        Ok(())
    }

    fn begin(&mut self, mut request: Request) -> io::Result<()> {
        let fd = Fd(self.file.as_raw_fd());
        let buffer = request.buffer.bytes_mut();
        let len = u32::try_from(buffer.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let entry = match request.direction {
            Direction::Read => opcode::Read::new(fd, buffer.as_mut_ptr(), len)
                .offset(request.offset)
                .build(),
            Direction::Write => opcode::Write::new(fd, buffer.as_ptr(), len)
                .offset(request.offset)
                .build(),
        };
        let number = self.next;
        self.next += 1;
        // Kept before it is pushed: whatever happens, its memory outlives the kernel's use.
        self.under_way.insert(number, request);
        self.push(&entry.user_data(number))
    }

    fn watch_event(&mut self) -> io::Result<()> {
        let fd = Fd(self.bell.event.as_raw_fd());
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).build();
        self.push(&poll.user_data(WAKE))
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        #[expect(unsafe_code, reason = "the ring can't know how long buffers live")]
        // SAFETY: the entry points into a buffer of `under_way`, a mapping that does not move and
        // is dropped only after its completion was reaped, or into nothing (the poll).
        let pushed = unsafe { self.ring.submission().push(entry) };
        // There are more entries than requests are let under way, and the queue is emptied by
        // every submit.
        pushed.map_err(|_| io::Error::other("the submission queue is full"))
    }

    fn reap(&mut self) -> io::Result<()> {
        let mut woken = false;
        for entry in self.ring.completion() {
            if entry.user_data() == WAKE {
                woken = true;
            } else if let Some(request) = self.under_way.remove(&entry.user_data()) {
                let moved = match entry.result() {
                    errno if errno < 0 => Err(io::Error::from_raw_os_error(-errno)),
                    moved => Ok(moved as usize),
                };
                (self.on_done)(Completion::new(request, moved));
            }
        }
        if woken {
            // Empty is as good as read: the poll is what counts.
            let _ = self.bell.event.read();
            self.watch_event()?;
        }
        Ok(())
    }

    /// Ends all requests with an error: the ring is of no more use. The memory of those that the
    /// kernel may still be writing to is leaked, for good reason.
    fn give_up(&mut self, error: &io::Error) {
        tracing::error!(%error, "io_uring failed; the disk tier is of no more use");
        for (_, request) in self.under_way.drain() {
            let completion = Completion {
                ticket: request.ticket,
                direction: request.direction,
                buffer: None,
                result: Err(io::Error::other("io_uring failed")),
            };
            std::mem::forget(request.buffer);
            (self.on_done)(completion);
        }
        while let Ok(request) = self.inbox.recv() {
            (self.on_done)(Completion::new(request, Err(io::ErrorKind::Other.into())));
        }
    }
}
