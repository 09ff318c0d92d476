//! A KV block as it lies on disk. Pure.
//!
//! ```text
//! header (4096 bytes): magic and version · payload length · hash · payload CRC · header CRC
//! payload, padded to 4096: the keys and values
//! ```
//!
//! The engine computes no keys and values, so the payload is made up from the block's hash; its
//! size, its checksum and the traffic are real.

use crate::{
    sched::BlockHash,
    storage::memory::{ALIGNMENT, align_up},
};

const MAGIC: [u8; 8] = *b"spillkv1";
const HEADER: usize = ALIGNMENT;
/// Bytes of the header that the header's own CRC covers.
const CHECKED: usize = 32;

/// Bytes of a frame that holds `payload` bytes.
pub(crate) fn frame_len(payload: usize) -> usize {
    HEADER + align_up(payload)
}

/// Why a frame holds no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The header is not whole.
    #[error("there is no block")]
    NoBlock,
    /// The payload is not what was written.
    #[error("the payload's checksum does not hold")]
    Checksum,
}

/// Makes the block `hash` with `payload` bytes in `frame`.
pub(crate) fn encode(hash: BlockHash, payload: usize, frame: &mut [u8]) {
    let (header, body) = frame.split_at_mut(HEADER);
    let body = &mut body[..payload];
    fill(hash, body);
    header[0..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&(payload as u64).to_le_bytes());
    header[16..24].copy_from_slice(&hash.0.to_le_bytes());
    header[24..28].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    header[28..32].fill(0);
    let crc = crc32fast::hash(&header[..CHECKED]);
    header[CHECKED..CHECKED + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The hash and payload length of the block whose header this is, if the header is whole.
pub(crate) fn read_header(header: &[u8]) -> Option<(BlockHash, usize)> {
    let checked = header.get(..CHECKED)?;
    let crc = u32_at(header, CHECKED)?;
    if checked[..8] != MAGIC || crc32fast::hash(checked) != crc {
        return None;
    }
    let payload = usize::try_from(u64_at(header, 8)?).ok()?;
    Some((BlockHash(u64_at(header, 16)?), payload))
}

/// The block that `frame` holds, if it is whole.
pub(crate) fn verify(frame: &[u8]) -> Result<BlockHash, FrameError> {
    let (hash, payload) = read_header(frame).ok_or(FrameError::NoBlock)?;
    let body = frame.get(HEADER..HEADER.saturating_add(payload));
    let body = body.ok_or(FrameError::NoBlock)?;
    match u32_at(frame, 24) {
        Some(crc) if crc == crc32fast::hash(body) => Ok(hash),
        _ => Err(FrameError::Checksum),
    }
}

/// Bytes that differ from block to block and within each.
fn fill(hash: BlockHash, body: &mut [u8]) {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = body.as_chunks_mut::<8>();
    for (index, word) in words.iter_mut().enumerate() {
        let value = hash.0 ^ (index as u64 + 1).wrapping_mul(GOLDEN);
        *word = value.to_le_bytes();
    }
    rest.fill(0);
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(hash: u64, payload: usize) -> Vec<u8> {
        let mut frame = vec![0; frame_len(payload)];
        encode(BlockHash(hash), payload, &mut frame);
        frame
    }

    #[test]
    fn a_frame_is_a_multiple_of_the_alignment() {
        assert_eq!(frame_len(1), 8192);
        assert_eq!(frame_len(4096), 8192);
        assert_eq!(frame_len(2 << 20), (2 << 20) + 4096);
    }

    #[test]
    fn a_block_is_told_from_none() {
        let frame = frame(1, 5000);
        assert_eq!(verify(&frame), Ok(BlockHash(1)));
        assert_eq!(verify(&[0; 8192]), Err(FrameError::NoBlock));
        assert_eq!(verify(&frame[..4096]), Err(FrameError::NoBlock));
        assert_eq!(verify(&[]), Err(FrameError::NoBlock));
        assert_eq!(read_header(&frame), Some((BlockHash(1), 5000)));
    }

    proptest! {
        #[test]
        fn no_flipped_bit_is_served(hash in any::<u64>(), payload in 1..9000usize, at in any::<usize>(), bit in 0..8u8) {
            let mut frame = frame(hash, payload);
            let covered = at % (CHECKED + 4 + payload);
            let at = if covered < CHECKED + 4 { covered } else { HEADER + covered - CHECKED - 4 };
            frame[at] ^= 1 << bit;
            prop_assert!(verify(&frame).is_err());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let _ = verify(&bytes);
        }
    }
}
