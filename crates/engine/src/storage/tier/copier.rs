//! The thread that copies blocks: device to memory, memory to device, device to I/O buffer. The
//! stepper must not: a block is megabytes, and its steps are milliseconds.
//!
//! The device's own memory is modelled, so a copy from it makes the block's bytes up, and a copy to
//! it ends in a scratch buffer. Either moves as many bytes as the real one.

use super::{
    Failure, Moved, OnEvent, TierEvent,
    file::Shape,
    frame,
    index::{DiskSlot, HostSlot},
};
use crate::{
    config::Bytes,
    sched::BlockHash,
    storage::{
        StorageError,
        disk::{Buffer, Direction, DiskQueue, Request},
        memory::{self, Region},
    },
};
use std::{
    ops::Range,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

/// A copy to be made.
pub(super) enum Task {
    /// Device to memory tier.
    StoreHost { hash: BlockHash, to: HostSlot },
    /// Memory tier to device.
    FetchHost { ticket: u64, from: HostSlot },
    /// Device to buffer, and from there to disk.
    StoreDisk {
        ticket: u64,
        hash: BlockHash,
        to: DiskSlot,
        buffer: Buffer,
    },
}

pub(super) struct Copier {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    pub(super) fn start(
        shape: Shape,
        host_blocks: u32,
        queue: Option<Arc<DiskQueue>>,
        on_event: Arc<OnEvent>,
    ) -> Result<Self, StorageError> {
        let frame = shape.frame_len() as usize;
        let host = match host_blocks {
            0 => None,
            blocks => Some(take_memory(blocks as usize * frame)?),
        };
        let worker = Worker {
            shape,
            host,
            device: Buffer::new(frame)?,
            queue,
            on_event,
        };
        let (tasks, inbox) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("copier".into())
            .spawn(move || worker.run(&inbox))
            .map_err(|source| StorageError::Thread {
                what: "copy KV blocks",
                source,
            })?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    pub(super) fn give(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // Err: the thread panicked, which was reported.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// All of the memory tier at once, as an engine would pin it: no block waits for a page later.
fn take_memory(len: usize) -> Result<Region, StorageError> {
    const WHAT: &str = "the KV memory tier";
    memory::refuse_more_than_available(Bytes(len as u64), WHAT)?;
    let mut region = Region::new(len, WHAT)?;
    region.populate(WHAT)?;
    Ok(region)
}

struct Worker {
    shape: Shape,
    host: Option<Region>,
    device: Buffer,
    queue: Option<Arc<DiskQueue>>,
    on_event: Arc<OnEvent>,
}

impl Worker {
    fn run(mut self, inbox: &mpsc::Receiver<Task>) {
        while let Ok(task) = inbox.recv() {
            match task {
                Task::StoreHost { hash, to } => self.store_host(hash, to),
                Task::FetchHost { ticket, from } => self.fetch_host(ticket, from),
                Task::StoreDisk {
                    ticket,
                    hash,
                    to,
                    buffer,
                } => self.store_disk(ticket, hash, to, buffer),
            }
        }
    }

    fn store_host(&mut self, hash: BlockHash, to: HostSlot) {
        let range = self.range(to);
        if let Some(host) = &mut self.host {
            frame::encode(hash, self.shape.payload, &mut host.bytes_mut()[range]);
        }
    }

    fn fetch_host(&mut self, ticket: u64, from: HostSlot) {
        let range = self.range(from);
        let Some(host) = &self.host else { return };
        let device = self.device.bytes_mut();
        device.copy_from_slice(&host.bytes()[range]);
        let result = frame::verify(device)
            .map(Moved::Read)
            .map_err(|_| Failure::Bad);
        (self.on_event)(TierEvent {
            ticket,
            buffer: None,
            result,
        });
    }

    fn store_disk(&self, ticket: u64, hash: BlockHash, to: DiskSlot, mut buffer: Buffer) {
        let Some(queue) = &self.queue else { return };
        frame::encode(hash, self.shape.payload, buffer.bytes_mut());
        let taken = queue.submit(Request {
            ticket,
            direction: Direction::Write,
            offset: self.shape.offset(to),
            buffer,
        });
        if !taken {
            (self.on_event)(TierEvent::lost(ticket));
        }
    }

    fn range(&self, slot: HostSlot) -> Range<usize> {
        let frame = self.shape.frame_len() as usize;
        let start = slot.0 as usize * frame;
        start..start + frame
    }
}
