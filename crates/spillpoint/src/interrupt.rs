//! Ctrl-C and `kill`: the first asks to end early, the second ends at once.

use load::Stop;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
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

/// From now on, SIGINT and SIGTERM ask `stop`.
pub(crate) fn ask_on_signal(stop: &Stop) -> io::Result<()> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // A terminal that can't be put back must not hold up the end.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&ending))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
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
