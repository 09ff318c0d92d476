//! What the tiers are asked to be, and what they count.

use super::index::WriteMode;
use crate::{config::Bytes, storage::disk::QueueConfig};
use std::{path::PathBuf, str::FromStr};

/// The tiers below the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvTier {
    /// Size of the memory tier; 0 for none.
    pub host: Bytes,
    /// The disk tier, if there is one.
    pub disk: Option<DiskTier>,
    /// When blocks are written.
    pub write: WriteMode,
    /// Uses from which on a block is worth writing to disk.
    pub min_uses: u8,
}

/// The disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskTier {
    /// Its file; made if it does not exist.
    pub path: PathBuf,
    /// How large it is.
    pub size: Bytes,
    /// What becomes of the blocks of an earlier run.
    pub left_over: LeftOver,
    /// How it is read and written.
    pub queue: QueueConfig,
}

/// What becomes of blocks that an earlier run left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeftOver {
    /// They are given up.
    #[default]
    Drop,
    /// They are served again, each checked when it is read.
    Reuse,
}

impl FromStr for LeftOver {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "drop" => Ok(Self::Drop),
            "reuse" => Ok(Self::Reuse),
            _ => Err(format!("'{name}' is neither drop nor reuse")),
        }
    }
}

/// What the tiers did, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Blocks read from disk, whole and right.
    pub disk_read_blocks: u64,
    /// Bytes of all reads from disk, frames included.
    pub disk_read_bytes: u64,
    /// Blocks written to disk.
    pub disk_written_blocks: u64,
    /// Their bytes, frames included.
    pub disk_written_bytes: u64,
    /// Blocks read from the memory tier.
    pub host_read_blocks: u64,
    /// Blocks written to the memory tier.
    pub host_written_blocks: u64,
    /// Blocks that were not what they should be; computed again, never served.
    pub bad_blocks: u64,
    /// Writes given up because the disk did not keep pace.
    pub dropped_writes: u64,
    /// Reads and writes that the kernel failed.
    pub failed_ios: u64,
}
