//! The last values of a figure, drawn as bars.

use std::collections::VecDeque;

/// Points that are kept: the widest terminals show no more.
const KEPT: usize = 240;

/// A figure's last values, one a second; what is absent leaves a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    values: VecDeque<Option<f64>>,
}

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Eighths of a row.
const STEPS: usize = 8;

impl Series {
    /// Adds a value at the right.
    pub(crate) fn push(&mut self, value: Option<f64>) {
        if self.values.len() == KEPT {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// The last `width` values as bars of so many rows, the upper row first. From nothing to the
    /// greatest value that is shown: a small wiggle is not blown up.
    pub(crate) fn bars(&self, width: usize, rows: usize) -> Vec<String> {
        let shown: Vec<_> = self.shown(width).collect();
        let top = shown.iter().flatten().copied().fold(0.0, f64::max);
        let row = |row: usize| {
            let below = (rows - 1 - row) * STEPS;
            let bar = |value: &Option<f64>| match value {
                None => ' ',
                Some(value) => BARS[height(*value, top, rows).saturating_sub(below).min(STEPS)],
            };
            let gap = " ".repeat(width - shown.len());
            gap + &shown.iter().map(bar).collect::<String>()
        };
        (0..rows).map(row).collect()
    }

    fn shown(&self, width: usize) -> impl Iterator<Item = Option<f64>> {
        let skipped = self.values.len().saturating_sub(width);
        self.values.iter().copied().skip(skipped)
    }
}

/// A bar's height in eighths of a row. Nothing is drawn as the lowest bar: it was measured.
fn height(value: f64, top: f64, rows: usize) -> usize {
    let share = if top > 0.0 { value / top } else { 0.0 };
    ((share * (rows * STEPS) as f64).round() as usize).max(1)
}

/// A bar for a share of 100 %.
pub(crate) fn bar_of_pct(pct: Option<f64>) -> char {
    pct.map_or('·', |pct| BARS[height(pct, 100.0, 1).min(STEPS)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[Option<f64>]) -> Series {
        let mut series = Series::default();
        for value in values {
            series.push(*value);
        }
        series
    }

    #[test]
    fn bars_stand_at_the_right_and_gaps_stay_gaps() {
        let line = series(&[Some(0.0), None, Some(4.0), Some(8.0)]);
        assert_eq!(line.bars(6, 1), ["  ▁ ▄█"]);
        assert_eq!(line.bars(2, 1), ["▄█"]);
        assert_eq!(line.bars(4, 2), ["   █", "▁ ██"]);
        assert_eq!(series(&[Some(0.0); 3]).bars(3, 1), ["▁▁▁"]);
    }

    #[test]
    fn what_is_kept_does_not_grow() {
        let mut line = series(&[Some(9.0)]);
        for _ in 0..KEPT {
            line.push(Some(1.0));
        }
        assert_eq!(line.values.len(), KEPT);
        assert_eq!(line.bars(KEPT, 1), ["█".repeat(KEPT)]);
    }

    #[test]
    fn a_share_has_a_bar_of_its_own_and_none_has_a_dot() {
        assert_eq!(
            [None, Some(0.0), Some(50.0), Some(100.0)].map(bar_of_pct),
            ['·', '▁', '▄', '█']
        );
    }
}
