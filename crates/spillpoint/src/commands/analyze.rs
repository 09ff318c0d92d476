//! `spillpoint analyze`: summaries, figures, verdict and report from a session's raw files.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    terminal::plain,
};
use anyhow::Context;
use record::{Session, VerdictKind, write_whole};
use report::{Analysis, Figure, Theme};
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

pub(crate) fn run(args: &cli::Analyze) -> Result {
    let (mut sessions, mut figures) = (Vec::new(), Vec::new());
    for what in &args.what {
        match what {
            cli::Analysed::Session(path) => sessions.push(path.as_path()),
            cli::Analysed::Figures(start) => figures.push(start.as_str()),
        }
    }
    if sessions.is_empty() {
        sessions.push(Path::new("results/latest"));
    }
    let mut exit = Exit::Done;
    for path in sessions {
        // One that can't be read is no reason to leave out the others.
        exit = worse(exit, one(path, &figures).unwrap_or_else(|failed| failed));
    }
    Ok(exit)
}

fn one(path: &Path, figures: &[&str]) -> Result {
    let mut session = Session::open(path).or_usage()?;
    let analysis = analyze_and_draw(&mut session, figures)?;
    show(&session, &analysis)?;
    for start in figures {
        let is_it = |figure: &Figure| figure.name().starts_with(start);
        if !analysis.figures.iter().any(is_it) {
            writeln!(io::stdout(), "note: this session has no figure {start}")?;
        }
    }
    Ok(match analysis.verdict.kind {
        VerdictKind::Invalid => Exit::Invalid,
        _ => Exit::Done,
    })
}

/// What the program ends with: the first that failed, or else what is invalid. A further one that
/// failed is told at once.
fn worse(before: Exit, now: Exit) -> Exit {
    match (before, now) {
        (Exit::Done, now) => now,
        (before, Exit::Done | Exit::Invalid) if before.is_error() => before,
        (before, now) if before.is_error() => {
            let _ = now.report();
            before
        }
        (before, Exit::Done) => before,
        (_, now) => now,
    }
}

/// Analyses a session and writes what can be made again from its raw files.
pub(crate) fn analyze(session: &mut Session) -> Result<Analysis> {
    analyze_and_draw(session, &[])
}

/// Draws the figures whose names begin with one of these; all, if there are none.
fn analyze_and_draw(session: &mut Session, figures: &[&str]) -> Result<Analysis> {
    let analysis = report::analyze(session);
    let verdict = analysis.verdict.clone();
    session.write_verdict(verdict).or_failed()?;
    write(session, &analysis)?;
    let wanted = |figure: &&Figure| {
        figures.is_empty() || figures.iter().any(|start| figure.name().starts_with(start))
    };
    draw(session, analysis.figures.iter().filter(wanted))?;
    let is_drawn = |name: &str| analysis.figures.iter().any(|figure| figure.name() == name);
    for name in report::FIGURES.iter().filter(|name| !is_drawn(name)) {
        for extension in ["svg", "png"] {
            let outdated = session.dir.figures().join(format!("{name}.{extension}"));
            remove(&outdated)?;
        }
    }
    Ok(analysis)
}

fn write(session: &Session, analysis: &Analysis) -> Result<()> {
    for run in &analysis.runs {
        let dir = session.dir.run(&run.id);
        match &run.summary {
            Some(summary) => dir.write_summary(summary).or_failed()?,
            // One of before would say what its rows don't say any more.
            None => remove(&dir.summary())?,
        }
    }
    write_whole(&session.dir.report(), analysis.html.as_bytes()).or_failed()
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error)
            .with_context(|| format!("cannot remove {}", file.display()))
            .or_failed(),
        _ => Ok(()),
    }
}

fn draw<'a>(session: &Session, figures: impl Iterator<Item = &'a Figure>) -> Result<()> {
    let folder = session.dir.figures();
    fs::create_dir_all(&folder).or_failed()?;
    for figure in figures {
        let place = |extension| folder.join(format!("{}.{extension}", figure.name()));
        let png = figure.png(Theme::Light).or_failed()?;
        write_whole(&place("svg"), figure.svg().as_bytes()).or_failed()?;
        write_whole(&place("png"), &png).or_failed()?;
    }
    Ok(())
}

/// The table, what is to be said about it, and where the rest is.
pub(crate) fn show(session: &Session, analysis: &Analysis) -> Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{}", plain(&said(session, analysis))) {
        // Whoever reads no further wants to know how it ended all the same.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn said(session: &Session, analysis: &Analysis) -> String {
    let mut out = format!(
        "{}\n\n{}",
        title(analysis),
        report::table(analysis).to_text()
    );
    if analysis.cells.iter().any(|cell| cell.invalid) {
        out.push_str("* a gate failed: INVALID; see the report\n");
    }
    if let Some(tiers) = report::tier_table(analysis) {
        out.push_str(&format!("\n{}", tiers.to_text()));
    }
    out.push_str(&format!(
        "\n{}\n\n",
        report::verdict_text(analysis).trim_end()
    ));
    for note in &analysis.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out.push_str(&format!(
        "report: {}\n",
        shown(&session.dir.report()).display()
    ));
    out
}

fn title(analysis: &Analysis) -> String {
    let target = &analysis.session.target;
    let modelled = match target.kind {
        record::TargetKind::Embedded => " (embedded engine: compute modelled)",
        record::TargetKind::Managed | record::TargetKind::Attached => "",
    };
    format!(
        "{}: {} at {}{modelled}, {} runs",
        analysis.session.experiment,
        target.model,
        target.url,
        analysis.runs.len()
    )
}

/// A path as a person would type it here.
fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
}
