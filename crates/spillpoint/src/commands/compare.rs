//! `spillpoint compare`: two sessions, effect with interval.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
};
use record::Session;
use report::Analysis;
use std::{
    io::{self, Write},
    path::Path,
};

pub(crate) fn run(args: &cli::Compare) -> Result {
    let comparison = report::compare(&analysed(&args.a)?, &analysed(&args.b)?);
    writeln!(io::stdout(), "{}", comparison.to_text().trim_end())?;
    Ok(Exit::Done)
}

fn analysed(path: &Path) -> Result<Analysis> {
    Ok(report::analyze(&Session::open(path).or_usage()?))
}
