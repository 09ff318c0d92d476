//! The terminal: taken, drawn on, and put back as it was however the program ends.
//!
//! Lines are not edited and keys not echoed while it is taken, but Ctrl-C stays what it is: the
//! kernel turns it into SIGINT, whoever hangs. The keys that would stop or dump the process do
//! nothing meanwhile, since a client that is stopped looks like a server that is slow.

use nix::{
    sys::termios::{
        FlushArg, InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcflush,
        tcgetattr, tcsetattr,
    },
    unistd::{getpgrp, tcgetpgrp},
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        queue,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen},
    },
};
use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd},
    panic,
    sync::{Mutex, MutexGuard, Once, PoisonError},
};

/// The stream whose terminal is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Standard output's.
    Stdout,
    /// Standard error's.
    Stderr,
}

impl Screen {
    fn dup(self) -> io::Result<File> {
        let fd = match self {
            Self::Stdout => io::stdout().as_fd().try_clone_to_owned(),
            Self::Stderr => io::stderr().as_fd().try_clone_to_owned(),
        };
        fd.map(File::from)
    }
}

/// Whether a dashboard can be drawn there: a terminal that can move its cursor, and that is ours to
/// set (a job in the background would be stopped for it).
pub fn suits(screen: Screen) -> bool {
    let ours = |fd: BorrowedFd<'_>| tcgetpgrp(fd).is_ok_and(|group| group == getpgrp());
    let at_hand = match screen {
        Screen::Stdout => io::stdout().is_terminal() && ours(io::stdout().as_fd()),
        Screen::Stderr => io::stderr().is_terminal() && ours(io::stderr().as_fd()),
    };
    at_hand && can_draw(env::var("TERM").ok().as_deref())
}

/// Whether a terminal of this kind (`TERM`) can move its cursor.
fn can_draw(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

/// A terminal that is taken, and how it was before.
struct Held {
    out: File,
    before: Termios,
}

/// There is one at most: a program has one terminal. Locked while something is written, so that
/// nothing is drawn on a terminal that has been put back.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    // Whoever panicked while writing has taken nothing away.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is drawn goes here, and from here in one write.
#[derive(Default)]
pub(crate) struct Paper(Vec<u8>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Draws, if the terminal is still ours.
    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.0);
        match &mut *held() {
            Some(held) => held.out.write_all(&bytes),
            None => Ok(()),
        }
    }
}

/// Takes the terminal.
pub(crate) fn take(screen: Screen) -> io::Result<Terminal<CrosstermBackend<Paper>>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            // First, so that its words are read and not wiped with the dashboard.
            restore();
            before(panic);
        }));
    });
    let mut out = screen.dup()?;
    let before = tcgetattr(&out)?;
    tcsetattr(&out, SetArg::TCSADRAIN, &quiet(before.clone()))?;
    let mut enter = Vec::new();
    queue!(enter, EnterAlternateScreen, Hide)?;
    let entered = out.write_all(&enter);
    *held() = Some(Held { out, before });
    if let Err(error) = entered {
        restore();
        return Err(error);
    }
    Terminal::new(CrosstermBackend::new(Paper::default()))
}

fn quiet(mut modes: Termios) -> Termios {
    modes
        .local_flags
        .remove(LocalFlags::ECHO | LocalFlags::ICANON);
    // Ctrl-S would hold up the thread that draws, and then the program's end.
    modes.input_flags.remove(InputFlags::IXON);
    for key in [
        SpecialCharacterIndices::VSUSP,
        SpecialCharacterIndices::VQUIT,
    ] {
        // _POSIX_VDISABLE of Linux.
        modes.control_chars[key as usize] = 0;
    }
    modes
}

/// Whether the terminal is taken.
pub(crate) fn is_taken() -> bool {
    held().is_some()
}

/// Puts the terminal back as it was, if it was taken. From then on nothing is drawn on it. For
/// whoever ends the program at once; a [`Dashboard`](crate::Dashboard) that is dropped, and a panic, do so themselves.
pub fn restore() {
    let Some(Held { mut out, before }) = held().take() else {
        return;
    };
    let mut leave = Vec::new();
    // Into memory, which can't fail; and a terminal that is gone needs nothing put back.
    let _ = queue!(leave, Show, LeaveAlternateScreen);
    let _ = out.write_all(&leave);
    // What was typed meanwhile was not meant for the shell.
    let _ = tcflush(&out, FlushArg::TCIFLUSH);
    let _ = tcsetattr(&out, SetArg::TCSANOW, &before);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_and_none_are_not_drawn_on() {
        assert!(can_draw(Some("xterm-256color")) && can_draw(Some("linux")));
        assert!(![None, Some(""), Some("dumb")].into_iter().any(can_draw));
    }
}
