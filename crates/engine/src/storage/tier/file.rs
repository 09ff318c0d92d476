//! The disk tier's file: made, locked, and, if an earlier run left it, checked and taken over.
//!
//! ```text
//! superblock (4096 bytes): magic · frame length · slots · whose keys and values · CRC
//! frame 0 · frame 1 · …
//! ```
//!
//! There is no index on disk that a kill could leave half-written: each frame's header names its
//! block, and a payload that a kill cut short fails its checksum when it is read.

use super::{DiskTier, LeftOver, frame, index::DiskSlot};
use crate::{
    config::Bytes,
    reply::mix,
    sched::BlockHash,
    storage::{StorageError, disk::Buffer, memory::ALIGNMENT},
};
use clock::MonoNs;
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, Flock, FlockArg, fallocate},
    sys::statvfs::fstatvfs,
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    thread,
    time::Duration,
};

const MAGIC: [u8; 8] = *b"spilltr1";
const CHECKED: usize = 28;

/// What the frames of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of one block's keys and values.
    pub(crate) payload: usize,
    /// How many blocks there is room for.
    pub(crate) slots: u32,
    /// Tells the keys and values of one model and block size from another's.
    pub(crate) owner: u64,
}

impl Shape {
    /// The shape of a tier of `size` for blocks of `payload` bytes.
    pub(crate) fn new(size: Bytes, payload: usize, model: &str, block_tokens: u32) -> Self {
        let frame = frame::frame_len(payload) as u64;
        let slots = size.0.saturating_sub(ALIGNMENT as u64) / frame;
        let seed = mix(u64::from(block_tokens));
        Self {
            payload,
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            owner: model
                .bytes()
                .fold(seed, |hash, byte| mix(hash ^ u64::from(byte))),
        }
    }

    /// Where a frame begins.
    pub(crate) fn offset(&self, slot: DiskSlot) -> u64 {
        ALIGNMENT as u64 + u64::from(slot.0) * self.frame_len()
    }

    pub(crate) fn frame_len(&self) -> u64 {
        frame::frame_len(self.payload) as u64
    }

    fn file_len(&self) -> u64 {
        self.offset(DiskSlot(self.slots))
    }

    fn superblock(&self) -> [u8; CHECKED + 4] {
        let mut bytes = [0; CHECKED + 4];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&(self.payload as u64).to_le_bytes());
        bytes[16..20].copy_from_slice(&self.slots.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.owner.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CHECKED]);
        bytes[CHECKED..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// An open tier.
#[derive(Debug)]
pub(crate) struct TierFile {
    /// Locked as long as it is open.
    pub(crate) file: Flock<File>,
    /// Blocks that an earlier run left whole headers of.
    pub(crate) left: Vec<(BlockHash, DiskSlot)>,
}

impl TierFile {
    /// Opens and locks the tier; waits for the lock as long as `patience`.
    pub(crate) fn open(
        tier: &DiskTier,
        shape: Shape,
        patience: Duration,
    ) -> Result<Self, StorageError> {
        let failed = |what| move |source| StorageError::file(what, &tier.path, source);
        let file = open_direct(tier).map_err(failed("open the KV tier"))?;
        let file = lock(file, patience).map_err(|errno| match errno {
            Errno::EWOULDBLOCK => StorageError::TierInUse {
                path: tier.path.clone(),
            },
            errno => failed("lock the KV tier")(errno.into()),
        })?;
        let mut this = Self {
            file,
            left: Vec::new(),
        };
        match this.examine(shape).map_err(failed("examine the KV tier"))? {
            Found::Ours if tier.left_over == LeftOver::Reuse => {
                this.left = this.scan(shape).map_err(failed("read the KV tier"))?;
                tracing::info!(
                    blocks = this.left.len(),
                    "the KV tier of an earlier run is reused"
                );
            }
            Found::Foreign => {
                return Err(StorageError::ForeignTier {
                    path: tier.path.clone(),
                });
            }
            Found::Nothing => this.make(tier, shape)?,
            Found::Ours | Found::OtherShape => {
                tracing::info!("the KV tier of an earlier run is dropped");
                this.make(tier, shape)?;
            }
        }
        Ok(this)
    }

    fn examine(&self, shape: Shape) -> io::Result<Found> {
        let len = self.file.metadata()?.len();
        if len == 0 {
            return Ok(Found::Nothing);
        }
        let mut buffer = Buffer::new(ALIGNMENT).map_err(io::Error::other)?;
        let read = self.file.read_at(buffer.bytes_mut(), 0)?;
        let head = &buffer.bytes()[..read];
        Ok(if !head.starts_with(&MAGIC) {
            Found::Foreign
        } else if head.starts_with(&shape.superblock()) && len == shape.file_len() {
            Found::Ours
        } else {
            Found::OtherShape
        })
    }

    /// Makes the file empty, with all its room taken from the file system.
    fn make(&self, tier: &DiskTier, shape: Shape) -> Result<(), StorageError> {
        let failed = |what| move |source| StorageError::file(what, &tier.path, source);
        self.file.set_len(0).map_err(failed("empty the KV tier"))?;
        let len = shape.file_len();
        let no_space = |free| StorageError::NoSpace {
            path: tier.path.clone(),
            wanted: Bytes(len),
            free,
        };
        // Asked first: some file systems fill themselves up before they find that it is too much.
        if let Some(free) = free_space(&self.file).filter(|free| free.0 < len) {
            return Err(no_space(free));
        }
        match fallocate(&*self.file, FallocateFlags::empty(), 0, len as i64) {
            Ok(()) => {}
            Err(Errno::EOPNOTSUPP) => {
                tracing::warn!("the file system can't reserve the KV tier's room; it may run out");
                self.file
                    .set_len(len)
                    .map_err(failed("extend the KV tier"))?;
            }
            Err(Errno::ENOSPC) => {
                let free = free_space(&self.file).unwrap_or_default();
                // Whatever was reserved is of no use.
                let _ = self.file.set_len(0);
                return Err(no_space(free));
            }
            Err(errno) => return Err(failed("reserve room for the KV tier")(errno.into())),
        }
        let mut buffer = Buffer::new(ALIGNMENT)?;
        let superblock = shape.superblock();
        buffer.bytes_mut()[..superblock.len()].copy_from_slice(&superblock);
        self.file
            .write_all_at(buffer.bytes(), 0)
            .map_err(failed("write the KV tier's superblock to"))
    }

    fn scan(&self, shape: Shape) -> io::Result<Vec<(BlockHash, DiskSlot)>> {
        let mut buffer = Buffer::new(ALIGNMENT).map_err(io::Error::other)?;
        let mut left = Vec::new();
        for slot in (0..shape.slots).map(DiskSlot) {
            self.file
                .read_exact_at(buffer.bytes_mut(), shape.offset(slot))?;
            match frame::read_header(buffer.bytes()) {
                Some((hash, payload)) if payload == shape.payload => left.push((hash, slot)),
                _ => {}
            }
        }
        Ok(left)
    }
}

/// What lies at the path.
enum Found {
    Nothing,
    /// A tier for these very blocks.
    Ours,
    /// A tier for others.
    OtherShape,
    /// Something that is no tier, and not ours to overwrite.
    Foreign,
}

/// Locks the file for this engine. The kernel lets go of a killed engine's lock only when the last
/// of its I/O has ended, which may take it a moment.
fn lock(mut file: File, patience: Duration) -> Result<Flock<File>, Errno> {
    const PAUSE: Duration = Duration::from_millis(20);
    let began = MonoNs::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((back, Errno::EWOULDBLOCK)) if MonoNs::now().since(began) < patience => {
                file = back;
                thread::sleep(PAUSE);
            }
            Err((_, errno)) => return Err(errno),
        }
    }
}

