//! `tokens.bin`: when every token-bearing chunk arrived.
//!
//! The file opens with [`MAGIC`]; then one frame a request: the payload's length and its CRC-32,
//! both u32 little-endian, then the payload. The payload is a row of unsigned LEB128 numbers: the
//! request's number, the count of chunks, and for each chunk its arrival in nanoseconds (the
//! first since the request was sent, the others since the chunk before) and its client lag in
//! nanoseconds plus one, or 0 where there is no lag to tell.

use crate::{RecordError, table::Torn};
use std::{path::Path, time::Duration};

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

/// Reads `tokens.bin`.
pub(crate) fn read(path: &Path) -> Result<(Vec<RequestTokens>, Option<Torn>), RecordError> {
    let bytes = std::fs::read(path).map_err(RecordError::io(path, "read"))?;
    let damaged = |offset: usize, what| RecordError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        what,
    };
    let mut requests = Vec::new();
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) {
        return Ok((requests, torn(path, bytes.len())));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(damaged(0, "not a token file of this version"));
    }
    let mut at = MAGIC.len();
    while let Some(end) = frame_end(&bytes, at) {
        let payload = &bytes[at + 8..end];
        if crc32fast::hash(payload).to_le_bytes() != bytes[at + 4..at + 8] {
            return Err(damaged(at, "the checksum does not match"));
        }
        requests.push(request(payload).ok_or_else(|| damaged(at, "the frame makes no sense"))?);
        at = end;
    }
    let rest = bytes.len() - at;
    Ok((requests, torn(path, rest).filter(|_| rest > 0)))
}

fn torn(path: &Path, bytes: usize) -> Option<Torn> {
    Some(Torn {
        path: path.to_owned(),
        bytes: bytes as u64,
    })
}

/// Where the frame that begins at `at` ends, if it is all there.
fn frame_end(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..at + 4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let end = at.checked_add(8)?.checked_add(length)?;
    (end <= bytes.len()).then_some(end)
}

fn request(payload: &[u8]) -> Option<RequestTokens> {
    let mut rest = payload;
    let request = take(&mut rest)?;
    let count = take(&mut rest)?;
    // A chunk takes two bytes at least: a count beyond that is damage, not a reason to allocate.
    if count > rest.len() as u64 / 2 {
        return None;
    }
    let mut chunks = Vec::with_capacity(count as usize);
    let mut arrival = Duration::ZERO;
    for _ in 0..count {
        arrival = arrival.checked_add(Duration::from_nanos(take(&mut rest)?))?;
        let lag = take(&mut rest)?.checked_sub(1).map(Duration::from_nanos);
        chunks.push(ChunkTime { arrival, lag });
    }
    rest.is_empty().then_some(RequestTokens { request, chunks })
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
