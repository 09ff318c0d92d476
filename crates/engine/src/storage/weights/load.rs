//! Reading the whole file into memory.

use super::{Identity, LoadReport, Weights, WeightsLoad, check};
use crate::{
    config::Bytes,
    storage::{
        StorageError,
        memory::{self, Region, align_up},
    },
};
use clock::MonoNs;
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::{Mutex, PoisonError},
    thread,
};

/// Threads that read beside each other; one rarely fills an NVMe device.
const READERS: usize = 4;
/// Bytes of one read.
const CHUNK: usize = 8 << 20;

/// Weights in memory; dropping them gives it back.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Held, as the model would hold it.
    _memory: Region,
    pub(crate) report: LoadReport,
}

/// Loads the weights. Blocks until they are in memory.
pub(crate) fn load(weights: &Weights) -> Result<Loaded, StorageError> {
    let began = MonoNs::now();
    let failed = |what| move |source| StorageError::file(what, &weights.path, source);
    let mut options = OpenOptions::new();
    options.read(true);
    if weights.load == WeightsLoad::Direct {
        options.custom_flags(nix::libc::O_DIRECT);
    }
    let file = options.open(&weights.path).map_err(failed("open"))?;
    let identity = check(weights, &file)?;
    let len = identity.len as usize;
    memory::refuse_more_than_available(Bytes(identity.len), "loading the weights")?;
    // Direct reads end on a boundary, which may be behind the file's end.
    let mut region = Region::new(align_up(len), "the weights")?;
    read_all(&file, region.bytes_mut(), len).map_err(failed("read"))?;
    let metadata = file.metadata().map_err(failed("examine"))?;
    if Identity::of(&metadata) != identity {
        let path = weights.path.clone();
        return Err(StorageError::WeightsChanged { path });
    }
    let report = LoadReport {
        bytes: Bytes(identity.len),
        took: MonoNs::now().since(began),
    };
    Ok(Loaded {
        _memory: region,
        report,
    })
}

/// Fills `memory` with the first `len` bytes of `file`, by several threads.
fn read_all(file: &File, memory: &mut [u8], len: usize) -> std::io::Result<()> {
    let chunks = Mutex::new(memory.chunks_mut(CHUNK).enumerate());
    let next = || {
        // Nothing panics under the lock.
        let mut chunks = chunks.lock().unwrap_or_else(PoisonError::into_inner);
        chunks.next()
    };
    let read_some = || {
        while let Some((index, chunk)) = next() {
            let at = index * CHUNK;
            read_chunk(file, chunk, at, (len - at).min(chunk.len()))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read_some)).collect();
        readers.into_iter().try_for_each(|reader| {
            reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Reads at least `wanted` bytes; `chunk` may be longer so that a direct read stays aligned.
fn read_chunk(file: &File, chunk: &mut [u8], at: usize, wanted: usize) -> std::io::Result<()> {
    let mut done = 0;
    while done < wanted {
        match file.read_at(&mut chunk[done..], (at + done) as u64) {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => done += len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::weights::create;
    use std::path::PathBuf;

    fn weights(path: PathBuf, load: WeightsLoad) -> Weights {
        Weights {
            path,
            load,
            size: None,
        }
    }

    #[test]
    fn every_byte_arrives_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        // Longer than two chunks, and not a multiple of anything.
        create(&path, Bytes((2 * CHUNK + 12_345) as u64)).unwrap();
        let wanted = std::fs::read(&path).unwrap();
        for how in [WeightsLoad::Buffered, WeightsLoad::Direct] {
            let loaded = match load(&weights(path.clone(), how)) {
                Ok(loaded) => loaded,
                // tmpfs before Linux 6.6 has no direct I/O.
                Err(error) if how == WeightsLoad::Direct && error.to_string().contains("open") => {
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert!(loaded._memory.bytes()[..wanted.len()] == wanted);
            assert_eq!(loaded.report.bytes.0, wanted.len() as u64);
        }
        assert!(
            create(&path, Bytes(1)).is_err(),
            "a file is never overwritten"
        );
    }

    #[test]
    fn a_bad_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let message = |weights: &Weights| load(weights).unwrap_err().to_string();
        let missing = message(&weights(path.clone(), WeightsLoad::Buffered));
        assert!(
            missing.contains("can't open") && missing.contains("w:"),
            "{missing}"
        );
        create(&path, Bytes(2 << 20)).unwrap();
        let short = message(&Weights {
            size: Some(Bytes(3 << 20)),
            ..weights(path, WeightsLoad::Buffered)
        });
        assert!(short.contains("has 2 MiB, 3 MiB were wanted"), "{short}");
        let folder = message(&weights(folder.path().to_owned(), WeightsLoad::Buffered));
        assert!(folder.contains("wanted"), "{folder}");
    }
}
