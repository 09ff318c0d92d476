//! `spillpoint calibrate`: the instrument's own error on this machine.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    interrupt,
};
use calibrate::{Calibration, Event, ServerCommand, Settings, default_file};
use engine::truth::TruthConfig;
use load::Stop;
use record::CalibrationFacts;
use std::io::{self, Write};

/// The hidden command that is the truth server's other end.
pub(crate) const TRUTH_SERVER: &str = "truth-server";

pub(crate) fn run(args: &cli::Calibrate) -> Result {
    let settings = match args.quick {
        true => Settings::quick(),
        false => Settings::default(),
    };
    let file = match &args.out {
        Some(file) => file.clone(),
        None => default_file().or_usage()?,
    };
    let server = ServerCommand {
        program: std::env::current_exe().or_failed()?,
        args: vec![TRUTH_SERVER.into()],
    };
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    let calibration = calibrate::run(&settings, &server, &stop, tell).or_failed()?;
    calibration.write(&file).or_failed()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", calibration.to_text().trim_end())?;
    writeln!(out, "kept in {}: sessions cite it", file.display())?;
    Ok(Exit::Done)
}

fn tell(event: Event<'_>) {
    let line = match event {
        Event::Begins { users, nth, of, .. } => format!("[{nth}/{of}] {users} users"),
        Event::Measured(level) => format!(
            "      {:.0} tokens/s, {} requests, {} failed",
            level.tokens_per_s, level.requests, level.failed
        ),
    };
    // A closed standard error is no reason to end a measurement.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The truth server, until its standard input ends.
pub(crate) fn serve_truth() -> Result {
    calibrate::serve(&TruthConfig::default(), io::stdin(), &mut io::stdout()).or_failed()?;
    Ok(Exit::Done)
}

/// What a session with so many users at most cites, if this machine, with this kernel, was
/// calibrated.
pub(crate) fn cited(users: u32) -> Option<CalibrationFacts> {
    let calibration = Calibration::read(&default_file().ok()?).ok()?;
    let here = probe::host::facts(&probe::Roots::default());
    let there = &calibration.host;
    if (&there.hostname, &there.kernel, &there.cpu) != (&here.hostname, &here.kernel, &here.cpu) {
        return None;
    }
    let level = calibration.at(users);
    Some(CalibrationFacts {
        made: calibration.made.to_string(),
        spillpoint: calibration.version.clone(),
        limit_us: calibration.limit_us,
        holds_up_to_users: calibration.holds_up_to_users,
        level_users: level.map(|level| level.users),
        ttft_error_p99_us: level.and_then(|level| level.ttft_us.p99),
        e2e_error_p99_us: level.and_then(|level| level.e2e_us.p99),
    })
}
