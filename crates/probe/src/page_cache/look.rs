//! Counting a file's cached pages: `cachestat(2)` since Linux 6.5, `mincore(2)` before.

use nix::{
    errno::Errno,
    libc,
    unistd::{AccessFlags, access, geteuid},
};
use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::PathBuf,
    ptr,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) resident: u64,
    pub(super) dirty: Option<u64>,
}

/// Counts the cached pages of a file of this size.
pub(super) fn pages(file: &File, size: u64) -> io::Result<Pages> {
    match cachestat(file) {
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => mincore(file, size),
        answer => Ok(answer?),
    }
}

/// `struct cachestat_range` (include/uapi/linux/mman.h).
#[repr(C)]
struct Range {
    offset: u64,
    /// 0 means up to the end.
    length: u64,
}

/// `struct cachestat`.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

#[expect(unsafe_code, reason = "no library wraps cachestat")]
fn count(descriptor: RawFd) -> Result<Pages, Errno> {
    /// The same on every architecture (arch/*/entry/syscalls, scripts/syscall.tbl).
    const CACHESTAT: libc::c_long = 451;
    let range = Range {
        offset: 0,
        length: 0,
    };
    let mut counts = Counts::default();
    // SAFETY: both structs are the kernel's by layout and live past the call; the flags must be 0.
    let result =
        unsafe { libc::syscall(CACHESTAT, descriptor, &raw const range, &raw mut counts, 0) };
    Errno::result(result)?;
    Ok(Pages {
        resident: counts.cached,
        dirty: Some(counts.dirty + counts.writeback),
    })
}

/// Asks for a descriptor that is none: a kernel that has the call says so (EBADF), others don't
/// know the call.
pub(super) fn has_cachestat() -> bool {
    count(-1) == Err(Errno::EBADF)
}

fn cachestat(file: &File) -> Result<Pages, Errno> {
    count(file.as_raw_fd())
}

/// Counts through a mapping, a piece at a time, so that a file larger than the address space's
/// free part can be counted too.
fn mincore(file: &File, size: u64) -> io::Result<Pages> {
    const PIECE: u64 = 1 << 30;
    if !may_look(file)? {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut resident = 0;
    let mut offset = 0;
    while offset < size {
        let length = PIECE.min(size - offset);
        resident += mincore_piece(file, offset, length as usize)?;
        offset += length;
    }
    Ok(Pages {
        resident,
        dirty: None,
    })
}

/// To those who may not look, `mincore` shows every page as resident (mm/mincore.c,
/// `can_do_mincore`): the rule is checked before.
fn may_look(file: &File) -> io::Result<bool> {
    let owner = file.metadata()?.uid();
    let user = geteuid();
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok(user.is_root() || user.as_raw() == owner || access(&path, AccessFlags::W_OK).is_ok())
}

#[expect(unsafe_code, reason = "mincore works on addresses")]
fn mincore_piece(file: &File, offset: u64, length: usize) -> io::Result<u64> {
    let page = crate::host::page_size_bytes() as usize;
    let mut residency = vec![0u8; length.div_ceil(page)];
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    // SAFETY: a new mapping at a place of the kernel's choice, without access to its bytes; it
    // overlaps nothing of ours.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_NONE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            offset,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has `length` bytes, and `residency` a byte for each of its pages.
    let looked = unsafe { libc::mincore(start, length, residency.as_mut_ptr()) };
    let result = Errno::result(looked);
    // SAFETY: the mapping made above; nobody else knows its address.
    unsafe { libc::munmap(start, length) };
    result?;
    Ok(residency.iter().filter(|&&page| page & 1 != 0).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_count_the_same() {
        let mut file = tempfile::tempfile().unwrap();
        let size = 3 * (1 << 20) + 5;
        io::Write::write_all(&mut file, &vec![1; size]).unwrap();
        let expected = (size as u64).div_ceil(crate::host::page_size_bytes());
        assert_eq!(mincore(&file, size as u64).unwrap().resident, expected);
        match cachestat(&file) {
            Ok(pages) => assert_eq!(pages.resident, expected),
            Err(errno) => assert_eq!(errno, Errno::ENOSYS),
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error() {
        let foreign = File::open("/proc/self/stat").unwrap();
        assert!(pages(&foreign, 10).is_err() || pages(&foreign, 10).unwrap().resident == 0);
    }
}
