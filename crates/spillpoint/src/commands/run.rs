//! `spillpoint run`: an experiment, from the plan to the report.

use super::{analyze, load::api_key, plan};
use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    interrupt,
    progress::Progress,
};
use ::plan::Overrides;
use anyhow::anyhow;
use lab::{Ended, EngineCommand, Job, LabError, Stop, Target};
use std::{
    io::{self, Write},
    path::Path,
};

pub(crate) fn run(args: cli::Run) -> Result {
    let job = job(args)?;
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    let mut progress = Progress::new();
    let ended = lab::run(&job, &stop, &mut |event| progress.tell(event));
    progress.end();
    match ended {
        Ok(ended) => conclude(&ended),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: LabError) -> Exit {
    match error.is_configuration() {
        true => Exit::Usage(error.into()),
        false => Exit::Failed(error.into()),
    }
}

/// Analyses what was measured, also where that is only a part.
fn conclude(ended: &Ended) -> Result {
    let analysis = analyze::analyze(&ended.session)?;
    analyze::show(&ended.session, &analysis)?;
    if ended.interrupted {
        let begun = analysis.runs.iter().filter(|run| run.summary.is_some());
        return Err(Exit::Failed(anyhow!(
            "interrupted: {} of {} runs were measured to their end and are kept",
            begun.count(),
            analysis.runs.len()
        )));
    }
    if ended.invalid {
        writeln!(
            io::stderr(),
            "spillpoint: a gate failed; the result is INVALID"
        )?;
        return Ok(Exit::Invalid);
    }
    Ok(Exit::Done)
}

fn job(args: cli::Run) -> Result<Job> {
    let found = plan::find(&args.plan)?;
    let found = match args.quick {
        true => found.quick().or_usage()?,
        false => found,
    };
    let plan = found.with(Overrides {
        users: args.users,
        duration: args.duration,
        repeats: args.repeats,
        seed: args.workload.seed,
        api: args.workload.api.map(Into::into),
        prompt_tokens: args.workload.prompt_tokens,
        output_tokens: args.workload.max_tokens,
    });
    let target = match args.url {
        Some(url) => Target::Attached {
            url,
            model: args.model,
            api_key: api_key()?,
        },
        None => Target::Embedded(embedded(&std::env::current_exe().or_failed()?)),
    };
    Ok(Job {
        plan,
        quick: args.quick,
        target,
        results: args.results,
        storage: args.storage,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// This program as the engine: an 8B model on a GB10, four times as fast, so that a sweep of
/// seconds a level has requests enough to tell of its tail.
fn embedded(program: &Path) -> EngineCommand {
    let args = [
        "engine",
        "--port",
        "0",
        "--die-with-parent",
        "--model",
        "llama-3.1-8b",
        "--speed",
        "4",
        "--max-batch",
        "16",
    ];
    EngineCommand {
        program: program.to_owned(),
        args: args.map(Into::into).to_vec(),
    }
}
