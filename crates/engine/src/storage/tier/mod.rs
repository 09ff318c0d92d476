//! KV blocks below the device: in memory, and on disk.
//!
//! `index` decides (pure), `frame` says what a block looks like (pure), `file` is the disk tier's
//! file, `open` makes it all ready, `copier` the thread that moves blocks between device, memory and I/O buffers, and
//! `Tier` ties them to the stepper: it is told what to store and what to fetch, and hands back
//! what came of it.

mod copier;
mod file;
mod frame;
mod index;
mod open;
mod settings;

pub use index::{DiskSlot, HostSlot, Place, Store, TierIndex, TierLimits, WriteMode};
pub(crate) use open::OpenTier;
pub use settings::{DiskTier, KvTier, LeftOver, TierCounts};

use super::disk::{Buffer, Completion, Direction, DiskQueue, Request};
use crate::sched::{BlockHash, Fetch, RequestId};
use clock::MonoNs;
use copier::{Copier, Task};
use file::Shape;
use nix::fcntl::Flock;
use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    sync::Arc,
    time::Duration,
};

/// Writes that may wait. Beyond it the disk is too slow, and blocks are given up.
const MOST_WAITING_WRITES: usize = 1024;

/// Takes what the tier's threads report.
pub(crate) type OnEvent = Box<dyn Fn(TierEvent) + Send + Sync>;

/// Something the tier's threads have done; to be given to [`Tier::handle`].
#[derive(Debug)]
pub(crate) struct TierEvent {
    ticket: u64,
    buffer: Option<Buffer>,
    result: Result<Moved, Failure>,
}

#[derive(Debug)]
enum Moved {
    /// This block was read.
    Read(BlockHash),
    Written,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Io,
    /// What was read is no whole block.
    Bad,
}

fn ended(completion: Completion) -> TierEvent {
    let result = match (&completion.result, completion.direction) {
        (Err(error), _) => {
            tracing::warn!(%error, "the KV tier's disk failed a request");
            Err(Failure::Io)
        }
        (Ok(()), Direction::Write) => Ok(Moved::Written),
        (Ok(()), Direction::Read) => {
            let frame = completion.buffer.as_ref().map_or(&[][..], Buffer::bytes);
            frame::verify(frame)
                .map(Moved::Read)
                .map_err(|_| Failure::Bad)
        }
    };
    TierEvent {
        ticket: completion.ticket,
        buffer: completion.buffer,
        result,
    }
}

/// What came of a request to the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A fetch has ended.
    Fetched(Fetched),
    /// A write to disk has ended.
    Stored { hash: BlockHash, ok: bool },
}

/// A fetch that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) id: RequestId,
    /// How many blocks, from the first, are as they should be.
    pub(crate) good: u32,
    /// Blocks that are not.
    pub(crate) bad: Vec<BlockHash>,
    /// Bytes that came from the disk.
    pub(crate) disk_bytes: u64,
    pub(crate) took: Duration,
}

/// Tiers in use. Belongs to the stepper.
pub(crate) struct Tier {
    shape: Shape,
    copier: Copier,
    on_event: Arc<OnEvent>,
    queue: Option<Arc<DiskQueue>>,
    _lock: Option<Flock<File>>,
    idle: Vec<Buffer>,
    most_writes: usize,
    jobs: HashMap<u64, Job>,
    waiting_reads: VecDeque<Read>,
    waiting_writes: VecDeque<(BlockHash, DiskSlot)>,
    writes_under_way: usize,
    fetches: HashMap<RequestId, Progress>,
    next_ticket: u64,
    counts: TierCounts,
}

enum Job {
    Read(Read),
    Write(BlockHash),
}

/// The read of one block of a fetch.
#[derive(Clone, Copy)]
struct Read {
    id: RequestId,
    nth: usize,
    hash: BlockHash,
    place: Place,
}

/// A fetch under way.
struct Progress {
    good: Vec<bool>,
    missing: usize,
    bad: Vec<BlockHash>,
    disk_bytes: u64,
    began: MonoNs,
}

impl TierEvent {
    /// A request that the queue could not take.
    fn lost(ticket: u64) -> Self {
        Self {
            ticket,
            buffer: None,
            result: Err(Failure::Io),
        }
    }
}

impl Tier {
    fn new(
        shape: Shape,
        copier: Copier,
        on_event: Arc<OnEvent>,
        queue: Option<Arc<DiskQueue>>,
        lock: Option<Flock<File>>,
        idle: Vec<Buffer>,
    ) -> Self {
        Self {
            shape,
            copier,
            on_event,
            queue,
            _lock: lock,
            most_writes: idle.len() / 2,
            idle,
            jobs: HashMap::new(),
            waiting_reads: VecDeque::new(),
            waiting_writes: VecDeque::new(),
            writes_under_way: 0,
            fetches: HashMap::new(),
            next_ticket: 0,
            counts: TierCounts::default(),
        }
    }

    pub(crate) fn counts(&self) -> TierCounts {
        self.counts
    }

