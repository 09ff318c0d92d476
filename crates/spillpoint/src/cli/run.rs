//! What `run` takes, and the parts of it that `load` takes too.

use super::{Doctor, ProgressView};
use ::load::BaseUrl;
use clap::ValueEnum;
use plan::{Repeats, Span, Sweep, TokenCount};
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Run {
    /// The experiment: one of `spillpoint plan list`, a plan's file, or all (h1, h2 and h6, after
    /// the doctor).
    #[arg(value_name = "PLAN|FILE.toml|all", required_unless_present = "resume")]
    pub(crate) plan: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on with a session that was cut short, after its last whole run.
    #[arg(long, value_name = "SESSION", conflicts_with_all = [
        "quick", "users", "duration", "repeats", "prompt_tokens", "max_tokens", "seed", "api",
        "results",
    ])]
    pub(crate) resume: Option<PathBuf>,
    /// The plan's quick variant: minutes in place of hours.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Concurrency levels, in place of the plan's.
    #[arg(long, value_name = "N,N,...")]
    pub(crate) users: Option<Sweep>,
    /// The measured interval of each run, in place of the plan's.
    #[arg(long, value_name = "SPAN")]
    pub(crate) duration: Option<Span>,
    /// How often each level is measured, in place of the plan's.
    #[arg(long, value_name = "N")]
    pub(crate) repeats: Option<Repeats>,
    #[command(flatten)]
    pub(crate) workload: Workload,
    /// The folder that sessions are kept in.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results: PathBuf,
    /// How what goes on is shown.
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressView,
}

/// The server under test. None named: the embedded engine is started and used.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The server under test")]
pub(crate) struct Target {
    /// The server's base URL. Without it, the embedded engine is started and used.
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    pub(crate) url: Option<BaseUrl>,
    /// A file that says where the server is, and how to start and stop it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) target: Option<PathBuf>,
    /// The model to ask for [default: the first that the server names].
    #[arg(long, requires = "url")]
    pub(crate) model: Option<String>,
    /// A file that holds the key that the server wants, in place of the variable OPENAI_API_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// A file, or a folder of files, that holds the model; may be given more than once.
    #[arg(long, value_name = "PATH")]
    pub(crate) model_files: Vec<PathBuf>,
    /// A path on the device under test: where the model lies, or the server spills to [default: the
    /// model's files, else the results folder].
    #[arg(long, value_name = "PATH")]
    pub(crate) storage: Option<PathBuf>,
    /// A list of LoRA adapters, a line each: NAME, or NAME = PATH.
    #[arg(long, value_name = "FILE")]
    pub(crate) adapters: Option<PathBuf>,
    /// How the server is asked for an adapter.
    #[arg(long, value_enum, default_value = "model", requires = "adapters")]
    pub(crate) lora_dialect: LoraDialect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LoraDialect {
    /// By the adapter's name as the model's (vLLM, SGLang).
    Model,
    /// By a `lora_request` (trtllm-serve).
    TensorrtLlm,
    /// By the adapter's number and scale (llama.cpp).
    LlamaCpp,
    /// By a task's number (Triton).
    Triton,
}

impl From<LoraDialect> for ::load::LoraDialect {
    fn from(dialect: LoraDialect) -> Self {
        match dialect {
            LoraDialect::Model => load::LoraDialect::Model,
            LoraDialect::TensorrtLlm => load::LoraDialect::TensorRtLlm,
            LoraDialect::LlamaCpp => load::LoraDialect::LlamaCpp,
            LoraDialect::Triton => load::LoraDialect::Triton,
        }
    }
}

impl Run {
    /// What the doctor is asked before it.
    pub(crate) fn doctor(&self) -> Doctor {
        let storage = self.target.storage.clone();
        Doctor {
            url: self.target.url.clone(),
            api_key_file: self.target.api_key_file.clone(),
            storage: storage.unwrap_or_else(|| PathBuf::from(".")),
        }
    }
}

/// What the requests look like.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Workload {
    /// The API to speak, in place of the plan's.
    #[arg(long, value_enum)]
    pub(crate) api: Option<Api>,
    /// The length of a prompt, in place of the plan's: 1k, 2k, 4k, 8k, 16k, 32k, 64k, or a number.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub(crate) prompt_tokens: Option<TokenCount>,
    /// How many tokens a request asks for, in place of the plan's.
    #[arg(long, visible_alias = "output-tokens", value_name = "TOKENS", value_parser = tokens)]
    pub(crate) max_tokens: Option<TokenCount>,
    /// Fixes the order of the runs and the words of the prompts.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Api {
    /// Completions where the server has it, else chat.
    Auto,
    /// /v1/completions
    Completions,
    /// /v1/chat/completions
    Chat,
}

impl From<Api> for plan::Api {
    fn from(api: Api) -> Self {
        match api {
            Api::Auto => plan::Api::Auto,
            Api::Completions => plan::Api::Completions,
            Api::Chat => plan::Api::Chat,
        }
    }
}

/// `1k` is 1024 tokens.
fn tokens(text: &str) -> Result<TokenCount, String> {
    let count = match text.strip_suffix(['k', 'K']) {
        Some(thousands) => thousands
            .parse::<i64>()
            .ok()
            .and_then(|thousands| thousands.checked_mul(1024)),
        None => text.parse().ok(),
    };
    let count = count.ok_or_else(|| format!("{text:?} is no count of tokens: write 512 or 4k"))?;
    TokenCount::try_from(count).map_err(|error| error.to_string())
}