fn open_direct(tier: &DiskTier) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match options.custom_flags(nix::libc::O_DIRECT).open(&tier.path) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => {
            tracing::warn!("no direct I/O on this file system; the KV tier uses the page cache");
            options.custom_flags(0).open(&tier.path)
        }
        opened => opened,
    }
}

fn free_space(file: &File) -> Option<Bytes> {
    let stat = fstatvfs(file).ok()?;
    Some(Bytes(stat.blocks_available() * stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::QueueConfig;
    use std::path::Path;

    const PAYLOAD: usize = 5000;

    fn tier(path: &Path, left_over: LeftOver) -> DiskTier {
        DiskTier {
            path: path.to_owned(),
            size: Bytes(1 << 20),
            left_over,
            queue: QueueConfig::default(),
        }
    }

    fn open(tier: &DiskTier, shape: Shape) -> Result<TierFile, StorageError> {
        TierFile::open(tier, shape, Duration::ZERO)
    }

    fn shape() -> Shape {
        Shape::new(Bytes(1 << 20), PAYLOAD, "m", 16)
    }

    fn write(tier: &TierFile, slot: DiskSlot, hash: u64) {
        let mut buffer = Buffer::new(frame::frame_len(PAYLOAD)).unwrap();
        frame::encode(BlockHash(hash), PAYLOAD, buffer.bytes_mut());
        tier.file
            .write_all_at(buffer.bytes(), shape().offset(slot))
            .unwrap();
    }

    #[test]
    fn a_tier_left_by_an_earlier_run_is_reused_or_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tier");
        let first = open(&tier(&path, LeftOver::Reuse), shape()).unwrap();
        assert_eq!(first.left, []);
        assert_eq!(first.file.metadata().unwrap().len(), shape().file_len());
        write(&first, DiskSlot(3), 77);
        let second = open(&tier(&path, LeftOver::Reuse), shape());
        assert!(second.unwrap_err().to_string().contains("in use"));
        drop(first);

        let again = open(&tier(&path, LeftOver::Reuse), shape()).unwrap();
        assert_eq!(again.left, [(BlockHash(77), DiskSlot(3))]);
        drop(again);
        let other = Shape::new(Bytes(1 << 20), PAYLOAD, "another model", 16);
        let dropped = open(&tier(&path, LeftOver::Reuse), other).unwrap();
        assert_eq!(dropped.left, []);
        write(&dropped, DiskSlot(0), 1);
        drop(dropped);
        let dropped = open(&tier(&path, LeftOver::Drop), other).unwrap();
        assert_eq!(dropped.left, []);
    }

    #[test]
    fn a_file_that_is_no_tier_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thesis.txt");
        std::fs::write(&path, "precious").unwrap();
        let error = open(&tier(&path, LeftOver::Drop), shape()).unwrap_err();
        assert!(error.to_string().contains("is no KV tier"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_tier_larger_than_the_disk_is_refused_and_leaves_it_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tier");
        let huge = Shape::new(Bytes(1 << 50), 1 << 20, "m", 16);
        let error = open(&tier(&path, LeftOver::Drop), huge).unwrap_err();
        assert!(matches!(error, StorageError::NoSpace { .. }), "{error}");
        assert!(error.to_string().contains("does not fit"), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
