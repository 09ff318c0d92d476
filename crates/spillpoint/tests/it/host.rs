//! The host alone: `watch` and `doctor`.

use crate::harness::Workplace;
use record::{Column, Host, SessionDir};
use std::{fs, net::TcpListener};

#[test]
fn watch_samples_to_the_screen_and_to_files_that_read_back() {
    let place = Workplace::new();
    let args = [
        "watch",
        "--interval",
        "20ms",
        "--duration",
        "2500ms",
        "--out",
        "runs/watched",
    ];
    let ran = place.run(&args).ended(0);
    let lines: Vec<_> = ran.out().lines().map(str::to_owned).collect();
    assert!(lines[0].contains("PSI io, %"), "{lines:?}");
    assert_eq!(lines.len(), 3, "a heading, and a line a second: {lines:?}");
    assert!(ran.err().contains("ticks taken"), "{}", ran.err());

    let folder = place.path("runs/watched");
    let id = serde_json::from_str("\"watched\"").unwrap();
    let run = SessionDir::new(place.path("")).run(&id);
    assert_eq!(run.path(), folder);
    let (telemetry, torn) = run.read_telemetry().unwrap();
    assert_eq!(torn, None);
    assert!(telemetry.len() > 10, "{}", telemetry.len());
    let memory = telemetry
        .series(&Column::Host(Host::MemAvailableBytes))
        .unwrap();
    assert!(
        memory
            .iter()
            .all(|value| value.is_some_and(|bytes| bytes > 0.0))
    );

    let refused = place.run(&args).ended(2).err();
    assert!(
        refused.contains("telemetry.csv"),
        "no file is written over: {refused}"
    );
    assert!(fs::exists(folder.join("cpu.csv")).unwrap());
}

#[test]
fn the_doctor_tells_facts_and_a_server_that_is_not_there() {
    let place = Workplace::new();
    let told = place.run(&["doctor"]).ended(0).out();
    for topic in ["kernel:", "pressure:", "page size:", "free space:", "GPU:"] {
        assert!(told.contains(topic), "{topic} {told}");
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let told = place.run(&["doctor", "--url", &url]).ended(3).out();
    assert!(told.contains("stops  server"), "{told}");
    assert!(told.contains("start the server"), "{told}");
}
