//! Ctrl-C, `kill`, and a terminal that is gone: the first asks to end early, the second ends at once.

use load::Stop;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals,
    low_level,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The status of a process that a second Ctrl-C ended, as shells report it: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// What asks to end. SIGHUP is how a lost connection ends what was begun over it.
const ASKING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// From now on, these ask `stop`.
pub(crate) fn ask_on_signal(stop: &Stop) -> io::Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in ASKING {
        // A terminal that can't be put back must not hold up the end.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&ending))?;
    }
    let mut signals = Signals::new(ASKING)?;
    let stop = stop.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                if stop.is_stopped() {
                    ending.store(true, Ordering::Relaxed);
                    dash::restore();
                    low_level::exit(INTERRUPTED);
                }
                stop.stop();
            }
        })?;
    Ok(())
}
