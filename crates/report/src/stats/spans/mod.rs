//! Many durations in ascending order, exact to the nanosecond, in little memory.

mod piece;
mod pool;
mod radix;

pub use pool::Pool;

use piece::Piece;

/// How many durations are sorted at once: they and as many again fit into a core's second cache.
const PIECE: usize = 1 << 16;

/// Durations in nanoseconds.
///
/// They are kept as the differences of neighbours in ascending order: of many durations that lie
/// close together each takes a byte or two. Nothing is rounded, so a percentile of ten million
/// requests is as exact as one of ten.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    pieces: Vec<Piece>,
    len: usize,
    sum_ns: u128,
}

/// Takes durations in any order.
#[derive(Debug, Default)]
pub struct SpansBuilder {
    spans: Spans,
    pending: Vec<u64>,
    /// What is pending, above the least of it.
    above: Vec<u32>,
    scratch: Vec<u32>,
    packed: Vec<u8>,
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
        if let Ok(range) = u32::try_from(most - least) {
            self.above.clear();
            let above = self.pending.iter().map(|ns| (ns - least) as u32);
            self.above.extend(above);
            radix::sort(&mut self.above, &mut self.scratch, range);
            let piece = Piece::of_ascending(least, &self.above, &mut self.packed);
            self.spans.pieces.push(piece);
        } else {
            self.pending.sort_unstable();
            self.split();
        }
        self.pending.clear();
    }

    /// What is pending, ascending, as pieces that each reach no further than one can.
    fn split(&mut self) {
        let mut rest = &self.pending[..];
        while let Some(&least) = rest.first() {
            let reached = rest.partition_point(|ns| ns - least <= u64::from(u32::MAX));
            let (near, beyond) = rest.split_at(reached);
            self.above.clear();
            self.above.extend(near.iter().map(|ns| (ns - least) as u32));
            let piece = Piece::of_ascending(least, &self.above, &mut self.packed);
            self.spans.pieces.push(piece);
            rest = beyond;
        }
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

/// Nanoseconds as milliseconds.
pub fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
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
        let bytes: usize = spans.pieces.iter().map(Piece::bytes).sum();
        assert!(bytes < n as usize, "{bytes} bytes");
    }
}
