//! The last values of a figure as a row of bars.

use std::{collections::VecDeque, fmt};

/// Bars from an eighth to a whole line's height; what is absent leaves a gap.
pub(crate) struct Sparkline {
    values: VecDeque<Option<f64>>,
    width: usize,
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Sparkline {
    /// Room for so many values.
    pub(crate) fn new(width: usize) -> Self {
        Self {
            values: VecDeque::with_capacity(width),
            width,
        }
    }

    /// Adds a value at the right.
    pub(crate) fn push(&mut self, value: Option<f64>) {
        if self.values.len() == self.width {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }
}

/// From nothing to the greatest value that is shown: a small wiggle is not blown up.
impl fmt::Display for Sparkline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.values.iter().flatten().copied().fold(0.0, f64::max);
        for _ in self.values.len()..self.width {
            f.write_str(" ")?;
        }
        for value in &self.values {
            let bar = value.map_or(' ', |value| {
                let share = if top > 0.0 { value / top } else { 0.0 };
                let step = (share * BARS.len() as f64) as usize;
                BARS[step.min(BARS.len() - 1)]
            });
            write!(f, "{bar}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_at_the_right_and_gaps_stay_gaps() {
        let mut line = Sparkline::new(6);
        for value in [Some(0.0), None, Some(4.0), Some(8.0)] {
            line.push(value);
        }
        assert_eq!(line.to_string(), "  ▁ ▅█");
        for _ in 0..6 {
            line.push(Some(0.0));
        }
        assert_eq!(line.to_string(), "▁▁▁▁▁▁");
    }
}
