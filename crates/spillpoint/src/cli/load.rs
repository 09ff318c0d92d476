//! What `load` takes.

use super::{LoraDialect, LoraPolicy, Rate, Reuse, Spacing, Workload};
use ::load::BaseUrl;
use plan::{Span, Users};
use std::{num::NonZeroU32, path::PathBuf};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "An open loop, in place of users")]
pub(crate) struct Arrivals {
    /// Requests a second: one rate, or steps of SPAN:RATE (30s:2,30s:4).
    #[arg(long, value_name = "RATE", conflicts_with_all = ["users", "think", "trace"])]
    pub(crate) rate: Option<Rate>,
    /// How requests are spaced: constant, poisson, or gamma:BURSTINESS (1 is Poisson, less is
    /// burstier).
    #[arg(long, value_name = "HOW", default_value = "poisson", requires = "rate")]
    pub(crate) spacing: Spacing,
    /// A trace to replay: Mooncake JSONL, BurstGPT or Azure CSV.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "think"])]
    pub(crate) trace: Option<PathBuf>,
    /// Replays the trace so many times as fast.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "trace")]
    pub(crate) trace_speed: f64,
    /// The most requests in flight; what comes beyond waits, and its wait is told as queue.
    #[arg(long, value_name = "N")]
    pub(crate) max_in_flight: Option<NonZeroU32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// The server.
    #[arg(long, value_name = "URL")]
    pub(crate) url: BaseUrl,
    /// The model to ask for [default: the first that the server names].
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// A file that holds the key that the server wants, in place of the variable OPENAI_API_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Concurrent users, each waiting for its answer before it asks again.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) users: Users,
    #[command(flatten)]
    pub(crate) arrivals: Arrivals,
    /// The measured interval.
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    pub(crate) duration: Span,
    /// Users join evenly over this time, before the measured interval.
    #[arg(long, value_name = "SPAN", default_value = "500ms")]
    pub(crate) ramp: Span,
    /// The time between the ramp and the measured interval.
    #[arg(long, value_name = "SPAN", default_value = "1500ms")]
    pub(crate) warmup: Span,
    /// A user's pause between two requests.
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub(crate) think: Span,
    /// How long the measured requests may take to end after the interval.
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    pub(crate) drain_limit: Span,
    /// A request's deadline, from sending it to its last token.
    #[arg(long, value_name = "SPAN", default_value = "120s")]
    pub(crate) request_timeout: Span,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// Prompts that begin alike: unique, shared:TOKENS, or groups:COUNT:TOKENS.
    #[arg(long, value_name = "HOW", default_value = "unique")]
    pub(crate) reuse: Reuse,
    /// Requests of a conversation, each repeating what was said before it.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) turns: NonZeroU32,
    /// The model's tokenizer.json: prompts are then exactly as long as wanted [default: the
    /// server's own tokenizer, where it has one].
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Certificates (PEM) to trust beside the system's, for https.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Prompts from a folder of *.txt, one .txt, or a .jsonl file.
    #[arg(long, value_name = "PATH")]
    pub(crate) prompts: Option<PathBuf>,
    /// A list of LoRA adapters, a line each: NAME, or NAME = PATH.
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: Option<PathBuf>,
    /// How the server is asked for an adapter.
    #[arg(long, value_enum, default_value = "model", requires = "adapters")]
    pub(crate) lora_dialect: LoraDialect,
    /// Who takes which adapter when: round-robin, uniform, zipf:ALPHA, sticky or storm.
    #[arg(
        long,
        value_name = "HOW",
        default_value = "storm",
        requires = "adapters"
    )]
    pub(crate) lora_policy: LoraPolicy,
    /// Print the summary as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
