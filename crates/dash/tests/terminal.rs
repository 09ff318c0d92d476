//! A program that panics while its dashboard is up, on a real terminal (tmux). Left out without
//! `SPILLPOINT_TMUX`, which `cargo xtask test` sets.

use dash::{Dashboard, HostTitle, Screen};
use probe::Latest;
use std::{
    env, fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Set where this test is the program that panics.
const CHILD: &str = "SPILLPOINT_TEST_PANICS";

#[test]
fn a_panic_is_read_on_a_terminal_that_is_as_it_was() {
    if env::var_os(CHILD).is_some() {
        let dashboard = Dashboard::of_host(HostTitle::default(), Latest::default(), Screen::Stdout);
        let _dashboard = dashboard.unwrap();
        thread::sleep(Duration::from_millis(800));
        // On another thread: the one that holds the dashboard has still to drop it.
        let _ = thread::spawn(|| panic!("on purpose")).join();
        thread::sleep(Duration::from_secs(1));
        panic!("and here");
    }
    let Some(tmux) = env::var_os("SPILLPOINT_TMUX") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("tmux");
    let tmux = |args: &[&str]| {
        let mut tmux = Command::new(&tmux);
        tmux.arg("-S").arg(&socket).args(args);
        let output = tmux.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let program = env::current_exe().unwrap();
    let script = format!(
        "stty -a > before; {CHILD}=1 RUST_BACKTRACE=0 {} --nocapture; stty -a > after; echo over; \
         exec sleep 1000",
        program.display()
    );
    let mut args = vec![
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        "100",
        "-y",
        "30",
    ];
    args.push(&script);
    tmux(&args);
    let began = Instant::now();
    let mut dashboard_seen = false;
    let screen = loop {
        let screen = tmux(&["capture-pane", "-p"]);
        dashboard_seen |= screen.contains("Ctrl-C ends");
        if screen.contains("over") || began.elapsed() > Duration::from_secs(60) {
            break screen;
        }
        thread::sleep(Duration::from_millis(50));
    };
    tmux(&["kill-server"]);
    assert!(dashboard_seen, "{screen}");
    assert!(screen.contains("on purpose"), "{screen}");
    assert!(screen.contains("and here"), "{screen}");
    assert!(
        !screen.contains("Ctrl-C ends"),
        "nothing is drawn any more: {screen}"
    );
    let read = |name: &str| fs::read_to_string(Path::join(folder.path(), name)).unwrap();
    assert_eq!(read("before"), read("after"));
}
