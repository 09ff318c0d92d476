//! `tokens.bin`: when every token-bearing chunk arrived.
//!
//! The file opens with [`MAGIC`]; then one frame a request: the payload's length and its CRC-32,
//! both u32 little-endian, then the payload. The payload is a row of unsigned LEB128 numbers: the
//! request's number, the count of chunks, and for each chunk its arrival in nanoseconds (the
//! first since the request was sent, the others since the chunk before) and its client lag in
//! nanoseconds plus one, or 0 where there is no lag to tell.

use crate::{Read, RecordError, buffer::Buffer, table::Torn};
use std::{fs::File, io::Read as _, path::Path, time::Duration};

/// The first bytes of the file; the last is the format's version.
pub(crate) const MAGIC: &[u8; 8] = b"SPTOKEN\x01";

/// The chunks of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTokens {
    /// The request's number in `requests.csv`.
    pub request: u64,
    /// Its token-bearing chunks, in order of arrival.
    pub chunks: Vec<ChunkTime>,
}

/// One token-bearing chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkTime {
    /// When it arrived, since the request was sent.
    pub arrival: Duration,
    /// User-space arrival minus kernel arrival; absent where only user space stamped it.
    pub lag: Option<Duration>,
}

/// The chunks of one request, as they lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFrame<'a> {
    /// The request's number in `requests.csv`.
    pub request: u64,
    /// Its token-bearing chunks, in order of arrival.
    pub chunks: &'a [ChunkNs],
}

/// One token-bearing chunk, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkNs {
    /// When it arrived, since the request was sent.
    pub arrival_ns: u64,
    /// User-space arrival minus kernel arrival; absent where only user space stamped it.
    pub lag_ns: Option<u64>,
}

impl From<TokenFrame<'_>> for RequestTokens {
    fn from(frame: TokenFrame) -> Self {
        let chunk = |chunk: &ChunkNs| ChunkTime {
            arrival: Duration::from_nanos(chunk.arrival_ns),
            lag: chunk.lag_ns.map(Duration::from_nanos),
        };
        Self {
            request: frame.request,
            chunks: frame.chunks.iter().map(chunk).collect(),
        }
    }
}

impl From<ChunkTime> for ChunkNs {
    fn from(chunk: ChunkTime) -> Self {
        Self {
            arrival_ns: nanos(chunk.arrival),
            lag_ns: chunk.lag.map(nanos),
        }
    }
}

