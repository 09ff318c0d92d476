//! `spillpoint import`: results of the harness that came before, as a session.

use super::analyze;
use crate::{
    cli,
    exit::{Exit, OrExit, Result},
};
use std::io::{self, Write};

pub(crate) fn run(args: &cli::Import) -> Result {
    let mut imported = seed::import(&args.folder, &args.into).or_usage()?;
    let analysis = analyze::analyze(&mut imported.session)?;
    analyze::show(&imported.session, &analysis)?;
    let mut out = io::stdout().lock();
    for note in &imported.notes {
        writeln!(out, "{note}")?;
    }
    Ok(Exit::Done)
}
