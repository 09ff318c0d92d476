//! The commands, one file each.

mod analyze;
mod api_key;
mod calibrate;
mod compare;
mod doctor;
mod engine;
mod export;
mod import;
mod job;
mod load;
mod manual;
mod plan;
mod restore;
mod run;
mod watch;

pub(crate) use calibrate::TRUTH_SERVER;

use crate::{
    cli::{Args, Command},
    exit::Exit,
    privilege,
};

/// Does what was asked.
pub(crate) fn dispatch(args: Args) -> Exit {
    if let Err(error) = privilege::reduce_for(&args.command) {
        return Exit::Failed(error);
    }
    let end = match args.command {
        Command::Run(args) => run::run(args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Load(args) => load::run(args),
        Command::Engine(args) => engine::run(*args),
        Command::Compare(args) => compare::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::TruthServer => calibrate::serve_truth(),
        Command::Watch(args) => watch::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Restore => restore::run(),
        Command::Plan(command) => plan::run(command),
        Command::Manual { folder } => manual::pages(&folder),
        Command::Completions { shell } => manual::completions(shell),
    };
    end.unwrap_or_else(|early| early)
}
