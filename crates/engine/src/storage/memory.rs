//! Memory straight from the kernel: page-aligned regions, mappings of files, and how much there is.

use super::StorageError;
use crate::config::Bytes;
use nix::{
    errno::Errno,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap},
};
use std::{ffi::c_void, fs::File, num::NonZeroUsize, ops::Range, ptr::NonNull, slice};

/// What direct I/O aligns to. No common device or file system asks for more.
pub(crate) const ALIGNMENT: usize = 4096;

/// What must stay available beside what is taken.
const SPARE: u64 = 256 << 20;

/// From this size on a region is worth huge pages.
const HUGE_PAGE: usize = 2 << 20;

/// Rounds up to [`ALIGNMENT`].
pub(crate) fn align_up(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// MemAvailable: what can be had without pushing anything into swap.
pub(crate) fn available() -> Option<Bytes> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    parse_available(&text)
}

/// Taking more than there is would end in the OOM killer, which may choose another process.
pub(crate) fn refuse_more_than_available(
    wanted: Bytes,
    what: &'static str,
) -> Result<(), StorageError> {
    match available() {
        Some(available) if available.0 < wanted.0.saturating_add(SPARE) => {
            Err(StorageError::NoMemory {
                what,
                wanted,
                available,
            })
        }
        _ => Ok(()),
    }
}

fn parse_available(meminfo: &str) -> Option<Bytes> {
    let line = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib * 1024))
}

/// Anonymous memory, page-aligned and zeroed. Its pages are taken when they are first touched.
#[derive(Debug)]
pub(crate) struct Region(Mapping);

impl Region {
    pub(crate) fn new(len: usize, what: &'static str) -> Result<Self, StorageError> {
        let region = Self::map(len, what)?;
        if len >= HUGE_PAGE {
            // Direct I/O pins every page of a buffer for every request: fewer pages, less work.
            // A kernel without huge pages says no, and all still works.
            let _ = region.0.advise(0..len, MmapAdvise::MADV_HUGEPAGE);
        }
        Ok(region)
    }

    fn map(len: usize, what: &'static str) -> Result<Self, StorageError> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        Mapping::new(len, what, |size| {
            #[expect(unsafe_code, reason = "memory comes from the kernel by mmap")]
            // SAFETY: a new private mapping at an address of the kernel's choice touches nothing.
            unsafe {
                mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE)
            }
        })
        .map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        #[expect(unsafe_code, reason = "the mapping is bytes of ours")]
        // SAFETY: the mapping is readable, `len` long, private to us and lives as long as `self`;
        // anonymous memory is initialized to zero.
        unsafe {
            slice::from_raw_parts(self.0.at.as_ptr().cast(), self.0.len)
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        #[expect(unsafe_code, reason = "the mapping is bytes of ours")]
        // SAFETY: as in `bytes`; it is also writable, and `&mut self` makes this the only view.
        unsafe {
            slice::from_raw_parts_mut(self.0.at.as_ptr().cast(), self.0.len)
        }
    }

    /// Takes all pages now, so that they really are in memory.
    pub(crate) fn populate(&mut self, what: &'static str) -> Result<(), StorageError> {
        let all = 0..self.0.len;
        let taken = self.0.advise(all, MmapAdvise::MADV_POPULATE_WRITE);
        taken.map_err(|errno| StorageError::Map {
            what,
            bytes: Bytes(self.0.len as u64),
            source: errno.into(),
        })
    }

    /// Keeps all pages from being swapped out.
    pub(crate) fn lock(&mut self) -> Result<(), Errno> {
        #[expect(unsafe_code, reason = "memory is locked by address")]
        // SAFETY: the range is the whole of a mapping of ours; locking changes no content.
        unsafe {
            mlock(self.0.at, self.0.len)
        }
    }
}

/// A file mapped for reading. Its bytes are never looked at: what counts is that they are there.
#[derive(Debug)]
pub(crate) struct MappedFile(Mapping);

