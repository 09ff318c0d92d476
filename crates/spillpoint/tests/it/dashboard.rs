//! The dashboard on a real terminal: tmux is the terminal, and reads what is on it.
//!
//! Left out without `SPILLPOINT_TMUX`, which `cargo xtask test` sets.

use crate::harness::{PATIENCE, Workplace, wait_for};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A terminal of its own, gone at the end.
struct Terminal<'a> {
    place: &'a Workplace,
    tmux: PathBuf,
    /// Of its own: a server that ends may still hold the last one's.
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    /// A shell's script on a terminal of this size, `$SPILLPOINT` being the binary; absent without
    /// tmux.
    fn start(place: &'a Workplace, columns: u16, lines: u16, script: &str) -> Option<Self> {
        let tmux = PathBuf::from(std::env::var_os("SPILLPOINT_TMUX")?);
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let socket = place.path(&format!("tmux{number}"));
        let terminal = Self {
            place,
            tmux,
            socket,
        };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        // The terminal stays when the script has ended: its last words are read.
        let script = format!("{script}; echo \"ended $?\"; exec sleep 1000");
        let size = ["-x", &columns, "-y", &lines];
        let mut args = vec!["-f", "/dev/null", "new-session", "-d"];
        args.extend(size);
        args.push(&script);
        terminal.tmux(&args);
        terminal.tmux(&["set-option", "-g", "status", "off"]);
        Some(terminal)
    }

    #[track_caller]
    fn tmux(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        output
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.tmux);
        command
            .arg("-S")
            .arg(&self.socket)
            .args(args)
            .current_dir(self.place.path(""))
            .env("SPILLPOINT", env!("CARGO_BIN_EXE_spillpoint"))
            .env("XDG_STATE_HOME", self.place.path("state"))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR");
        command
    }

    fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is on the screen once all of this is; the test ends with the screen if it never is.
    #[track_caller]
    fn shows(&self, wanted: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if wanted.iter().all(|wanted| screen.contains(wanted)) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "{wanted:?} not on:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // A drop must not raise a panic of its own.
        let _ = self.command(&["kill-server"]).output();
    }
}

/// Says how the terminal is set, before and after.
const SETTINGS: &str = "stty -g > before; \"$SPILLPOINT\" ";
const AFTER: &str = "; status=$?; stty -g > after; (exit $status)";

#[track_caller]
fn is_as_before(place: &Workplace) {
    let read = |name| fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}

#[test]
fn watch_follows_the_terminals_size_and_leaves_it_as_it_was() {
    let place = Workplace::new();
    let script = format!("{SETTINGS} watch {AFTER}");
    let Some(terminal) = Terminal::start(&place, 80, 24, &script) else {
        return;
    };
    terminal.shows(&["spillpoint watch", "HOST", "DEVICE", "MB/s", "Ctrl-C ends"]);
    terminal.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    let small = wait_for("the small dashboard", || {
        let screen = terminal.screen();
        let whole = screen.contains("iowait") && !screen.contains("HOST");
        whole.then_some(screen)
    });
    assert!(small.lines().count() <= 10, "{small}");
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    terminal.shows(&["HOST", "Ctrl-C ends"]);
    terminal.tmux(&["send-keys", "q", "x"]);
    terminal.tmux(&["send-keys", "C-c"]);
    let after = terminal.shows(&["ended 0", "ticks taken"]);
    assert!(!after.contains("HOST"), "{after}");
    assert!(
        !after.contains("qx"),
        "what was typed is not echoed: {after}"
    );
    is_as_before(&place);
}

#[test]
fn a_run_shows_itself_and_says_what_failed_when_it_is_over() {
    let place = Workplace::new();
    let options = "run h2 --quick --users 1,2 --repeats 1 --duration 3s";
    let script = format!("{SETTINGS} {options} > out {AFTER}");
    let Some(terminal) = Terminal::start(&place, 80, 24, &script) else {
        return;
    };
    terminal.shows(&["plan ", "run 1 of 2", "h2-u001-r1", "TTFT p50", "tokens/s"]);
    terminal.shows(&["GATES", "telemetry_coverage", "users 1 · 0 failed"]);
    terminal.shows(&["run 2 of 2", "users 2"]);
    let after = terminal.shows(&["2 runs against", "ended "]);
    assert!(
        !after.contains("TTFT"),
        "the result goes to standard output: {after}"
    );
    is_as_before(&place);
    let out = fs::read_to_string(place.path("out")).unwrap();
    assert!(out.contains("report.html"), "{out}");
}

#[test]
fn ctrl_c_ends_a_run_and_a_second_one_at_once_with_the_terminal_as_it_was() {
    let place = Workplace::new();
    let options = "run h2 --quick --users 1 --duration 60s";
    let script = format!("{SETTINGS} {options} {AFTER}");
    let Some(terminal) = Terminal::start(&place, 80, 24, &script) else {
        return;
    };
    terminal.shows(&["TTFT p50", "users 1 · 0 failed"]);
    terminal.tmux(&["send-keys", "C-c"]);
    let once = terminal.shows(&["interrupted", "ended 1"]);
    assert!(once.contains("are kept"), "{once}");
    is_as_before(&place);
    drop(terminal);

    let terminal = Terminal::start(&place, 80, 24, &script).unwrap();
    terminal.shows(&["TTFT p50", "users 1 · 0 failed"]);
    terminal.tmux(&["send-keys", "C-c"]);
    // While the first is at work: both at once count as one.
    std::thread::sleep(Duration::from_millis(50));
    terminal.tmux(&["send-keys", "C-c"]);
    let twice = terminal.shows(&["ended "]);
    // The first may have been quick.
    assert!(
        twice.contains("ended 130") || twice.contains("ended 1\n"),
        "{twice}"
    );
    is_as_before(&place);
}

#[test]
fn no_colour_where_none_is_wanted_and_lines_on_a_dumb_terminal() {
    let place = Workplace::new();
    let script = "NO_COLOR=1 \"$SPILLPOINT\" watch";
    let Some(terminal) = Terminal::start(&place, 80, 24, script) else {
        return;
    };
    terminal.shows(&["HOST", "PSI io"]);
    let output = terminal.tmux(&["capture-pane", "-p", "-e"]).stdout;
    let coloured = String::from_utf8(output).unwrap();
    for code in ["\u{1b}[38;", "\u{1b}[48;", "\u{1b}[3", "\u{1b}[9"] {
        let codes = coloured
            .match_indices(code)
            .map(|(at, _)| &coloured[at..at + 5]);
        let set: Vec<_> = codes
            .filter(|code| !code.starts_with("\u{1b}[39"))
            .collect();
        assert!(set.is_empty(), "{code:?}: {set:?}");
    }
    drop(terminal);
    let place = Workplace::new();
    let script = "TERM=dumb \"$SPILLPOINT\" watch --duration 2500ms";
    let terminal = Terminal::start(&place, 200, 24, script).unwrap();
    let screen = terminal.shows(&["PSI io, %", "ended 0"]);
    assert!(!screen.contains("HOST"), "{screen}");
}

#[test]
fn without_a_terminal_a_dashboard_is_refused_and_none_is_silent() {
    let place = Workplace::new();
    let refused = place.run(&["watch", "--progress", "dashboard"]).ended(2);
    assert!(
        refused.err().contains("--progress plain"),
        "{}",
        refused.err()
    );
    let args = ["watch", "--progress", "none", "--duration", "1200ms"];
    assert_eq!(place.run(&args).ended(0).out(), "");
}
