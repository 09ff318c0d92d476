//! Aligned reads and writes of one file, many at a time: io_uring, or threads where there is none.
//!
//! Buffers are owned by the request while it is under way and come back with its completion, so
//! nothing is freed or touched that the kernel still uses.

mod threads;
mod uring;

use super::{StorageError, memory::Region};
use std::{fs::File, io, path::Path, str::FromStr, sync::mpsc, thread::JoinHandle, time::Duration};

/// How I/O is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoEngine {
    /// io_uring if the kernel lets us, else threads.
    #[default]
    Auto,
    /// io_uring.
    Uring,
    /// Blocking calls on threads.
    Threads,
}

impl FromStr for IoEngine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "io_uring" => Ok(Self::Uring),
            "threads" => Ok(Self::Threads),
            _ => Err(format!("'{name}' is none of auto, io_uring, threads")),
        }
    }
}

/// How a queue is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// How I/O is done.
    pub io: IoEngine,
    /// Most requests under way at a time.
    pub depth: u32,
    /// Every read takes at least this long: a slower disk. Needs threads.
    pub read_delay: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            io: IoEngine::Auto,
            depth: 32,
            read_delay: Duration::ZERO,
        }
    }
}

/// Memory for one request, page-aligned.
#[derive(Debug)]
pub struct Buffer(Region);

impl Buffer {
    /// A buffer of `len` bytes, rounded up to the alignment of direct I/O.
    pub fn new(len: usize) -> Result<Self, StorageError> {
        Region::new(super::memory::align_up(len), "an I/O buffer").map(Self)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// Its bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the file into the buffer.
    Read,
    /// From the buffer into the file.
    Write,
}

/// One read or write of a whole buffer.
#[derive(Debug)]
pub struct Request {
    /// Given back with the completion.
    pub ticket: u64,
    /// Which way.
    pub direction: Direction,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// The memory.
    pub buffer: Buffer,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Completion {
    /// The request's.
    pub ticket: u64,
    /// The request's.
    pub direction: Direction,
    /// The request's, filled if it was a read that succeeded. None if the queue broke down and the
    /// kernel may still use it.
    pub buffer: Option<Buffer>,
    /// Whether the whole buffer was read or written.
    pub result: io::Result<()>,
}

impl Completion {
    /// `moved` is what the kernel returned.
    fn new(request: Request, moved: io::Result<usize>) -> Self {
        let wanted = request.buffer.bytes().len();
        let result = moved.and_then(|moved| {
            if moved == wanted {
                Ok(())
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        });
        Self {
            ticket: request.ticket,
            direction: request.direction,
            buffer: Some(request.buffer),
            result,
        }
    }
}

/// Takes completions, on a thread of the queue's.
pub type OnDone = Box<dyn Fn(Completion) + Send + Sync>;

/// A queue of requests to one file. Dropping it waits for what is under way.
pub struct DiskQueue {
    requests: Option<mpsc::Sender<Request>>,
    wake: Option<uring::Waker>,
    threads: Vec<JoinHandle<()>>,
    name: &'static str,
}

impl DiskQueue {
    /// Starts the queue's threads. `path` is only for messages.
    pub fn start(
        file: File,
        path: &Path,
        config: QueueConfig,
        on_done: OnDone,
    ) -> Result<Self, StorageError> {
        let throttled = config.read_delay > Duration::ZERO;
        let ring = match config.io {
            IoEngine::Threads => None,
            IoEngine::Auto if throttled => None,
            IoEngine::Auto => uring::Ring::new(config.depth)
                .inspect_err(|error| tracing::warn!(%error, "no io_uring here; using threads"))
                .ok(),
            IoEngine::Uring => Some(
                uring::Ring::new(config.depth)
                    .map_err(|source| StorageError::file("set up io_uring for", path, source))?,
            ),
        };
        let (requests, inbox) = mpsc::channel();
        let started = match ring {
            Some(ring) => uring::start(ring, file, inbox, on_done)
                .map(|(waker, thread)| (Some(waker), vec![thread], "io_uring")),
            None => threads::start(file, config, inbox, on_done)
                .map(|threads| (None, threads, "threads")),
        };
        let (wake, threads, name) = started.map_err(|source| StorageError::Thread {
            what: "read and write",
            source,
        })?;
        Ok(Self {
            requests: Some(requests),
            wake,
            threads,
            name,
        })
    }

