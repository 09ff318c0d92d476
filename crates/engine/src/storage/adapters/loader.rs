//! The thread that reads adapters into memory and keeps them there.

use super::{AdapterNumber, Registered};
use crate::storage::{
    StorageError,
    memory::{Region, align_up},
    weights::read_by_this_thread,
};
use clock::MonoNs;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// An adapter has been read, or could not be.
#[derive(Debug)]
pub(crate) struct AdapterEvent {
    pub(crate) adapter: AdapterNumber,
    pub(crate) result: Result<AdapterRead, StorageError>,
}

/// How reading an adapter went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AdapterRead {
    /// Bytes of its file.
    pub(crate) file_bytes: u64,
    /// Bytes of these that came from the device; the page cache had the others.
    pub(crate) device_bytes: u64,
    pub(crate) took: Duration,
}

enum Task {
    Read {
        adapter: Arc<Registered>,
        asked: MonoNs,
    },
    GiveUp(AdapterNumber),
}

pub(crate) struct Loader {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    pub(crate) fn start(
        direct: bool,
        on_event: Box<dyn Fn(AdapterEvent) + Send>,
    ) -> Result<Self, StorageError> {
        let (tasks, inbox) = mpsc::channel();
        let work = move || {
            let mut kept = HashMap::new();
            while let Ok(task) = inbox.recv() {
                match task {
                    Task::GiveUp(adapter) => drop(kept.remove(&adapter)),
                    Task::Read { adapter, asked } => {
                        let number = adapter.number;
                        let result = read(&adapter.file, direct, asked).map(|(memory, read)| {
                            kept.insert(number, memory);
                            read
                        });
                        on_event(AdapterEvent {
                            adapter: number,
                            result,
                        });
                    }
                }
            }
        };
        let thread = thread::Builder::new()
            .name("adapters".into())
            .spawn(work)
            .map_err(|source| StorageError::Thread {
                what: "read adapters",
                source,
            })?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    /// Reads `adapter`, once what memory gives up for it is gone.
    pub(crate) fn read(&self, adapter: Arc<Registered>, evicted: Option<AdapterNumber>) {
        if let Some(evicted) = evicted {
            self.give(Task::GiveUp(evicted));
        }
        let asked = MonoNs::now();
        self.give(Task::Read { adapter, asked });
    }

    fn give(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // Err: the thread panicked, which was reported.
            let _ = tasks.send(task);
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        drop(self.tasks.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn read(path: &Path, direct: bool, asked: MonoNs) -> Result<(Region, AdapterRead), StorageError> {
    let failed = |source| StorageError::file("read the adapter", path, source);
    let before = read_by_this_thread();
    let mut options = OpenOptions::new();
    options.read(true);
    if direct {
        options.custom_flags(nix::libc::O_DIRECT);
    }
    let file = options.open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut memory = Region::new(align_up(len as usize), "an adapter")?;
    read_whole(&file, memory.bytes_mut(), len as usize).map_err(failed)?;
    let read = AdapterRead {
        file_bytes: len,
        device_bytes: read_by_this_thread().saturating_sub(before),
        took: MonoNs::now().since(asked),
    };
    Ok((memory, read))
}

/// Reads `len` bytes; `memory` may be longer so that direct reads stay aligned.
fn read_whole(file: &File, memory: &mut [u8], len: usize) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        match file.read_at(&mut memory[done..], done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
