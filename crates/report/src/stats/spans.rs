//! Many durations in ascending order, exact to the nanosecond, in little memory.

use super::Percentile;
use std::ops::Range;

/// How many durations are sorted at once: they and as many again fit into a core's second cache.
const PIECE: usize = 1 << 16;

/// How many durations lie between two that are found without decoding.
const BLOCK: usize = 64;

/// Durations in nanoseconds.
///
/// They are kept as the differences of neighbours in ascending order, of seven bits a byte: of
/// many durations that lie close together each takes little more than a byte. Nothing is rounded,
/// so a percentile of ten million requests is as exact as one of ten.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    pieces: Vec<Piece>,
    len: usize,
    sum_ns: u128,
}

/// A sorted part.
#[derive(Clone, Debug)]
struct Piece {
    len: usize,
    /// The first duration of each block, and where its differences begin.
    blocks: Vec<(u64, u32)>,
    differences: Box<[u8]>,
    last: u64,
}

/// Takes durations in any order.
#[derive(Debug, Default)]
pub struct SpansBuilder {
    spans: Spans,
    pending: Vec<u64>,
    scratch: Vec<u64>,
    short: Vec<u32>,
    short_scratch: Vec<u32>,
    encoded: Vec<u8>,
}

impl SpansBuilder {
    /// Takes a duration in nanoseconds.
    pub fn push(&mut self, ns: u64) {
        self.pending.push(ns);
        if self.pending.len() == PIECE {
            self.sort();
        }
    }

    /// All that were taken.
    pub fn finish(mut self) -> Spans {
        if !self.pending.is_empty() {
            self.sort();
        }
        self.spans
    }

    fn sort(&mut self) {
        let (mut least, mut most, mut sum) = (u64::MAX, 0, 0u64);
        for &ns in &self.pending {
            (least, most) = (least.min(ns), most.max(ns));
            sum = sum.wrapping_add(ns);
        }
        self.spans.sum_ns += if most <= u64::MAX / PIECE as u64 {
            u128::from(sum)
        } else {
            self.pending.iter().copied().map(u128::from).sum::<u128>()
        };
        self.spans.len += self.pending.len();
        let piece = if let Ok(range) = u32::try_from(most - least) {
            // Half the memory to move about.
            self.short.clear();
            let above = self.pending.iter().map(|ns| (ns - least) as u32);
            self.short.extend(above);
            sort(&mut self.short, &mut self.short_scratch, range);
            Piece::of_ascending(least, &self.short, &mut self.encoded)
        } else {
            sort(&mut self.pending, &mut self.scratch, most);
            Piece::of_ascending(0, &self.pending, &mut self.encoded)
        };
        self.spans.pieces.push(piece);
        self.pending.clear();
    }
}

impl FromIterator<u64> for Spans {
    fn from_iter<T: IntoIterator<Item = u64>>(durations: T) -> Self {
        let mut builder = SpansBuilder::default();
        durations.into_iter().for_each(|ns| builder.push(ns));
        builder.finish()
    }
}

impl Spans {
    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// These alone, to ask of.
    pub fn pool(&self) -> Pool<'_> {
        Pool::of([self])
    }
}

/// The durations of one or several runs together.
#[derive(Clone, Debug)]
pub struct Pool<'a> {
    pieces: Vec<&'a Piece>,
    len: usize,
    sum_ns: u128,
}

impl<'a> Pool<'a> {
    /// Pools them; nothing is copied.
    pub fn of(parts: impl IntoIterator<Item = &'a Spans>) -> Self {
        let mut pool = Self {
            pieces: Vec::new(),
            len: 0,
            sum_ns: 0,
        };
        for part in parts {
            pool.pieces.extend(&part.pieces);
            pool.len += part.len;
            pool.sum_ns += part.sum_ns;
        }
        pool
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their arithmetic mean, in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.len > 0).then(|| self.sum_ns as f64 / 1e6 / self.len as f64)
    }

    /// The greatest, in milliseconds.
    pub fn max_ms(&self) -> Option<f64> {
        let greatest = self.pieces.iter().map(|piece| piece.last).max();
        greatest.map(millis)
    }

    /// A percentile in milliseconds, where there are enough durations for it; see
    /// [`Percentile::rank`].
    pub fn percentile_ms(&self, percentile: Percentile) -> Option<f64> {
        self.percentile_ns(percentile).map(millis)
    }

    /// The same in nanoseconds.
    pub fn percentile_ns(&self, percentile: Percentile) -> Option<u64> {
        percentile
            .rank(self.len)
            .and_then(|rank| self.at_rank(rank))
    }

    /// The duration of this rank, from 1, in nanoseconds.
    pub fn at_rank(&self, rank: usize) -> Option<u64> {
        if rank == 0 || rank > self.len {
            return None;
        }
        if let [piece] = self.pieces[..] {
            return Some(piece.at(rank - 1));
        }
        // Every piece's duration of a rank in proportion: the least of them has less than `rank`
        // durations below it, the greatest at least `rank` up to it.
        let share = |piece: &Piece| {
            let wanted = (rank as u128 * piece.len as u128).div_ceil(self.len as u128);
            piece.at(wanted as usize - 1)
        };
        let (mut least, mut most) = (u64::MAX, 0);
        for end in self.pieces.iter().map(|piece| share(piece)) {
            (least, most) = (least.min(end), most.max(end));
        }
        Some(Search::new(&self.pieces, least, most).at_rank(rank))
    }
}

