//! Making the tiers ready: their sizes in blocks, the file, the buffers and the threads.

use super::{
    DiskSlot, DiskTier, KvTier, OnEvent, Tier, TierLimits,
    copier::Copier,
    ended,
    file::{Shape, TierFile},
};
use crate::{
    config::{Bytes, Config},
    sched::BlockHash,
    storage::{
        StorageError,
        disk::{Buffer, DiskQueue},
    },
};
use std::{sync::Arc, time::Duration};

/// Buffers for each request that may be under way: while one moves, the next is made ready.
const BUFFERS_PER_DEPTH: u32 = 2;
/// How long another engine's lock on the tier is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Tiers that are open but not in use.
#[derive(Debug)]
pub(crate) struct OpenTier {
    shape: Shape,
    host_blocks: u32,
    disk: Option<(TierFile, DiskTier)>,
    limits: TierLimits,
}

impl OpenTier {
    pub(crate) fn open(tier: &KvTier, config: &Config) -> Result<Self, StorageError> {
        let payload = config.block_bytes().0 as usize;
        let model = config.model.name();
        let shape_of = |size| Shape::new(size, payload, model, config.block_tokens);
        let shape = shape_of(tier.disk.as_ref().map_or(Bytes(0), |disk| disk.size));
        let block = Bytes(shape.frame_len());
        let refuse_small = |size: Bytes, blocks: u32| match blocks {
            0 => Err(StorageError::SmallTier { size, block }),
            _ => Ok(()),
        };
        let host_blocks = u32::try_from(tier.host.0 / block.0).unwrap_or(u32::MAX);
        if tier.host.0 > 0 {
            refuse_small(tier.host, host_blocks)?;
        }
        let disk = match &tier.disk {
            None => None,
            Some(disk) => {
                refuse_small(disk.size, shape.slots)?;
                Some((TierFile::open(disk, shape, LOCK_PATIENCE)?, disk.clone()))
            }
        };
        Ok(Self {
            shape,
            host_blocks,
            limits: TierLimits {
                host_blocks,
                disk_blocks: disk.as_ref().map_or(0, |_| shape.slots),
                write: tier.write,
                min_uses: tier.min_uses,
            },
            disk,
        })
    }

    pub(crate) fn limits(&self) -> TierLimits {
        self.limits
    }

    /// Blocks that an earlier run left.
    pub(crate) fn left(&self) -> &[(BlockHash, DiskSlot)] {
        self.disk.as_ref().map_or(&[], |(file, _)| &file.left)
    }

    /// Starts the threads; `on_event` is called on them.
    pub(crate) fn start(self, on_event: OnEvent) -> Result<Tier, StorageError> {
        let on_event = Arc::new(on_event);
        let (mut queue, mut lock, mut idle) = (None, None, Vec::new());
        if let Some((file, config)) = self.disk {
            let frame = self.shape.frame_len() as usize;
            idle = (0..config.queue.depth * BUFFERS_PER_DEPTH)
                .map(|_| Buffer::new(frame))
                .collect::<Result<_, _>>()?;
            let failed = |source| StorageError::file("use the KV tier", &config.path, source);
            let handle = file.file.try_clone().map_err(failed)?;
            let on_event = Arc::clone(&on_event);
            // Checksums are computed here, on the queue's thread, lest they delay a step.
            let on_done = Box::new(move |completion| on_event(ended(completion)));
            let started = DiskQueue::start(handle, &config.path, config.queue, on_done)?;
            queue = Some(Arc::new(started));
            lock = Some(file.file);
        }
        let copier = Copier::start(
            self.shape,
            self.host_blocks,
            queue.clone(),
            Arc::clone(&on_event),
        )?;
        Ok(Tier::new(self.shape, copier, on_event, queue, lock, idle))
    }
}
