//! Memory taken for no other purpose than that others can't have it: on a box with more memory than
//! the model needs, the page cache then shrinks as it would beside the real weights.
//!
//! A floor on MemAvailable is never crossed: no piece is taken that would, and pieces are given
//! back as soon as others bring it below. How much changes is pure (`next_change`).

use super::{
    StorageError,
    memory::{self, Region},
};
use crate::config::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How much memory to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballast {
    /// As much as this, if the floor allows.
    pub size: Bytes,
    /// What MemAvailable is never brought below.
    pub floor: Bytes,
}

/// Memory is taken and given back in pieces of this size.
const PIECE: u64 = 64 << 20;
/// Once given back, memory is taken again only when this much more than the floor is available,
/// so that ballast and its surroundings do not push each other to and fro.
const SLACK: u64 = 4 * PIECE;
/// How often MemAvailable is looked at. A livelock builds up over seconds.
const INTERVAL: Duration = Duration::from_millis(100);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Take,
    GiveBack,
    Nothing,
}

/// `shrunk`: something was given back before.
fn next_change(ballast: Ballast, held: u64, available: u64, shrunk: bool) -> Change {
    let slack = if shrunk { SLACK } else { 0 };
    if available < ballast.floor.0 && held > 0 {
        Change::GiveBack
    } else if held + PIECE <= ballast.size.0 && available >= ballast.floor.0 + PIECE + slack {
        Change::Take
    } else {
        Change::Nothing
    }
}

/// Ballast that is held; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct HeldBallast {
    held: Arc<AtomicU64>,
    /// Dropping it ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeldBallast {
    /// Takes the memory, then watches over it.
    pub(crate) fn take(ballast: Ballast) -> Result<Self, StorageError> {
        let held = Arc::new(AtomicU64::new(0));
        let mut pieces = Pieces {
            ballast,
            pieces: Vec::new(),
            held: Arc::clone(&held),
            shrunk: false,
            unlocked: false,
        };
        while pieces.change()? {}
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                match pieces.change() {
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "the ballast stays as it is"),
                }
            }
        };
        let thread = thread::Builder::new()
            .name("ballast".into())
            .spawn(watch)
            .map_err(|source| StorageError::Thread {
                what: "watch over the ballast",
                source,
            })?;
        Ok(Self {
            held,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// How much is held now.
    pub(crate) fn held(&self) -> Bytes {
        Bytes(self.held.load(Ordering::Relaxed))
    }
}

impl Drop for HeldBallast {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Pieces {
    ballast: Ballast,
    pieces: Vec<Region>,
    held: Arc<AtomicU64>,
    shrunk: bool,
    unlocked: bool,
}

impl Pieces {
    /// One change, if there is one to make.
    fn change(&mut self) -> Result<bool, StorageError> {
        // Without MemAvailable nothing is taken: the floor could not be kept.
        let available = memory::available().unwrap_or_default();
        let held = self.pieces.len() as u64 * PIECE;
        let change = next_change(self.ballast, held, available.0, self.shrunk);
        match change {
            Change::Nothing => return Ok(false),
            Change::Take => self.take()?,
            Change::GiveBack => {
                self.shrunk = true;
                self.pieces.pop();
            }
        }
        let held = self.pieces.len() as u64 * PIECE;
        self.held.store(held, Ordering::Relaxed);
        Ok(true)
    }

    fn take(&mut self) -> Result<(), StorageError> {
        let mut piece = Region::new(PIECE as usize, "the ballast")?;
        piece.populate("the ballast")?;
        if let Err(error) = piece.lock()
            && !self.unlocked
        {
            self.unlocked = true;
            tracing::warn!(%error, "the ballast can't be locked: the kernel may swap it out");
        }
        self.pieces.push(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn it_grows_to_its_size_and_no_further_than_the_floor() {
        let ballast = Ballast {
            size: Bytes(GIB),
            floor: Bytes(2 * GIB),
        };
        let next = |held, available| next_change(ballast, held, available, false);
        assert_eq!(next(0, 8 * GIB), Change::Take);
        assert_eq!(next(GIB, 8 * GIB), Change::Nothing);
        assert_eq!(next(0, 2 * GIB + PIECE - 1), Change::Nothing);
        assert_eq!(next(PIECE, 2 * GIB - 1), Change::GiveBack);
        assert_eq!(next(0, GIB), Change::Nothing);
    }

    #[test]
    fn held_memory_is_given_back_on_drop() {
        let ballast = Ballast {
            size: Bytes(PIECE),
            floor: Bytes(0),
        };
        let held = HeldBallast::take(ballast).unwrap();
        assert!(held.held() <= Bytes(PIECE));
        drop(held);
    }

    proptest! {
        /// A world where others take and free memory at will.
        #[test]
        fn the_ballast_never_crosses_the_floor_itself(
            total in 4 * GIB..64 * GIB, size in 0..64 * GIB, floor in 0..8 * GIB,
            others in prop::collection::vec(0..8 * GIB, 1..50),
        ) {
            let ballast = Ballast { size: Bytes(size), floor: Bytes(floor) };
            let (mut held, mut shrunk) = (0u64, false);
            for other in others {
                for _ in 0..2000 {
                    let available = total.saturating_sub(held + other);
                    match next_change(ballast, held, available, shrunk) {
                        Change::Nothing => break,
                        Change::Take => {
                            held += PIECE;
                            prop_assert!(held <= size);
                            prop_assert!(total - held - other >= floor);
                        }
                        Change::GiveBack => {
                            held -= PIECE;
                            shrunk = true;
                        }
                    }
                }
                let available = total.saturating_sub(held + other);
                prop_assert!(available >= floor || held == 0);
            }
        }
    }
}
