//! What `watch` takes, and how progress is shown.

use clap::ValueEnum;
use plan::{Span, Tick};
use std::path::PathBuf;

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
    /// How it is shown.
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressView,
}

/// How what goes on is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressView {
    /// A dashboard on a terminal, lines elsewhere.
    Auto,
    /// A dashboard, or an error where there is no terminal for it.
    Dashboard,
    /// Lines.
    Plain,
    /// Nothing but warnings.
    None,
}
