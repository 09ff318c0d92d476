//! `spillpoint export`: a session's rows in the forms that other tools read.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
};
use record::Session;
use std::io::{self, Write};

pub(crate) fn run(args: &cli::Export) -> Result {
    let session = Session::open(&args.session).or_usage()?;
    let files = export::export(&session, args.to.into(), &args.folder).or_failed()?;
    let mut out = io::stdout().lock();
    for file in files {
        writeln!(out, "{}", file.display())?;
    }
    Ok(Exit::Done)
}
