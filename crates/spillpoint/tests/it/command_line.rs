//! The command line's contract: what it takes, what it says, how it ends.

use crate::harness::Workplace;
use std::{fs, io::Write, net::TcpListener, thread};

#[test]
fn a_shown_plan_is_a_plan() {
    let place = Workplace::new();
    let list = place.run(&["plan", "list"]).ended(0).out();
    assert!(list.contains("h2"), "{list}");
    for name in list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let toml = place.run(&["plan", "show", name]).ended(0).out();
        fs::write(place.path("my.toml"), &toml).unwrap();
        let checked = place.run(&["plan", "check", "my.toml"]).ended(0).out();
        assert!(checked.contains("runs, good"), "{name}: {checked}");
    }
}

#[test]
fn a_bad_plan_is_refused_by_line() {
    let place = Workplace::new();
    let toml = place.run(&["plan", "show", "h2"]).ended(0).out();
    let broken = toml.replace("repeats = 3", "repeats = 0");
    fs::write(place.path("my.toml"), &broken).unwrap();
    for command in [&["plan", "check", "my.toml"][..], &["run", "my.toml"]] {
        let refused = place.run(command).ended(2).err();
        assert!(refused.contains("my.toml"), "{refused}");
        assert!(
            refused.contains("line 12") || refused.contains("line 11"),
            "{refused}"
        );
        assert!(refused.contains("use 1 to 1000"), "{refused}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_allowed() {
    let place = Workplace::new();
    let refused = |args: &[&str]| place.run(args).ended(2).err();
    assert!(refused(&["run", "h9"]).contains("h2"));
    assert!(refused(&["run", "h2", "--users", "8,x"]).contains("not a whole number"));
    assert!(refused(&["run", "h2", "--users", "8,8"]).contains("twice"));
    assert!(refused(&["run", "h2", "--duration", "fast"]).contains("500ms"));
    assert!(refused(&["load", "--url", "ftp://x"]).contains("http://127.0.0.1:8000"));
    assert!(refused(&["run", "h2", "--storage", "/no/such/path"]).contains("isn't there"));
    assert!(refused(&["analyze", "nowhere"]).contains("nowhere"));
    assert!(!place.path("results").join("latest").exists());
}

#[test]
fn a_server_that_is_not_there_is_told_before_anything_is_made() {
    let place = Workplace::new();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let refused = place.run(&["run", "h2", "--url", &url]).ended(2).err();
    assert!(refused.contains("start the server"), "{refused}");
    assert_eq!(refused.matches("refused").count(), 1, "{refused}");
    assert_eq!(fs::read_dir(place.path("results")).unwrap().count(), 0);
}

#[test]
fn a_server_of_another_protocol_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let greeter = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail ready\r\n").unwrap();
    });
    let place = Workplace::new();
    let refused = place.run(&["load", "--url", &url]).ended(2).err();
    assert!(refused.contains("does not speak HTTP"), "{refused}");
    greeter.join().unwrap();
}

#[test]
fn results_that_cannot_be_written_are_told_before_the_engine_starts() {
    let place = Workplace::new();
    fs::write(place.path("file"), "").unwrap();
    let args = ["run", "h2", "--quick", "--results", "file"];
    let refused = place.run(&args).ended(2).err();
    assert!(refused.contains("--results"), "{refused}");
}

#[test]
fn every_command_has_a_man_page_and_is_completed() {
    let place = Workplace::new();
    place.run(&["manual", "man"]).ended(0);
    let help = place.run(&["--help"]).ended(0).out();
    let commands = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"));
    let commands = commands.skip(1).take_while(|line| !line.is_empty());
    // A command's line is indented by two; what goes on in a further line, by more.
    let named = commands.filter(|line| !line[2..].starts_with(' '));
    let names: Vec<_> = named
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        names.contains(&"run") && names.contains(&"completions"),
        "{names:?}"
    );
    let completed = place.run(&["completions", "bash"]).ended(0).out();
    for name in names.into_iter().filter(|name| *name != "help") {
        let page = fs::read_to_string(place.path(&format!("man/spillpoint-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
        assert!(completed.contains(&format!("spillpoint,{name})")), "{name}");
    }
    assert!(
        !completed.contains("truth-server"),
        "what is hidden is not offered"
    );
    // Bash itself reads it, and completes an option with it.
    fs::write(place.path("completions"), completed).unwrap();
    let script = "source completions; COMP_WORDS=(spillpoint run --sto); COMP_CWORD=2; \
                  _spillpoint spillpoint --sto run; echo ${COMPREPLY[@]}";
    let mut bash = std::process::Command::new("bash");
    let asked = bash
        .args(["-c", script])
        .current_dir(place.path(""))
        .output();
    assert_eq!(
        String::from_utf8(asked.unwrap().stdout).unwrap(),
        "--storage\n"
    );
}
