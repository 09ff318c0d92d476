//! The model's files, and what the page cache holds of them.

use crate::LabError;
use plan::CacheState;
use probe::page_cache::{CacheError, Files};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The files.
pub(crate) struct ModelCache(Vec<Files>);

/// At most so much of a model is in the page cache where it is cold, in percent.
pub(crate) const COLD_PCT_MAX: f64 = 1.0;
/// At least so much where it is warm.
pub(crate) const WARM_PCT_MIN: f64 = 95.0;

impl ModelCache {
    /// Opens the files, and makes sure that their pages can be looked at.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, LabError> {
        let files: Result<Vec<_>, CacheError> = paths.iter().map(|it| Files::open(it)).collect();
        let cache = Self(files?);
        cache.resident_pct()?;
        Ok(cache)
    }

    /// All files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().flat_map(Files::paths)
    }

    /// Their size.
    pub(crate) fn bytes(&self) -> Result<u64, LabError> {
        let mut bytes = 0;
        for files in &self.0 {
            bytes += files.residency()?.file_bytes;
        }
        Ok(bytes)
    }

    /// Their share in the page cache.
    pub(crate) fn resident_pct(&self) -> Result<Option<f64>, LabError> {
        let (mut all, mut resident) = (0, 0);
        for files in &self.0 {
            let residency = files.residency()?;
            all += residency.file_bytes;
            resident += residency.resident_bytes;
        }
        Ok((all > 0).then(|| 100.0 * resident as f64 / all as f64))
    }

    /// Evicts them, or reads them in. Whether that worked, [`Self::resident_pct`] proves.
    pub(crate) fn bring_to(&self, state: CacheState) -> Result<(), LabError> {
        match state {
            CacheState::Cold => {
                for files in &self.0 {
                    files.evict()?;
                }
            }
            CacheState::Warm => {
                for path in self.paths() {
                    read_in(path).map_err(|source| LabError::ModelFile {
                        path: path.to_owned(),
                        source,
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn read_in(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 1 << 20];
    while file.read(&mut chunk)? > 0 {}
    Ok(())
}
