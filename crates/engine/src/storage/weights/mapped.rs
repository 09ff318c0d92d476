//! Weights that are paged in as they are used.

use super::{Identity, Weights, check, layout::Layout, read_by_this_thread};
use crate::{
    profile::Profile,
    storage::{StorageError, memory::MappedFile},
};
use std::{fs::File, path::PathBuf};

/// A mapped weights file.
#[derive(Debug)]
pub(crate) struct PagedWeights {
    path: PathBuf,
    file: File,
    identity: Identity,
    mapped: MappedFile,
    layout: Layout,
    steps: u64,
}

impl PagedWeights {
    pub(crate) fn open(weights: &Weights, profile: &Profile) -> Result<Self, StorageError> {
        let path = weights.path.clone();
        let failed = |source| StorageError::file("open", &path, source);
        let file = File::open(&path).map_err(failed)?;
        let identity = check(weights, &file)?;
        Ok(Self {
            mapped: MappedFile::new(&file, identity.len as usize, "the weights")?,
            layout: Layout::new(profile, identity.len),
            path,
            file,
            identity,
            steps: 0,
        })
    }

    /// Brings in what the next step uses. Returns the bytes that came from the device, readahead
    /// included, as the kernel charged them to this thread.
    pub(crate) fn page_in(&mut self, new_tokens: u32) -> Result<u64, StorageError> {
        self.refuse_changes()?;
        let before = read_by_this_thread();
        self.steps += 1;
        for range in self.layout.ranges(self.steps, new_tokens) {
            let range = range.start as usize..range.end as usize;
            // A file that is shorter now fails here, between two looks at it.
            self.mapped
                .page_in(range)
                .map_err(|errno| StorageError::file("page in", &self.path, errno.into()))?;
        }
        Ok(read_by_this_thread().saturating_sub(before))
    }

    fn refuse_changes(&self) -> Result<(), StorageError> {
        let failed = |source| StorageError::file("examine", &self.path, source);
        let now = Identity::of(&self.file.metadata().map_err(failed)?);
        if now == self.identity {
            Ok(())
        } else {
            let path = self.path.clone();
            Err(StorageError::WeightsChanged { path })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Bytes,
        profile::Model,
        storage::weights::{WeightsLoad, create},
    };

    #[test]
    fn a_file_that_changes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        create(&path, Bytes(8 << 20)).unwrap();
        let weights = Weights {
            path: path.clone(),
            load: WeightsLoad::Mapped,
            size: None,
        };
        let mut paged = PagedWeights::open(&weights, &Model::GptOss120b.profile()).unwrap();
        paged.page_in(1).unwrap();
        paged.page_in(600).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(4 << 20)
            .unwrap();
        let error = paged.page_in(1).unwrap_err().to_string();
        assert!(error.contains("changed while the engine ran"), "{error}");
    }
}
