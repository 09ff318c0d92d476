//! A file's lines, found in a buffer that they are not copied out of.

use crate::buffer::Buffer;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

/// The whole lines of a file, one after the other; what follows the last is left out.
pub(crate) struct Lines {
    buffer: Buffer,
    whole: u64,
    torn: u64,
}

impl Lines {
    pub(crate) fn new(mut file: File) -> std::io::Result<Self> {
        let (whole, length) = whole_lines(&mut file)?;
        Ok(Self {
            buffer: Buffer::new(file.take(whole)),
            whole,
            torn: length - whole,
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
        let mut searched = 0;
        loop {
            let filled = self.buffer.filled();
            let fresh = self.buffer.at(filled.start + searched..filled.end);
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let line = self.buffer.take(searched + at + 1);
                return Ok(Some(line.start..line.end - 1));
            }
            searched = filled.len();
            if !self.buffer.fill()? {
                return Ok(None);
            }
        }
    }

    /// What lies there.
    pub(crate) fn text(&self, at: Range<usize>) -> &[u8] {
        self.buffer.at(at)
    }

    /// From there on, beyond the line too: eight bytes at least.
    pub(crate) fn and_beyond(&self, start: usize) -> &[u8] {
        self.buffer.from(start)
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
