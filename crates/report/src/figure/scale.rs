//! From values to pixels, and the round values that an axis names.

/// How an axis spreads its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spacing {
    Linear,
    Log,
}

/// Labels of ticks above each other that are closer than this look crowded.
const LABEL_PX: f64 = 15.0;

/// An axis: a range of values on a range of pixels, and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    spacing: Spacing,
    from: f64,
    to: f64,
    pixels: [f64; 2],
    pub(super) ticks: Vec<f64>,
}

impl Scale {
    /// From zero to a round value at or above `greatest`, in `most_steps` steps at most.
    pub(super) fn from_zero(greatest: f64, pixels: [f64; 2], most_steps: usize) -> Self {
        let step = round_step(greatest.max(f64::MIN_POSITIVE) / most_steps as f64);
        let steps = (greatest / step - 1e-9).ceil().max(1.0);
        Self {
            spacing: Spacing::Linear,
            from: 0.0,
            to: steps * step,
            pixels,
            ticks: (0..=steps as usize).map(|i| i as f64 * step).collect(),
        }
    }

    /// Exactly this range, its ticks the round values inside it.
    pub(super) fn span(range: [f64; 2], pixels: [f64; 2], ticks_wanted: usize) -> Self {
        let step = round_step((range[1] - range[0]).max(1e-9) / ticks_wanted as f64);
        let first = (range[0] / step).ceil() as i64;
        let last = (range[1] / step + 1e-9).floor() as i64;
        Self {
            spacing: Spacing::Linear,
            from: range[0],
            to: range[1],
            pixels,
            ticks: (first..=last).map(|i| i as f64 * step).collect(),
        }
    }

    /// Logarithmic and vertical, between round values around the given positive ones; ticks at as
    /// many of them as have room for their labels.
    pub(super) fn log(range: [f64; 2], pixels: [f64; 2]) -> Self {
        let around = |value: f64, up: bool| {
            let decade = 10f64.powf(value.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
            let found = if up {
                steps.into_iter().find(|step| *step >= value * 0.999_999)
            } else {
                steps.into_iter().rfind(|step| *step <= value * 1.000_001)
            };
            found.unwrap_or(value)
        };
        let (from, to) = (around(range[0], false), around(range[1], true));
        let decade_px = (pixels[1] - pixels[0]).abs() / (to / from).log10();
        let factors: &[f64] = if decade_px * 2f64.log10() >= LABEL_PX {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = (LABEL_PX / decade_px).ceil().max(1.0) as usize;
        let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
        let decades = decades.step_by(every);
        let ticks = decades
            .flat_map(|exponent| factors.iter().map(move |f| f * 10f64.powi(exponent)))
            .filter(|tick| (from * 0.999..=to * 1.001).contains(tick))
            .collect();
        Self {
            spacing: Spacing::Log,
            from,
            to,
            pixels,
            ticks,
        }
    }

    /// Logarithmic, from the first to the last of these positive values, all of them ticks.
    pub(super) fn log_through(values: Vec<f64>, pixels: [f64; 2]) -> Self {
        let ends = [values.first(), values.last()].map(|end| end.copied().unwrap_or(1.0));
        Self {
            spacing: Spacing::Log,
            from: ends[0],
            to: ends[1],
            pixels,
            ticks: values,
        }
    }

    /// Where a value lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = match self.spacing {
            Spacing::Linear => (value - self.from) / (self.to - self.from),
            Spacing::Log => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        self.pixels[0] + share * (self.pixels[1] - self.pixels[0])
    }

    /// The greatest value on the axis.
    pub(super) fn end(&self) -> f64 {
        self.to
    }

    /// Whether equal steps mean equal factors.
    pub(super) fn is_log(&self) -> bool {
        self.spacing == Spacing::Log
    }
}

/// The least of 1, 2, 5 × 10ᵏ that is at or above `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * decade)
        .into_iter()
        .find(|round| *round >= step * 0.999_999)
        .unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_from_zero_ends_on_a_round_value() {
        let ticks = |greatest| Scale::from_zero(greatest, [0.0, 100.0], 5).ticks;
        assert_eq!(ticks(9.3), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(100.0).last(), Some(&100.0));
        assert_eq!(ticks(0.0).len(), 2);
    }

    #[test]
    fn a_log_axis_has_ticks_within() {
        let scale = Scale::log([130.0, 8200.0], [200.0, 0.0]);
        assert_eq!(
            scale.ticks,
            [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0]
        );
        assert_eq!((scale.at(100.0), scale.at(10_000.0)), (200.0, 0.0));
        assert!((scale.at(1000.0) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_log_axis_has_no_more_ticks_than_there_is_room_for() {
        let ticks = |height| Scale::log([1.1, 900.0], [height, 0.0]).ticks;
        assert_eq!(ticks(160.0).len(), 10);
        assert_eq!(ticks(100.0), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(30.0), [1.0, 100.0]);
    }

    #[test]
    fn a_span_names_the_round_values_inside_it() {
        let scale = Scale::span([3.0, 61.0], [0.0, 58.0], 6);
        assert_eq!(scale.ticks, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(scale.at(10.0), 7.0);
    }
}
