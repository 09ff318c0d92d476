//! Files of the kernel that are read again and again.

use crate::{Fault, ProbeError, Sensor, parse::ParseError};
use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// A file that stays open and is read from its start into a buffer that stays allocated.
struct KeptFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl KeptFile {
    fn open(path: PathBuf) -> Result<Self, ProbeError> {
        match File::open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                buffer: vec![0; 8192],
            }),
            Err(source) => Err(ProbeError::Open { path, source }),
        }
    }

    /// Reads the whole file. A read at offset 0 makes the kernel print its values anew; only a
    /// read that returns nothing is the end, because an iterated file such as /proc/vmstat comes
    /// a page at a time (fs/seq_file.c).
    fn read(&mut self) -> io::Result<&[u8]> {
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            match self.file.read_at(&mut self.buffer[filled..], filled as u64) {
                Ok(0) => return Ok(&self.buffer[..filled]),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A kept file with its parser and what was parsed last.
pub(crate) struct Source<R> {
    sensor: Sensor,
    /// Absent if it could not be opened: it is not tried again.
    file: Option<KeptFile>,
    parse: fn(&[u8], &mut R) -> Result<(), ParseError>,
    raw: R,
    reported: bool,
}

impl<R: Default> Source<R> {
    /// Opens the file; if it can't be, the source is there and gives nothing.
    pub(crate) fn open(
        sensor: Sensor,
        path: PathBuf,
        parse: fn(&[u8], &mut R) -> Result<(), ParseError>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let (file, reported) = match KeptFile::open(path) {
            Ok(file) => (Some(file), false),
            Err(error) => {
                let sensor = sensor.clone();
                faults.push(Fault { sensor, error });
                (None, true)
            }
        };
        Self {
            sensor,
            file,
            parse,
            raw: R::default(),
            reported,
        }
    }

    /// Reads and parses the file. The first failure becomes a fault; later ones are silent, and
    /// cost no allocation.
    pub(crate) fn read(&mut self, faults: &mut Vec<Fault>) -> Option<&R> {
        let file = self.file.as_mut()?;
        let result = file
            .read()
            .map_err(Broken::Read)
            .and_then(|bytes| (self.parse)(bytes, &mut self.raw).map_err(Broken::Parse));
        match result {
            Ok(()) => Some(&self.raw),
            Err(broken) => {
                if !self.reported {
                    self.reported = true;
                    let sensor = self.sensor.clone();
                    let error = broken.at(file.path.clone());
                    faults.push(Fault { sensor, error });
                }
                None
            }
        }
    }
}

enum Broken {
    Read(io::Error),
    Parse(ParseError),
}

impl Broken {
    fn at(self, path: PathBuf) -> ProbeError {
        match self {
            Broken::Read(source) => ProbeError::Read { path, source },
            Broken::Parse(source) => ProbeError::Parse { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8], raw: &mut usize) -> Result<(), ParseError> {
        *raw = bytes.len();
        if bytes.starts_with(b"bad") {
            return Err(ParseError::new(bytes, bytes, "a good file"));
        }
        Ok(())
    }

    #[test]
    fn a_file_is_read_whole_and_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, vec![b'x'; 20_000]).unwrap();
        let mut faults = Vec::new();
        let mut source = Source::open(Sensor::Cpu, path.clone(), count, &mut faults);
        assert_eq!(source.read(&mut faults), Some(&20_000));
        std::fs::write(&path, "xyz").unwrap();
        assert_eq!(source.read(&mut faults), Some(&3));
        assert!(faults.is_empty());
    }

    #[test]
    fn a_failure_is_reported_once_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "bad").unwrap();
        let mut faults = Vec::new();
        let mut source = Source::open(Sensor::Cpu, path.clone(), count, &mut faults);
        assert_eq!(source.read(&mut faults), None);
        assert_eq!(source.read(&mut faults), None);
        assert_eq!(faults.len(), 1);
        std::fs::write(&path, "good").unwrap();
        assert_eq!(source.read(&mut faults), Some(&4));
    }

    #[test]
    fn a_missing_file_is_a_fault_with_path_and_remedy() {
        let mut faults = Vec::new();
        let path = PathBuf::from("/nonexistent/pressure/io");
        let mut source = Source::open(Sensor::IoPressure, path, count, &mut faults);
        assert_eq!(source.read(&mut faults), None);
        assert_eq!(
            faults[0].to_string(),
            "I/O pressure: /nonexistent/pressure/io: cannot open: No such file or directory (os \
             error 2); its columns are empty where it gives nothing; the kernel needs CONFIG_PSI \
             and, where it is off by default, psi=1 on its command line"
        );
    }
}
