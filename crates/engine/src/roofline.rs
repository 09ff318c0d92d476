//! How long a step of the model takes: whichever is longer of moving its bytes and doing its
//! arithmetic, plus a fixed cost. Pure.
//!
//! A step reads the dense weights once, each expert that any of its tokens visits once, and the
//! keys and values that each sequence attends to. How many experts a batch visits follows from
//! their popularity: expert *i* is missed by *n* tokens with probability (1 − pᵢ)ⁿ.

use crate::profile::{Experts, Machine, Profile, expected_visits};
use std::time::Duration;

/// What one sequence does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepWork {
    /// Tokens computed: one when decoding, a chunk of the prompt when prefilling.
    pub new_tokens: u32,
    /// Tokens in the context once these are done.
    pub context_tokens: u32,
}

/// The step time of a model on a machine.
#[derive(Clone, Debug)]
pub struct Roofline {
    machine: Machine,
    profile: Profile,
    speed: f64,
    /// The chance that a token visits each expert.
    visit_chances: Vec<f64>,
}

impl Roofline {
    /// `speed` scales everything: 2 is a machine twice as fast in all respects.
    pub fn new(machine: Machine, profile: Profile, speed: f64) -> Self {
        let visit_chances = profile
            .experts
            .as_ref()
            .map_or_else(Vec::new, Experts::visit_chances);
        Self {
            machine,
            profile,
            speed,
            visit_chances,
        }
    }

    /// How long a step with this work takes.
    pub fn step_time(&self, work: impl IntoIterator<Item = StepWork>) -> Duration {
        let mut new_tokens = 0.0;
        let mut kv_bytes = 0.0;
        let mut attention_flops = 0.0;
        for item in work {
            let seen = self.layer_tokens(item.context_tokens);
            let new = f64::from(item.new_tokens);
            new_tokens += new;
            kv_bytes += seen * f64::from(self.profile.kv_bytes_per_layer);
            // Scores and their weighted sum: two multiply-adds per query element and token seen.
            attention_flops += 4.0 * f64::from(self.profile.attention_width.0) * seen * new;
        }
        if new_tokens == 0.0 {
            return Duration::ZERO;
        }
        let bytes = self.profile.dense_bytes + self.expert_bytes(new_tokens) + kv_bytes;
        let flops = 2.0 * self.profile.active_parameters * new_tokens + attention_flops;
        let moving = bytes / (self.machine.bytes_per_s * self.machine.bandwidth_efficiency);
        let computing = flops / (self.machine.flops_per_s * self.profile.flops_efficiency);
        let span = moving.max(computing) + self.machine.step_overhead.as_secs_f64();
        Duration::from_secs_f64(span / self.speed)
    }

    /// Tokens attended to, summed over the layers.
    fn layer_tokens(&self, context_tokens: u32) -> f64 {
        let windowed = self.profile.windowed_layers;
        let full = self.profile.layers - windowed;
        f64::from(full) * f64::from(context_tokens)
            + f64::from(windowed) * f64::from(context_tokens.min(self.profile.window_tokens))
    }

