//! The command line's grammar. It is a contract: scripts rely on it.

mod arrivals;
mod engine;

pub(crate) use arrivals::{LoraPolicy, Rate, Reuse, Spacing};
pub(crate) use engine::Engine;

use clap::{Parser, Subcommand, ValueEnum};
use load::BaseUrl;
use plan::{Repeats, Span, Sweep, Tick, TokenCount, Users};
use std::{convert::Infallible, num::NonZeroU32, path::PathBuf, str::FromStr};

/// Shows how the SSD under an LLM server shapes what its users feel, and proves it, or proves that
/// it doesn't.
#[derive(Debug, Parser)]
#[command(name = "spillpoint", version, max_term_width = 100)]
#[command(after_help = "\
Exit status: 0 done; 1 the work failed; 2 wrong usage or configuration; 3 done, but a gate failed
and the result is INVALID.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an experiment: load a server and sample its host, then analyse.
    Run(Run),
    /// Make a session's summaries, figures and report again from its raw files.
    Analyze(Analyze),
    /// Load a server for one phase, without telemetry.
    Load(Load),
    /// Compare two sessions: before and after a change, on this SSD and on that.
    Compare(Compare),
    /// Write a session's rows in the forms that other tools read.
    Export(Export),
    /// Read the results of the earlier DGX Spark harness: what can be trusted becomes a session.
    Import(Import),
    /// Measure the instrument's own error on this machine.
    Calibrate(Calibrate),
    /// Serves the truth to `calibrate`.
    #[command(hide = true, name = crate::commands::TRUTH_SERVER)]
    TruthServer,
    /// Serve the embedded engine: a real scheduler behind the OpenAI API; its compute is modelled.
    Engine(Box<Engine>),
    /// Sample the host alone, to the screen and to files.
    Watch(Watch),
    /// Say what would stop or spoil a run on this host, and what helps.
    Doctor(Doctor),
    /// Put back what a session has changed on this machine that was killed.
    Restore,
    /// List, show or check plans.
    #[command(subcommand)]
    Plan(Plan),
}

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
        "plan", "quick", "users", "duration", "repeats", "prompt_tokens", "max_tokens", "seed", "api",
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

impl From<LoraDialect> for load::LoraDialect {
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

#[derive(Debug, clap::Args)]
pub(crate) struct Analyze {
    /// The sessions' folders [default: results/latest], and which figures to draw: H1, H2, H3, H6, H7,
    /// H8 or ALL [default: all].
    #[arg(value_name = "SESSION|FIGURES")]
    pub(crate) what: Vec<Analysed>,
}

/// An argument of `analyze`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Analysed {
    /// A session's folder.
    Session(PathBuf),
    /// The figures whose names begin so: `h2_`. All, if empty.
    Figures(String),
}

/// A word that names figures does so in either case; anything else is a folder.
impl FromStr for Analysed {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let word = text.to_ascii_lowercase();
        Ok(match word.as_str() {
            "all" => Self::Figures(String::new()),
            "h1" | "h2" | "h3" | "h6" | "h7" | "h8" => Self::Figures(format!("{word}_")),
            _ => Self::Session(text.into()),
        })
    }
}

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

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// The session to compare with.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The session that is compared.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The session's folder.
    #[arg(value_name = "SESSION")]
    pub(crate) session: PathBuf,
    /// The form.
    #[arg(long, value_enum)]
    pub(crate) to: ExportFormat,
    /// The folder to write into; made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Parquet with units, for pandas, DuckDB, Spark
    Parquet,
    /// aiperf's profile_export.jsonl
    Aiperf,
    /// vLLM's bench serve --save-detailed
    Vllm,
    /// guidellm's benchmarks report
    Guidellm,
}

impl From<ExportFormat> for export::Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Parquet => export::Format::Parquet,
            ExportFormat::Aiperf => export::Format::Aiperf,
            ExportFormat::Vllm => export::Format::Vllm,
            ExportFormat::Guidellm => export::Format::Guidellm,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The folder of its results: *_manifest.json, *_telemetry.csv and the like.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// The new session's folder; it must not be there.
    #[arg(value_name = "SESSION")]
    pub(crate) into: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Calibrate {
    /// Three levels of users in place of seven.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The file to keep it in [default: spillpoint/calibration.json in $XDG_STATE_HOME or
    /// ~/.local/state].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The distance of two ticks: 10ms to 1s.
    #[arg(long, value_name = "SPAN", default_value = "100ms")]
    pub(crate) interval: Tick,
    /// A folder for telemetry.csv and cpu.csv [default: the screen alone].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A path on the device to watch.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) storage: PathBuf,
    /// Ends after this time [default: at Ctrl-C].
    #[arg(long, value_name = "SPAN")]
    pub(crate) duration: Option<Span>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// The server that is to be measured.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<BaseUrl>,
    /// A path on the device that is to be measured.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) storage: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plan {
    /// The built-in plans.
    List,
    /// A built-in plan's TOML, to start one of your own from.
    Show {
        /// The plan's name.
        name: String,
    },
    /// Check a plan's file.
    Check {
        /// The file.
        file: PathBuf,
    },
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
