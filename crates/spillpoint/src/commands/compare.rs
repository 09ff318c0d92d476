//! `spillpoint compare`: two sessions, effect with interval.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    terminal::plain,
};
use record::{Session, VerdictKind};
use report::Analysis;
use std::{
    io::{self, Write},
    path::Path,
};

pub(crate) fn run(args: &cli::Compare) -> Result {
    let sessions = [analysed(&args.a)?, analysed(&args.b)?];
    let [a, b] = &sessions;
    let mut out = io::stdout().lock();
    let comparison = report::compare(a, b).to_text();
    writeln!(out, "{}", plain(comparison.trim_end()))?;
    for it in &sessions {
        for note in &it.notes {
            writeln!(
                out,
                "note: {}: {}",
                it.session.session,
                plain(&note.to_string())
            )?;
        }
    }
    let is_invalid = |it: &Analysis| it.verdict.kind == VerdictKind::Invalid;
    Ok(match sessions.iter().any(is_invalid) {
        true => Exit::Invalid,
        false => Exit::Done,
    })
}

fn analysed(path: &Path) -> Result<Analysis> {
    Ok(report::analyze(&Session::open(path).or_usage()?))
}
