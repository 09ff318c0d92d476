//! A sorted part, packed.

use bitpacking::{BitPacker, BitPacker4x};
use std::ops::Range;

/// How many durations are packed, and unpacked, together.
pub(super) const BLOCK: usize = BitPacker4x::BLOCK_LEN;

/// Durations in ascending order, no two of them further apart than 32 bits say.
///
/// They lie in blocks, as the differences of neighbours, each of as many bits as the greatest
/// difference of its block needs (Lemire and Boytsov, "Decoding billions of integers per second
/// through vectorization", Software: Practice and Experience 45 (2015)).
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) len: usize,
    least: u64,
    pub(super) last: u64,
    blocks: Vec<Block>,
    packed: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// Its first duration, above the piece's least.
    first: u32,
    /// Where its differences begin.
    start: u32,
    bits: u8,
}

impl Piece {
    /// Of durations that ascend, given as what they exceed `least` by; there is one at least.
    pub(super) fn of_ascending(least: u64, above: &[u32], buffer: &mut Vec<u8>) -> Self {
        let packer = BitPacker4x::new();
        buffer.clear();
        let mut blocks = Vec::with_capacity(above.len().div_ceil(BLOCK));
        let mut padded = [0; BLOCK];
        for durations in above.chunks(BLOCK) {
            let (first, last) = (durations[0], durations[durations.len() - 1]);
            let whole = if durations.len() == BLOCK {
                durations
            } else {
                // Equal neighbours have no difference, and take no more bits.
                padded[..durations.len()].copy_from_slice(durations);
                padded[durations.len()..].fill(last);
                &padded
            };
            let bits = packer.num_bits_sorted(first, whole);
            let start = buffer.len();
            buffer.resize(start + BitPacker4x::compressed_block_size(bits), 0);
            packer.compress_sorted(first, whole, &mut buffer[start..], bits);
            blocks.push(Block {
                first,
                // A piece is made of a megabyte of numbers at most.
                start: start as u32,
                bits,
            });
        }
        Self {
            len: above.len(),
            least,
            last: above.last().map_or(least, |last| least + u64::from(*last)),
            blocks,
            packed: buffer.as_slice().into(),
        }
    }

    /// The duration with this index.
    pub(super) fn at(&self, index: usize) -> u64 {
        let block = self.unpack(self.blocks[index / BLOCK]);
        self.least + u64::from(block[index % BLOCK])
    }

    /// Visits the durations with these indices.
    pub(super) fn each(&self, range: &Range<usize>, mut visit: impl FnMut(u64)) {
        let begun = range.start / BLOCK;
        let blocks = self.blocks[begun..range.end.div_ceil(BLOCK)].iter();
        for (number, &block) in (begun..).zip(blocks) {
            let start = range.start.saturating_sub(number * BLOCK);
            let end = (range.end - number * BLOCK).min(BLOCK);
            for above in &self.unpack(block)[start..end] {
                visit(self.least + u64::from(*above));
            }
        }
    }

    /// How many durations are this long or shorter: those before the range are, and those after it
    /// are not.
    pub(super) fn count_up_to(&self, ns: u64, range: &Range<usize>) -> usize {
        let Some(above) = ns.checked_sub(self.least) else {
            return 0;
        };
        let Ok(above) = u32::try_from(above) else {
            return range.end;
        };
        let first = range.start / BLOCK;
        let blocks = &self.blocks[first..range.end.div_ceil(BLOCK).max(first)];
        let begun = first + blocks.partition_point(|block| block.first <= above);
        let Some(number) = begun.checked_sub(1) else {
            return 0;
        };
        let before = number * BLOCK;
        let count = BLOCK.min(self.len - before);
        let durations = self.unpack(self.blocks[number]);
        before + durations[..count].partition_point(|duration| *duration <= above)
    }

    /// The bytes that it takes beside its own.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.packed.len() + size_of_val(&self.blocks[..])
    }

    fn unpack(&self, block: Block) -> [u32; BLOCK] {
        let mut durations = [0; BLOCK];
        let packed = &self.packed[block.start as usize..];
        BitPacker4x::new().decompress_sorted(block.first, packed, &mut durations, block.bits);
        durations
    }
}
