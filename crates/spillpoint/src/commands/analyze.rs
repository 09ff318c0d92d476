//! `spillpoint analyze`: summaries, figures, verdict and report from a session's raw files.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
};
use record::{RecordError, Session, VerdictKind, write_whole};
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
    let mut invalid = false;
    for path in sessions {
        let mut session = Session::open(path).or_usage()?;
        let analysis = analyze_and_draw(&mut session, &figures)?;
        show(&session, &analysis)?;
        invalid |= analysis.verdict.kind == VerdictKind::Invalid;
    }
    Ok(if invalid { Exit::Invalid } else { Exit::Done })
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
    write(session, &analysis).or_failed()?;
    let wanted = |figure: &&Figure| {
        figures.is_empty() || figures.iter().any(|start| figure.name().starts_with(start))
    };
    draw(session, analysis.figures.iter().filter(wanted))?;
    Ok(analysis)
}

fn write(session: &Session, analysis: &Analysis) -> std::result::Result<(), RecordError> {
    for run in &analysis.runs {
        if let Some(summary) = &run.summary {
            session.dir.run(&run.id).write_summary(summary)?;
        }
    }
    write_whole(&session.dir.report(), analysis.html.as_bytes())
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
    writeln!(out, "{}", title(analysis))?;
    writeln!(out)?;
    write!(out, "{}", report::table(analysis).to_text())?;
    if analysis.cells.iter().any(|cell| cell.invalid) {
        writeln!(out, "* a gate failed: INVALID; see the report")?;
    }
    if let Some(tiers) = report::tier_table(analysis) {
        writeln!(out)?;
        write!(out, "{}", tiers.to_text())?;
    }
    writeln!(out)?;
    writeln!(out, "{}", report::verdict_text(analysis).trim_end())?;
    writeln!(out)?;
    for note in &analysis.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "report: {}", shown(&session.dir.report()).display())?;
    Ok(())
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