    fn expert_bytes(&self, new_tokens: f64) -> f64 {
        let Some(experts) = &self.profile.experts else {
            return 0.0;
        };
        let visited = expected_visits(&self.visit_chances, new_tokens);
        visited * experts.bytes * f64::from(self.profile.layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Model;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    /// kubis.ai, gpt-oss-120b on one DGX Spark, 1,024 tokens in and 128 out: users, tokens/s.
    const PUBLISHED_SWEEP: [(u32, f64); 6] = [
        (1, 57.5),
        (2, 78.0),
        (4, 108.0),
        (8, 153.0),
        (16, 218.0),
        (32, 319.0),
    ];

    fn decode_rate(model: Model, users: u32, context_tokens: u32) -> f64 {
        let roofline = Roofline::new(Machine::GB10, model.profile(), 1.0);
        let work = StepWork {
            new_tokens: 1,
            context_tokens,
        };
        let step = roofline.step_time((0..users).map(|_| work));
        f64::from(users) / step.as_secs_f64()
    }

    fn prefill_rate(model: Model) -> f64 {
        let roofline = Roofline::new(Machine::GB10, model.profile(), 1.0);
        let work = StepWork {
            new_tokens: 2048,
            context_tokens: 2048,
        };
        2048.0 / roofline.step_time([work]).as_secs_f64()
    }

    #[test]
    fn the_published_sweep_is_met_within_a_fifth() {
        for (users, published) in PUBLISHED_SWEEP {
            let ratio = decode_rate(Model::GptOss120b, users, 1024 + 64) / published;
            assert!((0.8..1.2).contains(&ratio), "{users} users: {ratio}");
        }
    }

    #[test]
    fn published_single_stream_rates_are_met_within_a_fifth() {
        let close = |ratio: f64| (0.8..1.2).contains(&ratio);
        assert!(close(decode_rate(Model::Llama31_8b, 1, 2048) / 38.65));
        assert!(close(prefill_rate(Model::Llama31_8b) / 10_257.0));
        assert!(close(prefill_rate(Model::GptOss120b) / 1_725.0));
    }

    /// The table in docs/roofline.md; regenerate it with `SPILLPOINT_BLESS=1`.
    #[test]
    fn the_documented_table_is_what_the_model_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/roofline.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (head, rest) = document.split_once("<!-- table -->\n").unwrap();
        let (_, tail) = rest.split_once("<!-- /table -->").unwrap();
        let wanted = format!("{head}<!-- table -->\n{}<!-- /table -->{tail}", table());
        if std::env::var_os("SPILLPOINT_BLESS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
    }

    fn table() -> String {
        let mut table = String::from(
            "| model | users | published tok/s | modelled tok/s | error |\n|---|---|---|---|---|\n",
        );
        let mut row = |model: &str, users: &str, published: f64, modelled: f64| {
            let error = (modelled / published - 1.0) * 100.0;
            writeln!(
                table,
                "| {model} | {users} | {published} | {modelled:.1} | {error:+.1} % |"
            )
            .unwrap();
        };
        for (users, published) in PUBLISHED_SWEEP {
            let modelled = decode_rate(Model::GptOss120b, users, 1024 + 64);
            row("gpt-oss-120b", &users.to_string(), published, modelled);
        }
        row(
            "gpt-oss-120b",
            "prefill",
            1725.0,
            prefill_rate(Model::GptOss120b),
        );
        row(
            "llama-3.1-8b",
            "1",
            38.65,
            decode_rate(Model::Llama31_8b, 1, 2048 + 64),
        );
        row(
            "llama-3.1-8b",
            "prefill",
            10_257.0,
            prefill_rate(Model::Llama31_8b),
        );
        for model in [Model::Llama31_8b, Model::Llama33_70b] {
            for users in [1, 16, 64] {
                let modelled = decode_rate(model, users, 1024 + 64);
                writeln!(table, "| {model} | {users} | – | {modelled:.1} | |").unwrap();
            }
        }
        table
    }

    proptest! {
        #[test]
        fn more_work_never_takes_less_time(
            users in 1..64u32, new in 1..512u32, context in 512..100_000u32, more in 1..64u32,
        ) {
            let roofline = Roofline::new(Machine::GB10, Model::GptOss120b.profile(), 1.0);
            let time = |users: u32, new_tokens, context_tokens| roofline
                .step_time((0..users).map(|_| StepWork { new_tokens, context_tokens }));
            let base = time(users, new, context);
            prop_assert!(time(users + more, new, context) >= base);
            prop_assert!(time(users, new + more, context) >= base);
            prop_assert!(time(users, new, context + more) >= base);
        }

        #[test]
        fn speed_divides_the_time(speed in 0.1..100.0f64) {
            let work = [StepWork { new_tokens: 1, context_tokens: 100 }];
            let slow = Roofline::new(Machine::GB10, Model::Llama31_8b.profile(), 1.0).step_time(work);
            let fast = Roofline::new(Machine::GB10, Model::Llama31_8b.profile(), speed).step_time(work);
            prop_assert!((slow.as_secs_f64() / fast.as_secs_f64() / speed - 1.0).abs() < 1e-3);
        }
    }
}
