//! Real storage under the modelled compute: every byte here is really moved.
//!
//! - [`weights`]: the model's file, read at the start or paged in as it is used;
//! - [`adapters`]: LoRA adapters, read on first use;
//! - [`ballast`]: memory taken so that the page cache shrinks;
//! - [`tier`]: KV blocks that left the device, in memory and on disk;
//! - [`disk`]: many reads and writes of one file at a time;
//! - `memory`: the only place that maps memory.
//!
//! Each is on only if the configuration names it. Deciding what to move is pure and apart from
//! moving it.

pub mod adapters;
pub mod ballast;
pub mod disk;
pub(crate) mod memory;
mod slots;
pub mod tier;
pub mod weights;

use crate::config::{Bytes, Config};
use adapters::Registry;
use ballast::HeldBallast;
use std::{
    io,
    path::{Path, PathBuf},
};
use tier::OpenTier;
use weights::{Loaded, PagedWeights, WeightsLoad};

/// What storage could not do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file operation failed.
    #[error("can't {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The weights file is smaller than it should be.
    #[error(
        "the weights file {} has {found}, {wanted} were wanted; make it anew or correct the size",
        path.display()
    )]
    ShortWeights {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: Bytes,
        /// The least that is needed.
        wanted: Bytes,
    },
    /// The weights file is another than it was at the start.
    #[error(
        "the weights file {} changed while the engine ran; leave it alone and start again",
        path.display()
    )]
    WeightsChanged {
        /// The file.
        path: PathBuf,
    },
    /// Memory that is not there.
    #[error(
        "{what} needs {wanted} of memory and {available} are available; \
         free some, or make it smaller"
    )]
    NoMemory {
        /// What needs it.
        what: &'static str,
        /// How much.
        wanted: Bytes,
        /// MemAvailable, at that time.
        available: Bytes,
    },
    /// The kernel refused a mapping.
    #[error("can't map {bytes} of memory for {what}: {source}")]
    Map {
        /// What for.
        what: &'static str,
        /// How much.
        bytes: Bytes,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The KV tier is another engine's.
    #[error(
        "the KV tier {} is in use by another engine; stop that, or name another file",
        path.display()
    )]
    TierInUse {
        /// The file.
        path: PathBuf,
    },
    /// What lies where the KV tier should is something else.
    #[error(
        "{} is no KV tier and is left as it is; name a file that does not exist yet",
        path.display()
    )]
    ForeignTier {
        /// The file.
        path: PathBuf,
    },
    /// The file system is too full.
    #[error(
        "a KV tier of {wanted} does not fit beside {}, where {free} are free; \
         make it smaller or name another place",
        path.display()
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// How much was asked for.
        wanted: Bytes,
        /// How much there is.
        free: Bytes,
    },
    /// The KV tiers have no room for a single block.
    #[error("a KV tier of {size} holds no block of {block}; make it larger, or leave it out")]
    SmallTier {
        /// As configured.
        size: Bytes,
        /// One block with its frame.
        block: Bytes,
    },
    /// An adapter that was named at the start can't be used.
    #[error("{0}")]
    Adapter(String),
    /// No thread could be started.
    #[error("can't start a thread to {what}: {source}")]
    Thread {
        /// What for.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl StorageError {
    pub(crate) fn file(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// All storage that a configuration turns on, opened.
pub(crate) struct Storage {
    /// Weights that were read; dropping them gives the memory back.
    pub(crate) loaded: Option<Loaded>,
    /// Weights to be paged in.
    pub(crate) paged: Option<PagedWeights>,
    /// Tiers for KV blocks.
    pub(crate) tier: Option<OpenTier>,
    /// Adapters that requests can name.
    pub(crate) registry: Registry,
    /// Memory that nobody else can have.
    pub(crate) ballast: Option<HeldBallast>,
}

impl Storage {
    /// Opens it; loading weights may take minutes.
    pub(crate) fn open(config: &Config) -> Result<Self, StorageError> {
        let (loaded, paged) = match &config.weights {
            None => (None, None),
            Some(file) if file.load == WeightsLoad::Mapped => {
                let paged = PagedWeights::open(file, &config.model.profile())?;
                (None, Some(paged))
            }
            Some(file) => (Some(weights::load(file)?), None),
        };
        let open_tier = |tier| OpenTier::open(tier, config);
        let tier = config.kv_tier.as_ref().map(open_tier).transpose()?;
        let registry = Registry::default();
        for adapter in config.adapters.iter().flat_map(|adapters| &adapters.known) {
            registry
                .add(&adapter.name, &adapter.path)
                .map_err(|error| StorageError::Adapter(error.to_string()))?;
        }
        // Last, because all else needs memory to open.
        let ballast = config.ballast.map(HeldBallast::take).transpose()?;
        Ok(Self {
            loaded,
            paged,
            tier,
            registry,
            ballast,
        })
    }
}
