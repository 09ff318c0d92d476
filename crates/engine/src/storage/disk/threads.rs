//! The fallback: blocking reads and writes on as many threads as the queue is deep.

use super::{Completion, Direction, OnDone, QueueConfig, Request};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

pub(super) fn start(
    file: File,
    config: QueueConfig,
    inbox: mpsc::Receiver<Request>,
    on_done: OnDone,
) -> io::Result<Vec<JoinHandle<()>>> {
    let shared = Arc::new((Mutex::new(inbox), file, on_done));
    (0..config.depth)
        .map(|_| {
            let shared = Arc::clone(&shared);
            let work = move || {
                let (inbox, file, on_done) = &*shared;
                // One thread waits in the lock for the next request, the others for the lock. It is a
                // function so that the lock is given back before the request is served.
                let next = || inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(request) = next() {
                    on_done(serve(file, request, config.read_delay));
                }
            };
            thread::Builder::new().name("disk".into()).spawn(work)
        })
        .collect()
}

fn serve(file: &File, mut request: Request, read_delay: Duration) -> Completion {
    let offset = request.offset;
    let moved = match request.direction {
        Direction::Read => {
            thread::sleep(read_delay);
            let buffer = request.buffer.bytes_mut();
            whole(buffer.len(), |done| {
                file.read_at(&mut buffer[done..], offset + done as u64)
            })
        }
        Direction::Write => {
            let buffer = request.buffer.bytes();
            whole(buffer.len(), |done| {
                file.write_at(&buffer[done..], offset + done as u64)
            })
        }
    };
    Completion::new(request, moved)
}

/// Goes on until `len` bytes have moved, or none do.
fn whole(len: usize, mut part: impl FnMut(usize) -> io::Result<usize>) -> io::Result<usize> {
    let mut done = 0;
    while done < len {
        match part(done) {
            Ok(0) => break,
            Ok(moved) => done += moved,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