/// The frame of one request.
pub(crate) fn append(tokens: &RequestTokens, frame: &mut Vec<u8>) {
    let start = frame.len();
    frame.extend_from_slice(&[0; 8]);
    put(frame, tokens.request);
    put(frame, tokens.chunks.len() as u64);
    let mut before = Duration::ZERO;
    for chunk in &tokens.chunks {
        put(frame, nanos(chunk.arrival.saturating_sub(before)));
        put(
            frame,
            chunk.lag.map_or(0, |lag| nanos(lag).saturating_add(1)),
        );
        before = chunk.arrival.max(before);
    }
    let payload = &frame[start + 8..];
    let length = payload.len() as u32;
    let crc = crc32fast::hash(payload);
    frame[start..start + 4].copy_from_slice(&length.to_le_bytes());
    frame[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Gives the frames of `tokens.bin` one after the other.
pub(crate) fn visit(path: &Path, mut visit: impl FnMut(TokenFrame)) -> Read<()> {
    let mut file = Frames::open(path)?;
    let mut chunks = Vec::new();
    while let Some(payload) = file.next()? {
        let Some(request) = request(payload, &mut chunks) else {
            return Err(file.damaged("the frame makes no sense"));
        };
        visit(TokenFrame {
            request,
            chunks: &chunks,
        });
    }
    let rest = file.length - file.at;
    let torn = (rest > 0 || file.length < MAGIC.len() as u64).then(|| Torn {
        path: path.to_owned(),
        bytes: rest,
    });
    Ok(((), torn))
}

/// A token file, frame by frame.
struct Frames<'a> {
    path: &'a Path,
    file: Buffer,
    length: u64,
    /// Where the next frame begins, and the last one did.
    at: u64,
    before: u64,
}

impl<'a> Frames<'a> {
    fn open(path: &'a Path) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(RecordError::io(path, "open"))?;
        let meta = file.metadata().map_err(RecordError::io(path, "read"))?;
        let mut frames = Self {
            path,
            file: Buffer::new(file.take(meta.len())),
            length: meta.len(),
            at: 0,
            before: 0,
        };
        let begun = frames.need(MAGIC.len())?;
        let magic = frames.file.take(MAGIC.len());
        if frames.file.at(magic.clone()) != &MAGIC[..magic.len()] {
            return Err(frames.damaged("not a token file of this version"));
        }
        if begun {
            frames.at = MAGIC.len() as u64;
        }
        Ok(frames)
    }

    /// The next frame's payload, if the frame is all there.
    fn next(&mut self) -> Result<Option<&[u8]>, RecordError> {
        if !self.need(HEAD)? {
            return Ok(None);
        }
        let head = self.file.filled().start;
        let word = |at: usize| {
            let bytes = self.file.at(head + at..head + at + 4);
            // Four bytes they are.
            bytes.try_into().map_or(0, u32::from_le_bytes)
        };
        let (length, crc) = (word(0) as usize, word(4));
        // A length beyond the file's end is a torn frame's, and no reason to make room for it.
        let whole = (HEAD + length) as u64;
        if self.length - self.at < whole || !self.need(HEAD + length)? {
            return Ok(None);
        }
        self.before = self.at;
        self.at += whole;
        let frame = self.file.take(HEAD + length);
        let payload = frame.start + HEAD..frame.end;
        if crc32fast::hash(self.file.at(payload.clone())) != crc {
            return Err(self.damaged("the checksum does not match"));
        }
        Ok(Some(self.file.at(payload)))
    }

    fn need(&mut self, length: usize) -> Result<bool, RecordError> {
        let there = self.file.need(length);
        // Made only when there is one: this is the way of every frame.
        there.map_err(|source| RecordError::io(self.path, "read")(source))
    }

    fn damaged(&self, what: &'static str) -> RecordError {
        RecordError::Damaged {
            path: self.path.to_owned(),
            offset: self.before,
            what,
        }
    }
}

/// How long a frame's head is: length and checksum.
const HEAD: usize = 8;

/// Takes a payload apart into its request's number and its chunks.
fn request(payload: &[u8], chunks: &mut Vec<ChunkNs>) -> Option<u64> {
    chunks.clear();
    let mut rest = payload;
    let request = take(&mut rest)?;
    let count = take(&mut rest)?;
    // A chunk takes two bytes at least: a count beyond that is damage, not a reason to allocate.
    if count > rest.len() as u64 / 2 {
        return None;
    }
    let mut arrival_ns = 0u64;
    for _ in 0..count {
        arrival_ns = arrival_ns.checked_add(take(&mut rest)?)?;
        let lag_ns = take(&mut rest)?.checked_sub(1);
        chunks.push(ChunkNs { arrival_ns, lag_ns });
    }
    rest.is_empty().then_some(request)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn requests()(
            request in any::<u64>(),
            gaps in prop::collection::vec((0..1u64 << 40, prop::option::of(0..1u64 << 40)), 0..20),
        ) -> RequestTokens {
            let mut arrival = Duration::ZERO;
            let chunks = gaps.into_iter().map(|(gap, lag)| {
                arrival += Duration::from_nanos(gap);
                ChunkTime { arrival, lag: lag.map(Duration::from_nanos) }
            });
            RequestTokens { request, chunks: chunks.collect() }
        }
    }

    fn read(path: &Path) -> Read<Vec<RequestTokens>> {
        let mut requests = Vec::new();
        let ((), torn) = visit(path, |frame| requests.push(frame.into()))?;
        Ok((requests, torn))
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_is_read_back_after_a_kill_at_any_byte(
            requests in prop::collection::vec(requests(), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = MAGIC.to_vec();
            let mut ends = vec![bytes.len()];
            for request in &requests {
                append(request, &mut bytes);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let (found, torn) = read(file(&bytes[..cut]).path()).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
            prop_assert_eq!(&found[..], &requests[..whole]);
            prop_assert_eq!(torn.is_some(), !ends.contains(&cut));
        }

        #[test]
        fn damage_before_the_tail_is_refused(
            request in requests(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut bytes = MAGIC.to_vec();
            append(&request, &mut bytes);
            let payload = MAGIC.len() + 8;
            let at = payload + at.index(bytes.len() - payload);
            bytes[at] ^= 0x55;
            prop_assert!(read(file(&bytes).path()).is_err());
        }
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let error = read(file(b"PK\x03\x04 not ours").path()).unwrap_err();
        assert!(error.to_string().contains("byte 0"), "{error}");
    }
}
