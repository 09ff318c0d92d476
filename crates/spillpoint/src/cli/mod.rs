//! The command line's grammar. It is a contract: scripts rely on it.

mod arrivals;
mod engine;
mod load;
mod run;
mod watch;

pub(crate) use self::{
    arrivals::{LoraPolicy, Rate, Reuse, Spacing},
    engine::Engine,
    load::{Arrivals, Load},
    run::{Api, LoraDialect, Run, Target, Workload},
    watch::{ProgressView, Watch},
};

use ::load::BaseUrl;
use clap::{Parser, Subcommand, ValueEnum};
use std::{convert::Infallible, path::PathBuf, str::FromStr};

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
    /// Write the man pages, one for each command, into a folder.
    Manual {
        /// The folder; made if it is not there.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
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
pub(crate) struct Doctor {
    /// The server that is to be measured.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<BaseUrl>,
    /// A file that holds the key that the server wants, in place of the variable OPENAI_API_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
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
