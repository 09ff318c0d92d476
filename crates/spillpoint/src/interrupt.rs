//! Ctrl-C and `kill`: the first asks to end early, the second ends at once.

use load::Stop;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};
use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

/// The status of a process that a second Ctrl-C ended, as shells report it: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on, SIGINT and SIGTERM ask `stop`.
pub(crate) fn ask_on_signal(stop: &Stop) -> io::Result<()> {
    let before = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the signal that sets the flag doesn't find it set.
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&before))?;
        flag::register(signal, Arc::clone(&before))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                stop.stop();
            }
        })?;
    Ok(())
}
