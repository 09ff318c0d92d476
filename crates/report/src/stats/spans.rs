//! Many durations in ascending order, exact to the nanosecond, in little memory.

use super::Percentile;

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
        let ends = || self.pieces.iter().map(|piece| share(piece));
        self.between(rank, ends().min()?, ends().max()?)
    }

    /// The duration of this rank, which lies between these two: by halves, and by where it would
    /// lie if all between were alike, in turn.
    fn between(&self, rank: usize, mut low: u64, mut high: u64) -> Option<u64> {
        let up_to = |ns: u64| -> usize { self.pieces.iter().map(|it| it.count_up_to(ns)).sum() };
        // How many durations lie up to just below `low`, and up to `high`.
        let (mut below, mut above) = (low.checked_sub(1).map_or(0, up_to), up_to(high));
        let mut by_half = false;
        while low < high {
            let span = u128::from(high - low);
            let part = if by_half || above <= below {
                span / 2
            } else {
                span * (rank - below) as u128 / (above - below) as u128
            };
            by_half = !by_half;
            let middle = low + (part as u64).min(high - low - 1);
            let count = up_to(middle);
            if count >= rank {
                (high, above) = (middle, count);
            } else {
                (low, below) = (middle + 1, count);
            }
        }
        Some(low)
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

    /// How many durations are this long or shorter.
    fn count_up_to(&self, ns: u64) -> usize {
        let begun = self.blocks.partition_point(|(first, _)| *first <= ns);
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

/// A whole number, and its digits of eight bits.
trait Digits: Copy + Ord + Default {
    fn whole(self) -> u64;

    fn digit(self, index: usize) -> usize {
        (self.whole() >> (8 * index)) as usize & 0xff
    }
}

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
/// Programming", vol. 3, section 5.2.5). With digits of eight bits the places that are written to
/// stay in a core's first cache.
fn sort<T: Digits>(values: &mut Vec<T>, scratch: &mut Vec<T>, most: T) {
    const FEW: usize = 512;
    if values.len() < FEW {
        values.sort_unstable();
        return;
    }
    let digits = (u64::BITS - most.whole().leading_zeros()).div_ceil(8) as usize;
    let mut counts = [[0u32; 256]; 8];
    for &value in &*values {
        for (index, counts) in counts.iter_mut().enumerate().take(digits) {
            counts[value.digit(index)] += 1;
        }
    }
    scratch.resize(values.len(), T::default());
    for (index, places) in counts.iter_mut().enumerate().take(digits) {
        let mut place = 0;
        for count in &mut *places {
            place += std::mem::replace(count, place);
        }
        distribute(values, scratch, places, index);
        std::mem::swap(values, scratch);
    }
}

/// Moves each number to its digit's next place.
fn distribute<T: Digits>(from: &[T], to: &mut [T], places: &mut [u32; 256], digit: usize) {
    for &value in from {
        let place = &mut places[value.digit(digit)];
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