/// A search for a duration that lies between two.
struct Search<'a> {
    parts: Vec<Part<'a>>,
    low: u64,
    high: u64,
    /// How many durations are shorter than `low`.
    below: usize,
    /// How many are as long as `high` or shorter.
    up_to: usize,
}

/// What a search has left of a piece.
struct Part<'a> {
    piece: &'a Piece,
    /// By their indices.
    left: Range<usize>,
    /// How many durations of the piece are no longer than what was tried last.
    tried: usize,
}

impl<'a> Search<'a> {
    /// So many durations of each piece are looked at one by one: as many as counting looks at.
    const FEW: usize = BLOCK / 2;

    fn new(pieces: &[&'a Piece], low: u64, high: u64) -> Self {
        let part = |piece: &&'a Piece| {
            let up_to = |ns: u64| piece.count_up_to(ns, &(0..piece.len));
            Part {
                piece,
                left: low.checked_sub(1).map_or(0, up_to)..up_to(high),
                tried: 0,
            }
        };
        let parts: Vec<Part> = pieces.iter().map(part).collect();
        Self {
            below: parts.iter().map(|part| part.left.start).sum(),
            up_to: parts.iter().map(|part| part.left.end).sum(),
            parts,
            low,
            high,
        }
    }

    /// The duration of this rank: by where it would lie if all between were alike, or by halves
    /// where that does not help; and when few are left, by looking at them.
    fn at_rank(mut self, rank: usize) -> u64 {
        let few = Self::FEW * self.parts.len();
        let mut by_half = false;
        while self.low < self.high {
            let left = self.up_to - self.below;
            if left <= few {
                return self.among(rank);
            }
            let span = self.high - self.low;
            let part = if by_half {
                span / 2
            } else {
                // A little beyond the rank, so that it is soon closed in from both sides.
                let (down, up) = (rank - self.below, self.up_to - rank);
                let aim = if down > up {
                    down.saturating_sub(few / 4)
                } else {
                    down + few / 4
                };
                (u128::from(span) * aim as u128 / left as u128) as u64
            };
            self.divide(rank, self.low + part.min(span - 1));
            by_half = !by_half && self.up_to - self.below > left / 2;
        }
        self.low
    }

    /// Goes on with what is no longer than this, or with what is longer.
    fn divide(&mut self, rank: usize, middle: u64) {
        let mut count = self.below;
        for part in &mut self.parts {
            part.tried = part.piece.count_up_to(middle, &part.left);
            count += part.tried - part.left.start;
        }
        if count >= rank {
            (self.high, self.up_to) = (middle, count);
            self.parts.iter_mut().for_each(|it| it.left.end = it.tried);
        } else {
            (self.low, self.below) = (middle + 1, count);
            let parts = self.parts.iter_mut();
            parts.for_each(|it| it.left.start = it.tried);
        }
    }

    /// The duration of this rank among all that are left.
    fn among(&self, rank: usize) -> u64 {
        let mut left = Vec::with_capacity(self.up_to - self.below);
        for part in self.parts.iter().filter(|part| !part.left.is_empty()) {
            part.piece.each(&part.left, |ns| left.push(ns));
        }
        *left.select_nth_unstable(rank - self.below - 1).1
    }
}

/// Nanoseconds as milliseconds.
pub fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Piece {
    /// Of durations that ascend, given as what they exceed the least of all by.
    fn of_ascending<T: Digits>(least: u64, above: &[T], encoded: &mut Vec<u8>) -> Self {
        let mut blocks = Vec::with_capacity(above.len().div_ceil(BLOCK));
        encoded.clear();
        for block in above.chunks(BLOCK) {
            let mut before = block[0].whole();
            // A piece holds 2^16 durations of ten bytes at most.
            blocks.push((least + before, encoded.len() as u32));
            for value in &block[1..] {
                let value = value.whole();
                put(encoded, value - before);
                before = value;
            }
        }
        Self {
            len: above.len(),
            last: above.last().map_or(least, |last| least + last.whole()),
            blocks,
            differences: encoded.as_slice().into(),
        }
    }

    /// The duration with this index.
    fn at(&self, index: usize) -> u64 {
        let (mut value, start) = self.blocks[index / BLOCK];
        let mut rest = &self.differences[start as usize..];
        for _ in 0..index % BLOCK {
            value += next(&mut rest);
        }
        value
    }

    /// The durations with these indices.
    fn each(&self, range: &Range<usize>, mut visit: impl FnMut(u64)) {
        let begun = range.start / BLOCK;
        let blocks = self.blocks[begun..range.end.div_ceil(BLOCK)].iter();
        for (block, &(first, start)) in (begun..).zip(blocks) {
            let mut rest = &self.differences[start as usize..];
            let mut value = first;
            for index in block * BLOCK..range.end.min((block + 1) * BLOCK) {
                if index % BLOCK > 0 {
                    value += next(&mut rest);
                }
                if index >= range.start {
                    visit(value);
                }
            }
        }
    }

    /// How many durations are this long or shorter: those before the range are, and those after it
    /// are not.
    fn count_up_to(&self, ns: u64, range: &Range<usize>) -> usize {
        let first = range.start / BLOCK;
        let blocks = &self.blocks[first..range.end.div_ceil(BLOCK).max(first)];
        let begun = first + blocks.partition_point(|(first, _)| *first <= ns);
        let Some(block) = begun.checked_sub(1) else {
            return 0;
        };
        let (mut value, start) = self.blocks[block];
        let mut rest = &self.differences[start as usize..];
        let before = block * BLOCK;
        let most = BLOCK.min(self.len - before);
        for count in 1..most {
            value += next(&mut rest);
            if value > ns {
                return before + count;
            }
        }
        before + most
    }
}

