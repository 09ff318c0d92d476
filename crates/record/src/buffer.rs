//! A file that is read in large steps, and looked at where it lies.

use std::{fs::File, io::Read, io::Take, ops::Range};

/// What was read of a file and is not yet done with.
pub(crate) struct Buffer {
    input: Take<File>,
    /// Longer than what is filled, by [`SLACK`] bytes at least.
    bytes: Vec<u8>,
    filled: Range<usize>,
}

/// So much may be looked at beyond what is filled, whatever lies there.
const SLACK: usize = 8;

impl Buffer {
    const LEAST: usize = 1 << 18;

    pub(crate) fn new(input: Take<File>) -> Self {
        Self {
            input,
            bytes: Vec::new(),
            filled: 0..0,
        }
    }

    /// Where what is not yet done with lies. Reading more moves it.
    pub(crate) fn filled(&self) -> Range<usize> {
        self.filled.clone()
    }

    /// Is done with so many bytes; where they lie.
    pub(crate) fn take(&mut self, length: usize) -> Range<usize> {
        let start = self.filled.start;
        self.filled.start = self.filled.end.min(start + length);
        start..self.filled.start
    }

    /// Reads more; whether there was more.
    pub(crate) fn fill(&mut self) -> std::io::Result<bool> {
        self.bytes.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        if self.filled.end + SLACK >= self.bytes.len() {
            let left = usize::try_from(self.input.limit()).unwrap_or(usize::MAX);
            let more = left.min(self.bytes.len().max(Self::LEAST));
            self.bytes.resize(self.filled.end + more + SLACK, 0);
        }
        let room = self.bytes.len() - SLACK;
        let read = self.input.read(&mut self.bytes[self.filled.end..room])?;
        self.filled.end += read;
        Ok(read > 0)
    }

    /// Reads on until so many bytes are there; whether they are.
    pub(crate) fn need(&mut self, length: usize) -> std::io::Result<bool> {
        while self.filled.len() < length {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What lies there.
    pub(crate) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// What lies from there on, beyond what is filled too: eight bytes at least.
    pub(crate) fn from(&self, start: usize) -> &[u8] {
        &self.bytes[start..]
    }
}
