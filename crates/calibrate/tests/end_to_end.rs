//! A calibration of a few users for a moment, with the server in a process of its own: this one
//! again, which is why it has a `main`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use calibrate::{CalibrateError, Calibration, Event, ServerCommand, Settings, run, serve};
use engine::truth::TruthConfig;
use load::Stop;
use std::{env, io, num::NonZeroU32, time::Duration};

const SERVE: &str = "serve-the-truth";

fn main() {
    if env::args().nth(1).as_deref() == Some(SERVE) {
        let config = TruthConfig {
            first_token: Duration::from_millis(5),
            token_gap: Duration::from_millis(2),
            ..TruthConfig::default()
        };
        serve(&config, io::stdin(), &mut io::stdout()).unwrap();
        return;
    }
    each_level_is_compared_with_the_truth();
    a_stopped_calibration_gives_nothing();
    a_program_that_is_no_server_is_refused();
}

fn settings() -> Settings {
    Settings {
        users: [2, 4].map(|users| NonZeroU32::new(users).unwrap()).into(),
        reply_tokens: 10,
        warmup: Duration::from_millis(100),
        measure: Duration::from_millis(500),
        ..Settings::default()
    }
}

fn this_program() -> ServerCommand {
    ServerCommand {
        program: env::current_exe().unwrap(),
        args: vec![SERVE.into()],
    }
}

fn each_level_is_compared_with_the_truth() {
    let mut told = Vec::new();
    let observer = |event: Event<'_>| match event {
        Event::Begins { users, nth, of, .. } => told.push(format!("{users}: {nth} of {of}")),
        Event::Measured(level) => told.push(format!("{} measured", level.users)),
    };
    let found = run(&settings(), &this_program(), &Stop::default(), observer).unwrap();
    assert_eq!(told, ["2: 1 of 2", "2 measured", "4: 2 of 2", "4 measured"]);
    for level in &found.levels {
        assert_eq!((level.failed, level.unfinished, level.unmatched), (0, 0, 0));
        assert!(level.requests > 0 && level.tokens_per_s > 0.0);
        assert_eq!(level.ttft_us.n, level.requests);
        assert_eq!(level.e2e_us.n, level.requests);
        assert_eq!(level.itl_us.n, 9 * level.requests);
        assert!(level.ttft_us.p50.is_some() && level.client_cpu_us_per_token.is_some());
        assert!(level.telemetry.ticks_taken > 0);
    }
    let ticks: u64 = found.levels.iter().map(|it| it.telemetry.ticks_taken).sum();
    assert_eq!(found.telemetry.ticks_taken, ticks);
    assert!(!found.host.hostname.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calibration.json");
    found.write(&file).unwrap();
    // JSON's decimals can differ in the last place.
    let read = Calibration::read(&file).unwrap();
    assert_eq!(read.to_text(), found.to_text());
}

fn a_stopped_calibration_gives_nothing() {
    let stop = Stop::default();
    stop.stop();
    let found = run(&settings(), &this_program(), &stop, |_| {});
    assert!(matches!(found, Err(CalibrateError::Stopped)), "{found:?}");
}

fn a_program_that_is_no_server_is_refused() {
    let start = |program: &str| {
        let command = ServerCommand {
            program: program.into(),
            args: Vec::new(),
        };
        run(&settings(), &command, &Stop::default(), |_| {}).unwrap_err()
    };
    let error = start("/bin/true");
    assert!(matches!(error, CalibrateError::NotReady { .. }), "{error}");
    let error = start("/nowhere/spillpoint");
    assert!(matches!(error, CalibrateError::Start { .. }), "{error}");
}
