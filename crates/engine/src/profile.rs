//! Machines and models as numbers: what the roofline needs to know of them.
//!
//! Every figure is either published or follows from the model's published shape; the source
//! stands beside it, and `docs/roofline.md` shows what comes out against what was measured.

use std::{fmt, str::FromStr, time::Duration};

/// A machine's limits, as data sheets give them.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// What it is called.
    pub name: &'static str,
    /// Peak memory bandwidth.
    pub bytes_per_s: f64,
    /// The share of it that decoding reaches.
    pub bandwidth_efficiency: f64,
    /// Peak dense arithmetic at four bits.
    pub flops_per_s: f64,
    /// What a step costs however little it does: launches, sampling, the host's part.
    pub step_overhead: Duration,
}

impl Machine {
    /// NVIDIA GB10: LPDDR5X at 273 GB/s; 1 PFLOP sparse FP4 (data sheet), so 500 TFLOP dense.
    /// The efficiency and the overhead are fitted to the gpt-oss-120b sweep (`docs/roofline.md`).
    pub const GB10: Machine = Machine {
        name: "NVIDIA GB10",
        bytes_per_s: 273e9,
        bandwidth_efficiency: 0.75,
        flops_per_s: 500e12,
        step_overhead: Duration::from_millis(1),
    };
}

/// Experts of a mixture-of-experts model.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// In each layer.
    pub per_layer: u32,
    /// That a token visits in each layer.
    pub per_token: u32,
    /// Weights of one expert.
    pub bytes: f64,
    /// Experts are not equally popular: the exponent of a Zipf law. 0 is uniform. Fitted to how
    /// the published throughput grows with the batch.
    pub popularity_exponent: f64,
}

impl Experts {
    /// The chance that a token visits each expert of a layer: Zipf weights, scaled so that the
    /// chances sum to the visits of a token and none is above one.
    pub fn visit_chances(&self) -> Vec<f64> {
        let weights: Vec<f64> = (1..=self.per_layer)
            .map(|rank| f64::from(rank).powf(-self.popularity_exponent))
            .collect();
        let total = |scale: f64| weights.iter().map(|w| (w * scale).min(1.0)).sum::<f64>();
        let wanted = f64::from(self.per_token.min(self.per_layer));
        let (mut low, mut high) = (0.0, 1.0);
        // Past this all chances are one long since: the exponent would have to be absurd.
        while total(high) < wanted && high < 1e12 {
            high *= 2.0;
        }
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if total(middle) < wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        weights.iter().map(|w| (w * high).min(1.0)).collect()
    }
}

/// How many experts of a layer `tokens` tokens visit on average: an expert is missed by all of
/// them with probability (1 − chance)ⁿ.
pub fn expected_visits(chances: &[f64], tokens: f64) -> f64 {
    chances
        .iter()
        .map(|chance| 1.0 - (1.0 - chance).powf(tokens))
        .sum()
}

/// A model's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The id it is served under.
    pub name: &'static str,
    /// Transformer layers.
    pub layers: u32,
    /// Of these, layers whose attention sees only the last `window_tokens`.
    pub windowed_layers: u32,
    /// What a windowed layer sees.
    pub window_tokens: u32,
    /// Keys and values of one token in one layer.
    pub kv_bytes_per_layer: u32,
    /// Weights that every step reads: attention, dense MLP, output head.
    pub dense_bytes: f64,
    /// Experts, if the model has them.
    pub experts: Option<Experts>,
    /// Parameters that take part in one token.
    pub active_parameters: f64,
    /// The share of peak arithmetic that prefill reaches, from published prefill rates.
    pub flops_efficiency: f64,
    /// Hidden size; an adapter's size follows from it.
    pub hidden: u32,
    /// Query width (heads times head size), and likewise for keys and values.
    pub attention_width: (u32, u32),
}

impl Profile {
    /// Keys and values of one token over all layers.
    pub fn kv_bytes_per_token(&self) -> u64 {
        u64::from(self.layers) * u64::from(self.kv_bytes_per_layer)
    }

    /// All weights, as the file on disk holds them (without the embedding's lookup rows).
    pub fn weight_bytes(&self) -> u64 {
        let experts = self.experts.as_ref().map_or(0.0, |e| {
            f64::from(self.layers) * f64::from(e.per_layer) * e.bytes
        });
        (self.dense_bytes + experts) as u64
    }
}

/// The models the engine can stand in for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// gpt-oss-120b, MXFP4 experts.
    GptOss120b,
    /// Llama-3.1-8B, NVFP4.
    #[default]
    Llama31_8b,
    /// Llama-3.3-70B, NVFP4.
    Llama33_70b,
}

