//! The model's weights as a file.
//!
//! Read into memory before the first request is taken, as trtllm-serve does, through the page
//! cache or past it; or mapped and paged in by each step that uses them, as llama.cpp does. The
//! file may be smaller than the model's own (a scaled image): it is laid out in the same
//! proportions.

mod layout;
mod load;
mod mapped;

pub(crate) use load::{Loaded, load};
pub(crate) use mapped::PagedWeights;

use super::StorageError;
use crate::config::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use std::{
    fs::{File, Metadata},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// Which file, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The file.
    pub path: PathBuf,
    /// How it gets into memory.
    pub load: WeightsLoad,
    /// The least it must have; by default any size will do.
    pub size: Option<Bytes>,
}

/// How weights get into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightsLoad {
    /// Read at the start through the page cache.
    #[default]
    Buffered,
    /// Read at the start with O_DIRECT.
    Direct,
    /// Mapped; each step faults in what it uses.
    Mapped,
}

impl FromStr for WeightsLoad {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "buffered" => Ok(Self::Buffered),
            "direct" => Ok(Self::Direct),
            "mmap" => Ok(Self::Mapped),
            _ => Err(format!("'{name}' is none of buffered, direct, mmap")),
        }
    }
}

/// How loading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Bytes read.
    pub bytes: Bytes,
    /// From open to the last byte.
    pub took: Duration,
}

/// Less than this is no weights file: the layout would have empty experts.
const LEAST: Bytes = Bytes(1 << 20);

/// What makes a file the same file, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    inode: u64,
    len: u64,
    modified_ns: i128,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            len: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }
}

fn check(weights: &Weights, file: &File) -> Result<Identity, StorageError> {
    let metadata = file
        .metadata()
        .map_err(|source| StorageError::file("examine", &weights.path, source))?;
    let wanted = weights.size.unwrap_or(LEAST).max(LEAST);
    if !metadata.is_file() || metadata.len() < wanted.0 {
        return Err(StorageError::ShortWeights {
            path: weights.path.clone(),
            found: Bytes(metadata.len()),
            wanted,
        });
    }
    Ok(Identity::of(&metadata))
}

/// Makes a weights file of `size` at `path`, of bytes that neither compress nor repeat. A file
/// that is already there is not touched.
pub fn create(path: &Path, size: Bytes) -> Result<(), StorageError> {
    let failed = |source| StorageError::file("write weights to", path, source);
    let mut file = File::create_new(path).map_err(failed)?;
    let mut chunk = vec![0; 4 << 20];
    let mut written = 0;
    let mut state = size.0;
    while written < size.0 {
        for word in chunk.chunks_exact_mut(8) {
            state = state.wrapping_add(1);
            word.copy_from_slice(&crate::reply::mix(state).to_le_bytes());
        }
        let len = (size.0 - written).min(chunk.len() as u64);
        file.write_all(&chunk[..len as usize]).map_err(failed)?;
        written += len;
    }
    file.sync_all().map_err(failed)
}

/// Bytes that block devices have read for the calling thread. getrusage counts in sectors.
pub(crate) fn read_by_this_thread() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.block_reads() as u64 * 512)
}
