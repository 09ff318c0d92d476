//! `spillpoint export`: a session's rows in the forms that other tools read.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    terminal::plain,
};
use record::Session;
use std::io::{self, Write};

pub(crate) fn run(args: &cli::Export) -> Result {
    let session = Session::open(&args.session).or_usage()?;
    let exported = export::export(&session, args.to.into(), &args.folder).or_failed()?;
    let mut out = io::stdout().lock();
    for file in exported.files {
        writeln!(out, "{}", file.display())?;
    }
    for note in exported.notes {
        writeln!(io::stderr(), "note: {}", plain(&note))?;
    }
    Ok(Exit::Done)
}