    /// What does the I/O: `io_uring` or `threads`.
    pub fn engine(&self) -> &'static str {
        self.name
    }

    /// Puts a request in the queue. False if the queue's threads have died.
    pub fn submit(&self, request: Request) -> bool {
        let sent = self
            .requests
            .as_ref()
            .is_some_and(|r| r.send(request).is_ok());
        if let Some(wake) = &self.wake {
            wake.wake();
        }
        sent
    }
}

impl Drop for DiskQueue {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(wake) = &self.wake {
            wake.wake();
        }
        for thread in self.threads.drain(..) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    const LEN: usize = 8192;

    fn round_trip(io: IoEngine) {
        let file = tempfile::tempfile().unwrap();
        let (done, completions) = mpsc::channel();
        let config = QueueConfig {
            io,
            depth: 3,
            ..QueueConfig::default()
        };
        let on_done: OnDone = Box::new(move |completion| done.send(completion).unwrap());
        let queue =
            DiskQueue::start(file.try_clone().unwrap(), Path::new("t"), config, on_done).unwrap();
        let request = |ticket: u64, direction, fill: u8| {
            let mut buffer = Buffer::new(LEN).unwrap();
            buffer.bytes_mut().fill(fill);
            Request {
                ticket,
                direction,
                offset: ticket * LEN as u64,
                buffer,
            }
        };
        for ticket in 0..20 {
            assert!(queue.submit(request(ticket, Direction::Write, ticket as u8)));
        }
        for completion in completions.iter().take(20) {
            completion.result.unwrap();
        }
        let mut byte = [0];
        file.read_exact_at(&mut byte, 7 * LEN as u64 + 5).unwrap();
        assert_eq!(byte, [7]);
        for ticket in 0..21 {
            assert!(queue.submit(request(ticket, Direction::Read, 0xff)));
        }
        for completion in completions.iter().take(21) {
            let ticket = completion.ticket;
            if ticket == 20 {
                assert!(completion.result.is_err(), "there is nothing past the end");
            } else {
                completion.result.unwrap();
                assert!(
                    completion
                        .buffer
                        .unwrap()
                        .bytes()
                        .iter()
                        .all(|b| u64::from(*b) == ticket)
                );
            }
        }
        // What is under way when the queue is dropped still ends.
        assert!(queue.submit(request(1, Direction::Read, 0)));
        drop(queue);
        assert_eq!(completions.iter().count(), 1);
    }

    #[test]
    fn threads_work_at_the_same_time() {
        const DEPTH: u32 = 3;
        let (done, completions) = mpsc::channel();
        let all = std::sync::Barrier::new(DEPTH as usize);
        // Nobody passes until as many requests as the queue is deep have been served.
        let on_done: OnDone = Box::new(move |completion| {
            all.wait();
            done.send(completion).unwrap();
        });
        let config = QueueConfig {
            io: IoEngine::Threads,
            depth: DEPTH,
            ..QueueConfig::default()
        };
        let file = tempfile::tempfile().unwrap();
        let queue = DiskQueue::start(file, Path::new("t"), config, on_done).unwrap();
        for ticket in 0..DEPTH.into() {
            assert!(queue.submit(Request {
                ticket,
                direction: Direction::Write,
                offset: 0,
                buffer: Buffer::new(LEN).unwrap(),
            }));
        }
        for _ in 0..DEPTH {
            let completion = completions.recv_timeout(Duration::from_secs(60));
            completion.expect("one at a time").result.unwrap();
        }
    }

    #[test]
    fn threads_read_what_they_wrote() {
        round_trip(IoEngine::Threads);
    }

    #[test]
    fn the_best_engine_here_reads_what_it_wrote() {
        round_trip(IoEngine::Auto);
    }
}
