//! A file's lines, found in a buffer that they are not copied out of.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Take},
    ops::Range,
};

/// The whole lines of a file, one after the other; what follows the last is left out.
pub(crate) struct Lines {
    input: Take<File>,
    whole: u64,
    torn: u64,
    /// Longer than what is filled, by [`SLACK`] bytes at least.
    buffer: Vec<u8>,
    /// What is read and not yet given out.
    filled: Range<usize>,
}

/// So much may be read beyond a line's end, whatever lies there.
pub(crate) const SLACK: usize = 8;

impl Lines {
    const LEAST: usize = 1 << 18;

    pub(crate) fn new(mut file: File) -> std::io::Result<Self> {
        let (whole, length) = whole_lines(&mut file)?;
        Ok(Self {
            input: file.take(whole),
            whole,
            torn: length - whole,
            buffer: Vec::new(),
            filled: 0..0,
        })
    }

    /// How many bytes the whole lines take.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// How many bytes follow the last whole line.
    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }

    /// Where the next line lies, without its end.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Range<usize>>> {
        let mut searched = self.filled.start;
        loop {
            let fresh = &self.buffer[searched..self.filled.end];
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let line = self.filled.start..searched + at;
                self.filled.start = line.end + 1;
                return Ok(Some(line));
            }
            let seen = self.filled.len();
            if !self.fill()? {
                return Ok(None);
            }
            searched = self.filled.start + seen;
        }
    }

    /// Reads more; whether there was more.
    fn fill(&mut self) -> std::io::Result<bool> {
        self.buffer.copy_within(self.filled.clone(), 0);
        self.filled = 0..self.filled.len();
        if self.filled.end + SLACK >= self.buffer.len() {
            let left = usize::try_from(self.input.limit()).unwrap_or(usize::MAX);
            let more = left.min(self.buffer.len().max(Self::LEAST));
            self.buffer.resize(self.filled.end + more + SLACK, 0);
        }
        let room = self.buffer.len() - SLACK;
        let read = self.input.read(&mut self.buffer[self.filled.end..room])?;
        self.filled.end += read;
        Ok(read > 0)
    }

    /// What lies there.
    pub(crate) fn text(&self, at: Range<usize>) -> &[u8] {
        &self.buffer[at]
    }

    /// From there on, beyond the line too: [`SLACK`] bytes at least.
    pub(crate) fn and_beyond(&self, start: usize) -> &[u8] {
        &self.buffer[start..]
    }
}

/// How many bytes the file's whole lines take, and how many it has.
fn whole_lines(file: &mut File) -> std::io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((end, length))
}