    /// Begins to copy a block. Some if that was given up at once.
    pub(crate) fn store(&mut self, store: Store) -> Option<Outcome> {
        match store {
            Store::Host { hash, to } => {
                self.counts.host_written_blocks += 1;
                self.copier.give(Task::StoreHost { hash, to });
                None
            }
            Store::Disk { hash, .. } if self.waiting_writes.len() >= MOST_WAITING_WRITES => {
                self.counts.dropped_writes += 1;
                Some(Outcome::Stored { hash, ok: false })
            }
            Store::Disk { hash, to } => {
                self.waiting_writes.push_back((hash, to));
                self.start_waiting();
                None
            }
        }
    }

    /// Begins to read the blocks of a request.
    pub(crate) fn fetch(&mut self, fetch: Fetch) {
        let id = fetch.id;
        let count = fetch.blocks.len();
        let progress = Progress {
            good: vec![false; count],
            missing: count,
            bad: Vec::new(),
            disk_bytes: 0,
            began: MonoNs::now(),
        };
        self.fetches.insert(id, progress);
        for (nth, (hash, place)) in fetch.blocks.into_iter().enumerate() {
            let read = Read {
                id,
                nth,
                hash,
                place,
            };
            match place {
                Place::Disk(_) => self.waiting_reads.push_back(read),
                Place::Host(from) => {
                    let ticket = self.ticket(Job::Read(read));
                    self.copier.give(Task::FetchHost { ticket, from });
                }
            }
        }
        self.start_waiting();
    }

    /// Takes note of what the threads have done.
    pub(crate) fn handle(&mut self, event: TierEvent) -> Option<Outcome> {
        self.idle.extend(event.buffer);
        let outcome = match self.jobs.remove(&event.ticket)? {
            Job::Write(hash) => Some(self.written(hash, event.result.is_ok())),
            Job::Read(read) => self.was_read(read, event.result),
        };
        self.start_waiting();
        outcome
    }

    fn written(&mut self, hash: BlockHash, ok: bool) -> Outcome {
        self.writes_under_way -= 1;
        if ok {
            self.counts.disk_written_blocks += 1;
            self.counts.disk_written_bytes += self.shape.frame_len();
        } else {
            self.counts.failed_ios += 1;
        }
        Outcome::Stored { hash, ok }
    }

    fn was_read(&mut self, read: Read, result: Result<Moved, Failure>) -> Option<Outcome> {
        let progress = self.fetches.get_mut(&read.id)?;
        let good = matches!(result, Ok(Moved::Read(hash)) if hash == read.hash);
        match (read.place, good) {
            (Place::Disk(_), true) => self.counts.disk_read_blocks += 1,
            (Place::Host(_), true) => self.counts.host_read_blocks += 1,
            (_, false) if matches!(result, Err(Failure::Io)) => self.counts.failed_ios += 1,
            (_, false) => self.counts.bad_blocks += 1,
        }
        if let Place::Disk(_) = read.place {
            self.counts.disk_read_bytes += self.shape.frame_len();
            progress.disk_bytes += self.shape.frame_len();
        }
        if good {
            progress.good[read.nth] = true;
        } else {
            tracing::warn!(
                hash = read.hash.0,
                "a KV block is bad; it will be computed again"
            );
            progress.bad.push(read.hash);
        }
        progress.missing -= 1;
        if progress.missing > 0 {
            return None;
        }
        let progress = self.fetches.remove(&read.id)?;
        let good = progress.good.iter().take_while(|good| **good).count();
        Some(Outcome::Fetched(Fetched {
            id: read.id,
            good: good as u32,
            bad: progress.bad,
            disk_bytes: progress.disk_bytes,
            took: MonoNs::now().since(progress.began),
        }))
    }

    /// Starts as many waiting requests as there are buffers. Reads come first: somebody waits for
    /// them.
    fn start_waiting(&mut self) {
        while !self.idle.is_empty() {
            if let Some(read) = self.waiting_reads.pop_front() {
                self.start_read(read);
            } else if self.writes_under_way < self.most_writes
                && let Some((hash, to)) = self.waiting_writes.pop_front()
            {
                self.start_write(hash, to);
            } else {
                return;
            }
        }
    }

    fn start_read(&mut self, read: Read) {
        let (Some(queue), Place::Disk(slot)) = (self.queue.clone(), read.place) else {
            return;
        };
        let Some(buffer) = self.idle.pop() else {
            return self.waiting_reads.push_front(read);
        };
        let ticket = self.ticket(Job::Read(read));
        let request = Request {
            ticket,
            direction: Direction::Read,
            offset: self.shape.offset(slot),
            buffer,
        };
        if !queue.submit(request) {
            (self.on_event)(TierEvent::lost(ticket));
        }
    }

    fn start_write(&mut self, hash: BlockHash, to: DiskSlot) {
        let Some(buffer) = self.idle.pop() else {
            return self.waiting_writes.push_front((hash, to));
        };
        self.writes_under_way += 1;
        let ticket = self.ticket(Job::Write(hash));
        self.copier.give(Task::StoreDisk {
            ticket,
            hash,
            to,
            buffer,
        });
    }

    fn ticket(&mut self, job: Job) -> u64 {
        self.next_ticket += 1;
        self.jobs.insert(self.next_ticket, job);
        self.next_ticket
    }
}
