//! Where in the file the weights lie that a step uses. Pure.
//!
//! First the dense weights, then the experts, layer by layer, all of one size. Which experts a
//! token visits is drawn by their popularity, from a generator that the step's number seeds.

use crate::{profile::Profile, reply::mix};
use std::ops::Range;

/// More tokens than this visit practically every expert that so many more would.
const MOST_DRAWS: u32 = 512;

#[derive(Debug)]
pub(super) struct Layout {
    file_bytes: u64,
    dense_bytes: u64,
    experts: Option<ExpertRegion>,
}

#[derive(Debug)]
struct ExpertRegion {
    layers: u32,
    per_layer: u32,
    per_token: u32,
    /// Sums of the visit chances: `cumulative[i]` covers experts 0 ..= i.
    cumulative: Vec<f64>,
}

impl Layout {
    pub(super) fn new(profile: &Profile, file_bytes: u64) -> Self {
        let Some(experts) = &profile.experts else {
            return Self {
                file_bytes,
                dense_bytes: file_bytes,
                experts: None,
            };
        };
        let share = profile.dense_bytes / profile.weight_bytes() as f64;
        let mut sum = 0.0;
        let cumulative = experts
            .visit_chances()
            .into_iter()
            .map(|chance| {
                sum += chance;
                sum
            })
            .collect();
        Self {
            file_bytes,
            dense_bytes: (file_bytes as f64 * share) as u64,
            experts: Some(ExpertRegion {
                layers: profile.layers,
                per_layer: experts.per_layer,
                per_token: experts.per_token,
                cumulative,
            }),
        }
    }

    /// What step number `step` reads when it computes `new_tokens`: ranges in order, none touching
    /// the next.
    pub(super) fn ranges(&self, step: u64, new_tokens: u32) -> Vec<Range<u64>> {
        let dense = 0..self.dense_bytes;
        let Some(experts) = &self.experts else {
            return vec![dense];
        };
        let mut ranges = vec![dense];
        let visited = experts.visited(step, new_tokens.min(MOST_DRAWS));
        for (slot, _) in visited.iter().enumerate().filter(|(_, visited)| **visited) {
            let range = self.slot(slot as u64, visited.len() as u64);
            match ranges.last_mut() {
                Some(last) if last.end >= range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        ranges
    }

    fn slot(&self, slot: u64, slots: u64) -> Range<u64> {
        let bytes = u128::from(self.file_bytes - self.dense_bytes);
        let edge = |slot: u64| {
            let offset = bytes * u128::from(slot) / u128::from(slots);
            // At most file_bytes, which is a u64.
            self.dense_bytes + offset as u64
        };
        edge(slot)..edge(slot + 1)
    }
}

impl ExpertRegion {
    /// For each expert of each layer whether any of `tokens` tokens visits it. A token's experts
    /// are one systematic sample: points one apart on the line of cumulated chances, so that they
    /// differ and each is met exactly as often as its chance says.
    fn visited(&self, step: u64, tokens: u32) -> Vec<bool> {
        let mut visited = vec![false; (self.layers * self.per_layer) as usize];
        for layer in 0..self.layers {
            let first = (layer * self.per_layer) as usize;
            for token in 0..tokens {
                let seed = mix(step ^ mix(u64::from(layer) << 32 | u64::from(token)));
                let start = (seed >> 11) as f64 / (1u64 << 53) as f64;
                for nth in 0..self.per_token {
                    let point = start + f64::from(nth);
                    let expert = self.cumulative.partition_point(|sum| *sum <= point);
                    // Rounding may leave the last sum just below per_token.
                    visited[first + expert.min(self.per_layer as usize - 1)] = true;
                }
            }
        }
        visited
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Model, expected_visits};
    use proptest::prelude::*;

    #[test]
    fn a_dense_model_reads_everything() {
        let layout = Layout::new(&Model::Llama31_8b.profile(), 1000);
        assert_eq!(
            layout.ranges(1, 1),
            vec![Range {
                start: 0,
                end: 1000
            }]
        );
    }

    #[test]
    fn a_token_visits_four_experts_a_layer() {
        let layout = Layout::new(&Model::GptOss120b.profile(), 1 << 40);
        let experts = layout.experts.as_ref().unwrap();
        for step in 0..50 {
            let visited = experts.visited(step, 1);
            for layer in visited.chunks(128) {
                assert_eq!(layer.iter().filter(|v| **v).count(), 4, "step {step}");
            }
        }
        assert_ne!(layout.ranges(1, 1), layout.ranges(2, 1));
        assert_eq!(layout.ranges(1, 1), layout.ranges(1, 1));
    }

    #[test]
    fn a_batch_reads_as_much_as_the_roofline_says() {
        let profile = Model::GptOss120b.profile();
        let experts = profile.experts.as_ref().unwrap();
        let layout = Layout::new(&profile, profile.weight_bytes());
        for tokens in [1, 8, 32] {
            let read: u64 = (0..20)
                .flat_map(|step| layout.ranges(step, tokens))
                .map(|range| range.end - range.start)
                .sum();
            let read = read as f64 / 20.0;
            let wanted = profile.dense_bytes
                + expected_visits(&experts.visit_chances(), f64::from(tokens))
                    * experts.bytes
                    * 36.0;
            assert!(
                (read / wanted - 1.0).abs() < 0.05,
                "{tokens}: {}",
                read / wanted
            );
        }
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_inside_the_file(
            bytes in (1u64 << 20)..1 << 42, step in any::<u64>(), tokens in 1..600u32,
        ) {
            let ranges = Layout::new(&Model::GptOss120b.profile(), bytes).ranges(step, tokens);
            prop_assert!(ranges.iter().all(|r| r.start < r.end && r.end <= bytes));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
