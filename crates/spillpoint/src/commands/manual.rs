//! Man pages and completions, made of the same grammar that is parsed.

use crate::{
    cli::Args,
    exit::{Exit, OrExit, Result},
};
use anyhow::Context;
use clap::CommandFactory;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// `spillpoint.1`, `spillpoint-run.1` and so on.
pub(crate) fn pages(folder: &Path) -> Result {
    let wrote = fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(grammar(), folder))
        .with_context(|| format!("{}: cannot write the man pages", folder.display()));
    wrote.or_failed()?;
    writeln!(
        io::stdout(),
        "man pages in {0}: read one with man {0}/spillpoint.1",
        folder.display()
    )?;
    Ok(Exit::Done)
}

/// What the shell reads to complete a command.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), "spillpoint", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// The grammar less the commands that are for the program itself: clap_complete offers hidden ones
/// too.
fn grammar() -> clap::Command {
    let whole = Args::command();
    let shown = whole.get_subcommands().filter(|it| !it.is_hide_set());
    clap::Command::new("spillpoint")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .disable_help_subcommand(true)
        .subcommands(shown.cloned())
}
