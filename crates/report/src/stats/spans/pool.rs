//! The durations of one or several runs together, and what lies at their ranks.

use super::{
    Spans, millis,
    piece::{BLOCK, Piece},
};
use crate::stats::Percentile;
use std::ops::Range;

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