/// The next difference.
fn next(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, after)) = rest.split_first() {
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    value
}

fn put(encoded: &mut Vec<u8>, mut difference: u64) {
    while difference >= 0x80 {
        encoded.push(difference as u8 | 0x80);
        difference >>= 7;
    }
    encoded.push(difference as u8);
}

/// A whole number, and its digits.
trait Digits: Copy + Ord + Default {
    fn whole(self) -> u64;

    /// The digit that begins at this bit.
    fn digit(self, bit: u32) -> usize {
        (self.whole() >> bit) as usize % DIGITS
    }
}

/// How many bits a digit has. The places that are written to while numbers are sorted by one are
/// counted within a core's first cache, and lie within its second.
const DIGIT: u32 = 11;
const DIGITS: usize = 1 << DIGIT;

impl Digits for u32 {
    fn whole(self) -> u64 {
        self.into()
    }
}

impl Digits for u64 {
    fn whole(self) -> u64 {
        self
    }
}

/// Sorts numbers up to `most` by their digits, the least first (Knuth, "The Art of Computer
/// Programming", vol. 3, section 5.2.5).
fn sort<T: Digits>(values: &mut Vec<T>, scratch: &mut Vec<T>, most: T) {
    const FEW: usize = 2048;
    if values.len() < FEW {
        values.sort_unstable();
        return;
    }
    scratch.resize(values.len(), T::default());
    let bits = u64::BITS - most.whole().leading_zeros();
    for bit in (0..bits).step_by(DIGIT as usize) {
        distribute(values, scratch, bit);
        std::mem::swap(values, scratch);
    }
}

/// Moves each number to where its digit wants it, behind those of the same digit before it.
fn distribute<T: Digits>(from: &[T], to: &mut [T], bit: u32) {
    let mut places = [0u32; DIGITS];
    for value in from {
        places[value.digit(bit)] += 1;
    }
    let mut place = 0;
    for count in &mut places {
        place += std::mem::replace(count, place);
    }
    for &value in from {
        let place = &mut places[value.digit(bit)];
        to[*place as usize] = value;
        *place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranks_are_those_of_the_sorted_whole(
            parts in prop::collection::vec(
                (0..40u32, 0..3000usize).prop_flat_map(|(bits, most)| {
                    prop::collection::vec(0..=u64::MAX >> (24 + bits), 0..=most)
                }),
                1..4,
            ),
        ) {
            let spans: Vec<Spans> = parts.iter().map(|it| it.iter().copied().collect()).collect();
            let pool = Pool::of(&spans);
            let mut all: Vec<u64> = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(pool.len(), all.len());
            let found: Vec<_> = (1..=all.len()).filter_map(|rank| pool.at_rank(rank)).collect();
            prop_assert_eq!(&found, &all);
            prop_assert_eq!(pool.at_rank(0), None);
            prop_assert_eq!(pool.at_rank(all.len() + 1), None);
            prop_assert_eq!(pool.max_ms(), all.last().copied().map(millis));
        }
    }

    #[test]
    fn more_than_a_piece_is_as_exact_and_takes_little() {
        // Every whole number once, in an order of no order.
        let n = 3 * PIECE as u64 + 1;
        let spans: Spans = (0..n).map(|i| i * 48_271 % n).collect();
        let pool = spans.pool();
        assert_eq!(pool.at_rank(1), Some(0));
        assert_eq!(pool.at_rank(n as usize / 2), Some(n / 2 - 1));
        assert_eq!(pool.at_rank(n as usize), Some(n - 1));
        assert_eq!(pool.mean_ms(), Some((n - 1) as f64 / 2e6));
        let bytes: usize = spans.pieces.iter().map(|it| it.differences.len()).sum();
        assert!(bytes < n as usize, "{bytes} bytes");
    }
}