impl Model {
    /// Every model, in the order of the help text.
    pub const ALL: [Model; 3] = [Model::GptOss120b, Model::Llama31_8b, Model::Llama33_70b];

    /// Its name on the command line and in the protocol.
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// Its shape.
    pub fn profile(self) -> Profile {
        match self {
            Model::GptOss120b => gpt_oss_120b(),
            Model::Llama31_8b => llama_31_8b(),
            Model::Llama33_70b => llama_33_70b(),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A model name that the engine has no profile for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model profile is called '{0}'; take one of gpt-oss-120b, llama-3.1-8b, llama-3.3-70b")]
pub struct UnknownModel(String);

impl FromStr for Model {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<Self, UnknownModel> {
        Model::ALL
            .into_iter()
            .find(|model| model.name() == name)
            .ok_or_else(|| UnknownModel(name.to_owned()))
    }
}

/// 36 layers, every other one windowed at 128; 128 experts, 4 active; 8 KV heads of 64
/// (openai/gpt-oss, `gpt_oss/torch/model.py`). Experts are MXFP4, 4.25 bits a weight; attention
/// (0.96 G) and output head (0.58 G) are counted at 8.5 bits, as the common GGUF holds them.
/// Prefill: 1,725 tok/s published for one Spark.
fn gpt_oss_120b() -> Profile {
    const EXPERT_PARAMETERS: f64 = 3.0 * 2880.0 * 2880.0;
    Profile {
        name: "gpt-oss-120b",
        layers: 36,
        windowed_layers: 18,
        window_tokens: 128,
        kv_bytes_per_layer: 2 * 8 * 64 * 2,
        dense_bytes: (0.956e9 + 0.579e9) * 8.5 / 8.0,
        experts: Some(Experts {
            per_layer: 128,
            per_token: 4,
            bytes: EXPERT_PARAMETERS * 4.25 / 8.0,
            popularity_exponent: 1.25,
        }),
        active_parameters: 5.1e9,
        flops_efficiency: 0.0352,
        hidden: 2880,
        attention_width: (4096, 512),
    }
}

/// 32 layers, 8 KV heads of 128; NVFP4 weights (4.5 bits), 16-bit output head. NVIDIA publishes
/// 10,257 tok/s prefill and 38.65 tok/s decode for one Spark.
fn llama_31_8b() -> Profile {
    Profile {
        name: "llama-3.1-8b",
        layers: 32,
        windowed_layers: 0,
        window_tokens: u32::MAX,
        kv_bytes_per_layer: 2 * 8 * 128 * 2,
        dense_bytes: 6.98e9 * 4.5 / 8.0 + 0.525e9 * 2.0,
        experts: None,
        active_parameters: 8.03e9,
        flops_efficiency: 0.33,
        hidden: 4096,
        attention_width: (4096, 1024),
    }
}

/// 80 layers, 8 KV heads of 128; NVFP4 weights (4.5 bits), 16-bit output head. The arithmetic
/// efficiency is the 8B's.
fn llama_33_70b() -> Profile {
    Profile {
        name: "llama-3.3-70b",
        layers: 80,
        windowed_layers: 0,
        window_tokens: u32::MAX,
        kv_bytes_per_layer: 2 * 8 * 128 * 2,
        dense_bytes: 68.45e9 * 4.5 / 8.0 + 1.05e9 * 2.0,
        experts: None,
        active_parameters: 70.6e9,
        flops_efficiency: 0.33,
        hidden: 8192,
        attention_width: (8192, 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for model in Model::ALL {
            assert_eq!(model.name().parse(), Ok(model));
        }
        let error = "gpt-2".parse::<Model>().unwrap_err().to_string();
        assert!(
            error.contains("'gpt-2'") && error.contains("llama-3.1-8b"),
            "{error}"
        );
    }

    #[test]
    fn key_value_sizes_are_the_published_ones() {
        assert_eq!(Model::GptOss120b.profile().kv_bytes_per_token(), 73_728);
        assert_eq!(Model::Llama31_8b.profile().kv_bytes_per_token(), 131_072);
        assert_eq!(Model::Llama33_70b.profile().kv_bytes_per_token(), 327_680);
    }

    #[test]
    fn the_large_model_weighs_what_its_files_do() {
        let gib = Model::GptOss120b.profile().weight_bytes() as f64 / f64::from(1 << 30);
        assert!((57.0..62.0).contains(&gib), "{gib}");
    }
}
