//! How much of the model's files is in the page cache, and getting them out of it.
//!
//! A claim of "cold" or "warm" is worth what a look at the cache says: every look here counts the
//! pages, and an eviction ends with a second look.

mod look;

use crate::{
    background::{Background, Fill},
    host,
};
use look::Pages;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use record::{Cache, Value};
use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A look at tens of gigabytes walks millions of pages.
const INTERVAL: Duration = Duration::from_secs(1);

/// Files whose pages cannot be looked at or evicted.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, to follow "cannot".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel shows a file's pages only to those who own it or may write it, since they tell
    /// what others read.
    #[error(
        "{}: the kernel shows its cached pages only to its owner and those who may write it; run \
         as its owner or as root", .0.display()
    )]
    NotShown(PathBuf),
    /// There is no file.
    #[error("{}: no files here; name the model's file or folder", .0.display())]
    NoFiles(PathBuf),
}

impl CacheError {
    fn io<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }
}

/// The page cache's share of some files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residency {
    /// Their size.
    pub file_bytes: u64,
    /// Bytes in the page cache.
    pub resident_bytes: u64,
    /// Of these, bytes that wait to be written; absent where the kernel has no `cachestat`.
    pub dirty_bytes: Option<u64>,
}

impl Residency {
    /// The share that is resident, from 0 to 1; absent for empty files.
    pub fn share(&self) -> Option<f64> {
        (self.file_bytes > 0).then(|| self.resident_bytes as f64 / self.file_bytes as f64)
    }
}

/// What an eviction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The first look.
    pub before: Residency,
    /// The look after it. Pages that a process maps or locks stay.
    pub after: Residency,
}

/// Files that are watched together. They stay open.
#[derive(Debug)]
pub struct Files(Vec<(PathBuf, File)>);

impl Files {
    /// Opens a file, or every regular file below a folder. Links are followed, since model
    /// stores are made of them, and a file is taken once however many names it has.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let mut files = Vec::new();
        collect(path, &mut HashSet::new(), &mut files)?;
        if files.is_empty() {
            return Err(CacheError::NoFiles(path.to_owned()));
        }
        Ok(Self(files))
    }

    /// Their paths.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }

    /// Counts their pages.
    pub fn residency(&self) -> Result<Residency, CacheError> {
        let page = host::page_size_bytes();
        let mut sum = Residency {
            file_bytes: 0,
            resident_bytes: 0,
            dirty_bytes: Some(0),
        };
        for (path, file) in &self.0 {
            let size = file
                .metadata()
                .map_err(CacheError::io(path, "look at it"))?
                .len();
            let pages = look::pages(file, size).map_err(|error| not_shown(path, error))?;
            // The last page may be larger than what is left of the file.
            let bytes = |pages: u64| pages.saturating_mul(page).min(size);
            let Pages { resident, dirty } = pages;
            sum.file_bytes += size;
            sum.resident_bytes += bytes(resident);
            sum.dirty_bytes = sum
                .dirty_bytes
                .zip(dirty)
                .map(|(sum, dirty)| sum + bytes(dirty));
        }
        Ok(sum)
    }

    /// Writes their dirty pages back, drops all their pages from the cache, and looks again.
    /// Needs no privilege beyond that look. What it did is in the second look: pages that are
    /// mapped, locked or just being read stay.
    pub fn evict(&self) -> Result<Eviction, CacheError> {
        /// Pages that another CPU has not yet put on its list escape a first try.
        const TRIES: u32 = 3;
        let before = self.residency()?;
        let mut after = before;
        for _ in 0..TRIES {
            for (path, file) in &self.0 {
                file.sync_data()
                    .map_err(CacheError::io(path, "write it back"))?;
                // The length 0 means up to the end (posix_fadvise(2)).
                posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
                    .map_err(|errno| CacheError::io(path, "evict its pages")(errno.into()))?;
            }
            after = self.residency()?;
            if after.resident_bytes == 0 {
                break;
            }
        }
        Ok(Eviction { before, after })
    }
}

fn not_shown(path: &Path, error: io::Error) -> CacheError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => CacheError::NotShown(path.to_owned()),
        _ => CacheError::io(path, "look at its pages")(error),
    }
}

fn collect(
    path: &Path,
    seen: &mut HashSet<(u64, u64)>,
    files: &mut Vec<(PathBuf, File)>,
) -> Result<(), CacheError> {
    let metadata = fs::metadata(path).map_err(CacheError::io(path, "look at it"))?;
    // Also a folder is taken once: links can make circles.
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return Ok(());
    }
    if metadata.is_file() {
        let file = File::open(path).map_err(CacheError::io(path, "open it"))?;
        files.push((path.to_owned(), file));
    } else if metadata.is_dir() {
        let entries = fs::read_dir(path).map_err(CacheError::io(path, "list it"))?;
        for entry in entries {
            let entry = entry.map_err(CacheError::io(path, "list it"))?;
            collect(&entry.path(), seen, files)?;
        }
    }
    Ok(())
}

/// Whether the kernel has `cachestat`.
pub(crate) fn has_cachestat() -> bool {
    look::has_cachestat()
}

/// Looks at the files again and again into their columns.
pub(crate) fn watch(files: Files) -> io::Result<Box<dyn Fill + Send>> {
    let begin = move || Some(move || files.residency().ok());
    Ok(Box::new(Background::start(
        "page-cache",
        INTERVAL,
        begin,
        lay,
    )?))
}

fn lay(reading: &Option<Residency>, values: &mut [Value]) {
    for &field in Cache::ALL {
        let value = match field {
            Cache::FileBytes => reading.map(|files| files.file_bytes),
            Cache::ResidentBytes => reading.map(|files| files.resident_bytes),
            Cache::DirtyBytes => reading.and_then(|files| files.dirty_bytes),
        };
        values[field as usize] = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::fs::symlink};

    const SIZE: u64 = (8 << 20) + 1000;

    /// A folder beside the test's own binary, hence on a disk: what lies in memory alone can't be
    /// evicted.
    fn folder() -> tempfile::TempDir {
        let binary = std::env::current_exe().unwrap();
        tempfile::tempdir_in(binary.parent().unwrap()).unwrap()
    }

    #[test]
    fn an_eviction_is_proven_and_a_read_undoes_it() {
        let folder = folder();
        let path = folder.path().join("model");
        fs::write(&path, vec![7; SIZE as usize]).unwrap();
        let files = Files::open(&path).unwrap();
        let eviction = files.evict().unwrap();
        assert_eq!(eviction.before.file_bytes, SIZE);
        assert_eq!(eviction.before.share(), Some(1.0));
        assert_eq!(eviction.after.resident_bytes, 0);
        File::open(&path)
            .unwrap()
            .read_to_end(&mut Vec::new())
            .unwrap();
        let warm = files.residency().unwrap();
        assert_eq!((warm.resident_bytes, warm.share()), (SIZE, Some(1.0)));
    }

    #[test]
    fn a_file_of_many_names_is_one_and_circles_end() {
        let folder = folder();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("blobs/a"), "0123456789").unwrap();
        symlink("blobs/a", folder.path().join("model.safetensors")).unwrap();
        symlink(".", folder.path().join("self")).unwrap();
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.paths().len(), 1);
        assert_eq!(files.residency().unwrap().file_bytes, 10);
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(
            Files::open(empty.path()),
            Err(CacheError::NoFiles(_))
        ));
    }
}