impl MappedFile {
    pub(crate) fn new(file: &File, len: usize, what: &'static str) -> Result<Self, StorageError> {
        Mapping::new(len, what, |size| {
            #[expect(unsafe_code, reason = "paging on demand needs a mapping")]
            // SAFETY: a new mapping at an address of the kernel's choice touches nothing. It is
            // never dereferenced, so a file that shrinks can't raise SIGBUS.
            unsafe {
                mmap(
                    None,
                    size,
                    ProtFlags::PROT_READ,
                    MapFlags::MAP_SHARED,
                    file,
                    0,
                )
            }
        })
        .map(Self)
    }

    /// Faults a range in, as reading it would, with an error in place of SIGBUS.
    pub(crate) fn page_in(&self, range: Range<usize>) -> Result<(), Errno> {
        self.0.advise(range, MmapAdvise::MADV_POPULATE_READ)
    }
}

#[derive(Debug)]
struct Mapping {
    at: NonNull<c_void>,
    len: usize,
}

#[expect(unsafe_code, reason = "a raw pointer is not Send of itself")]
// SAFETY: a mapping belongs to the process, not to a thread; access follows Rust's borrows.
unsafe impl Send for Mapping {}
#[expect(unsafe_code, reason = "a raw pointer is not Sync of itself")]
// SAFETY: as above; through `&Mapping` memory is only read, or advised about.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(
        len: usize,
        what: &'static str,
        map: impl FnOnce(NonZeroUsize) -> nix::Result<NonNull<c_void>>,
    ) -> Result<Self, StorageError> {
        let size = NonZeroUsize::new(len).ok_or(Errno::EINVAL);
        let at = size.and_then(map).map_err(|errno| StorageError::Map {
            what,
            bytes: Bytes(len as u64),
            source: errno.into(),
        })?;
        Ok(Self { at, len })
    }

    fn advise(&self, range: Range<usize>, advice: MmapAdvise) -> Result<(), Errno> {
        let start = range.start / ALIGNMENT * ALIGNMENT;
        let end = range.end.min(self.len);
        if start >= end {
            return Ok(());
        }
        #[expect(unsafe_code, reason = "advice is given by address")]
        // SAFETY: the range lies inside the mapping; populating changes no content.
        unsafe {
            madvise(self.at.byte_add(start), end - start, advice)
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "mmap's counterpart")]
        // SAFETY: this mapping is ours, whole, and no view of it outlives `self`.
        let unmapped = unsafe { munmap(self.at, self.len) };
        debug_assert!(unmapped.is_ok(), "munmap takes back what mmap gave");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_aligned_zeroed_and_ours() {
        let mut region = Region::new(3 * ALIGNMENT, "a test").unwrap();
        assert_eq!(region.bytes().as_ptr().addr() % ALIGNMENT, 0);
        assert!(region.bytes().iter().all(|b| *b == 0));
        region.bytes_mut()[5000] = 7;
        region.populate("a test").unwrap();
        assert_eq!(region.bytes()[5000], 7);
        assert!(Region::new(0, "nothing").is_err());
    }

    #[test]
    fn a_file_cut_short_is_an_error_and_no_signal() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * ALIGNMENT as u64).unwrap();
        let mapped = MappedFile::new(&file, 4 * ALIGNMENT, "a test").unwrap();
        assert_eq!(mapped.page_in(0..4 * ALIGNMENT), Ok(()));
        file.set_len(ALIGNMENT as u64).unwrap();
        assert!(mapped.page_in(0..4 * ALIGNMENT).is_err());
    }

    #[test]
    fn available_memory_is_read_from_meminfo() {
        let text = "MemTotal:       100 kB\nMemAvailable:     42 kB\n";
        assert_eq!(parse_available(text), Some(Bytes(42 << 10)));
        assert_eq!(parse_available("MemTotal: 1 kB\n"), None);
        assert!(available().is_some());
        assert!(refuse_more_than_available(Bytes(0), "nothing").is_ok());
        let error = refuse_more_than_available(Bytes(1 << 60), "dreaming").unwrap_err();
        assert!(
            error.to_string().starts_with("dreaming needs 1048576 TiB"),
            "{error}"
        );
    }
}
