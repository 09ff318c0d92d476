//! `spillpoint run`: an experiment, from the plan to the report.

use super::{analyze, doctor, job::job};
use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    interrupt,
    progress::{Progress, between},
};
use ::plan::{Between, Experiment};
use anyhow::anyhow;
use lab::{Ended, Job, LabError, Stop};
use record::VerdictKind;
use std::io::{self, Write};

pub(crate) fn run(args: cli::Run) -> Result {
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    match args.plan.as_deref() {
        Some("all") => all(&args, &stop),
        _ => {
            let progress = Progress::new(args.progress)?;
            one(&job(args)?, progress, &stop)
        }
    }
}

fn one(job: &Job, mut progress: Progress, stop: &Stop) -> Result {
    let ended = lab::run(job, stop, &mut |event| progress.tell(event));
    progress.end();
    match ended {
        Ok(ended) => conclude(ended),
        Err(error) => Err(failed(error)),
    }
}

/// What `run all` runs, in this order.
const ALL: [&str; 3] = ["h1", "h2", "h6"];

/// The doctor, then each experiment that this target allows, a session each. The worst end counts.
fn all(args: &cli::Run, stop: &Stop) -> Result {
    if let Exit::Invalid = doctor::run(&args.doctor())? {
        return Err(Exit::Failed(anyhow!(
            "the doctor found what stops a run: see above"
        )));
    }
    let (mut jobs, mut time) = (Vec::new(), Between::default());
    for name in ALL {
        let job = job(cli::Run {
            plan: Some(name.to_owned()),
            ..args.clone()
        })?;
        match lacks(&job) {
            Some(what) => writeln!(io::stderr(), "{name} is left out: {what}")?,
            None => {
                time = time + lab::estimate(&job).total();
                jobs.push(job);
            }
        }
    }
    let (count, time) = (jobs.len(), between(time));
    writeln!(io::stderr(), "{count} sessions, which take {time} together")?;
    let mut invalid = false;
    for job in &jobs {
        if stop.is_stopped() {
            return Err(Exit::Failed(anyhow!("interrupted")));
        }
        invalid |= matches!(
            one(job, Progress::new(args.progress)?, stop)?,
            Exit::Invalid
        );
    }
    Ok(if invalid { Exit::Invalid } else { Exit::Done })
}

/// What the target lacks for this experiment.
fn lacks(job: &Job) -> Option<&'static str> {
    match job.plan.experiment {
        Experiment::H1 if job.target.model_files.is_empty() => {
            Some("the model's files are not named; name them with --model-files or --target")
        }
        Experiment::H6 if job.target.adapters.is_none() => {
            Some("no LoRA adapters are named; name a list of them with --adapters")
        }
        _ => None,
    }
}

fn failed(error: LabError) -> Exit {
    match error.is_configuration() {
        true => Exit::Usage(error.into()),
        false => Exit::Failed(error.into()),
    }
}

/// Analyses what was measured, also where that is only a part.
fn conclude(mut ended: Ended) -> Result {
    let analysis = analyze::analyze(&mut ended.session)?;
    analyze::show(&ended.session, &analysis)?;
    if ended.interrupted {
        let begun = analysis.runs.iter().filter(|run| run.summary.is_some());
        return Err(Exit::Failed(anyhow!(
            "interrupted: {} of {} runs were measured to their end and are kept",
            begun.count(),
            analysis.runs.len()
        )));
    }
    if ended.invalid || analysis.verdict.kind == VerdictKind::Invalid {
        writeln!(
            io::stderr(),
            "spillpoint: a gate failed; the result is INVALID"
        )?;
        return Ok(Exit::Invalid);
    }
    Ok(Exit::Done)
}
