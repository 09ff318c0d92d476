//! The thread that draws.

use crate::{
    palette::Palette,
    state::{HostTitle, State, Subject},
    terminal::{self, Paper, Screen},
    view,
};
use lab::Event;
use probe::Latest;
use ratatui::{Terminal, backend::CrosstermBackend};
use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often it draws. Faster shows no more to a person, and costs.
const DRAW: Duration = Duration::from_millis(500);
/// Events that may wait: half a minute of a run's.
const WAITING: usize = 128;

/// A dashboard on the terminal. Dropping it puts the terminal back.
pub struct Dashboard {
    events: Option<SyncSender<Event>>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Shows a session by what [`tell`](Self::tell) is told.
    ///
    /// # Errors
    /// The terminal or a thread can't be had.
    pub fn of_session(screen: Screen) -> io::Result<Self> {
        Self::start(State::new(Subject::Session), Latest::default(), screen)
    }

    /// Shows a host by its ticks.
    ///
    /// # Errors
    /// The terminal or a thread can't be had.
    pub fn of_host(title: HostTitle, latest: Latest, screen: Screen) -> io::Result<Self> {
        Self::start(State::new(Subject::Host(title)), latest, screen)
    }

    fn start(state: State, latest: Latest, screen: Screen) -> io::Result<Self> {
        let (events, told) = sync_channel(WAITING);
        let drawing = Drawing {
            state,
            latest,
            began: Instant::now(),
            palette: Palette::of_environment(),
            terminal: terminal::take(screen)?,
        };
        let thread = thread::Builder::new()
            .name("dashboard".to_owned())
            .spawn(move || drawing.run(&told));
        if thread.is_err() {
            terminal::restore();
        }
        Ok(Self {
            events: Some(events),
            thread: Some(thread?),
        })
    }

    /// Takes an event. Never waits: one that there is no room for is not shown.
    pub fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            let _ = events.try_send(event);
        }
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been told by the hook, and concerns nothing but the picture.
            let _ = thread.join();
        }
        terminal::restore();
    }
}

struct Drawing {
    state: State,
    latest: Latest,
    began: Instant,
    palette: Palette,
    terminal: Terminal<CrosstermBackend<Paper>>,
}

impl Drawing {
    /// Until the last sender is gone, or the terminal.
    fn run(mut self, told: &Receiver<Event>) {
        let mut due = self.began;
        while self.draw().is_ok() {
            due = (due + DRAW).max(Instant::now());
            loop {
                match told.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(Event::Sampling(latest)) => {
                        self.latest = latest.clone();
                        self.state.tell(Event::Sampling(latest));
                    }
                    Ok(event) => self.state.tell(event),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        if !terminal::is_taken() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.state.pass(self.began.elapsed());
        if let Some(seen) = self.latest.seen() {
            self.state.see(seen);
        }
        let (state, palette) = (&self.state, self.palette);
        self.terminal
            .draw(|frame| view::draw(state, palette, frame.buffer_mut()))?;
        Ok(())
    }
}
