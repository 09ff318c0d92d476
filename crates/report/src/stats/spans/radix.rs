//! Sorting whole numbers by their digits.

use std::ops::Range;

/// How many bits a digit has at most. The places that are written to while numbers are sorted by one
/// are counted within a core's first cache.
const MOST_BITS: u32 = 11;

/// Sorts numbers up to `most` by their digits, the least first (Knuth, "The Art of Computer
/// Programming", vol. 3, section 5.2.5).
pub(super) fn sort(values: &mut Vec<u32>, scratch: &mut Vec<u32>, most: u32) {
    const FEW: usize = 2048;
    if values.len() < FEW {
        values.sort_unstable();
        return;
    }
    scratch.resize(values.len(), 0);
    let bits = u32::BITS - most.leading_zeros();
    // Digits of equal length: the fewer places a pass writes to, the more of them stay cached.
    let passes = bits.div_ceil(MOST_BITS);
    for pass in 0..passes {
        let digit = bits * pass / passes..bits * (pass + 1) / passes;
        distribute(values, scratch, digit);
        std::mem::swap(values, scratch);
    }
}

/// Moves each number to where its digit, of these bits, wants it: behind those of the same digit
/// before it.
fn distribute(from: &[u32], to: &mut [u32], bits: Range<u32>) {
    let mask = (1 << (bits.end - bits.start)) - 1;
    let digit = |value: u32| (value >> bits.start & mask) as usize % (1 << MOST_BITS);
    let mut places = [0u32; 1 << MOST_BITS];
    for &value in from {
        places[digit(value)] += 1;
    }
    let mut place = 0;
    for count in &mut places {
        place += std::mem::replace(count, place);
    }
    for &value in from {
        let place = &mut places[digit(value)];
        to[*place as usize] = value;
        *place += 1;
    }
}
