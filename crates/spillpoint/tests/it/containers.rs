//! The container files, held against what they repeat of the rest of the project.

use std::{fs, path::Path, process::Command};

fn of_the_project(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

#[test]
fn the_image_is_built_by_the_oldest_rust_that_is_promised() {
    let promised = of_the_project("Cargo.toml");
    let version = promised
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.unwrap().trim_matches('"');
    let image = format!("FROM rust:{version}-slim-trixie AS build\n");
    assert!(of_the_project("Dockerfile").contains(&image), "{image}");
}

/// The words of the server's command: the list's items in compose.yaml, the strings of the lifecycle
/// (which is commented out) in the target's file.
fn words<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let trim = |line: &'a str| line.trim().trim_start_matches("- ").trim_matches('"');
    lines.map(trim).collect()
}

#[test]
fn compose_starts_the_server_as_the_targets_file_says() {
    let compose = of_the_project("compose.yaml");
    let command = compose.lines().skip_while(|line| line.trim() != "command:");
    let composed = words(
        command
            .skip(1)
            .take_while(|line| line.starts_with("      - ")),
    );
    assert_eq!(composed[..2], ["trtllm-serve", "openai/gpt-oss-120b"]);

    let target = of_the_project("targets/trtllm-serve.toml");
    let lifecycle = target
        .lines()
        .skip_while(|line| !line.contains("\"trtllm-serve\","));
    let lines: Vec<_> = lifecycle.take_while(|line| *line != "# ]").collect();
    let joined = lines.join(" ").replace('#', "");
    let started = words(joined.split(',').filter(|word| !word.trim().is_empty()));
    assert_eq!(started, composed);

    let port = composed.iter().skip_while(|word| **word != "--port").nth(1);
    let url = format!("url = \"http://127.0.0.1:{}\"", port.unwrap());
    assert!(target.contains(&url), "{url}");
    assert!(compose.contains("./targets/extra-llm-api-config.yml:/extra-llm-api-config.yml:ro"));
    of_the_project("targets/extra-llm-api-config.yml");
}

#[test]
fn the_binary_needs_no_library_that_the_image_lacks() {
    let mut readelf = Command::new("readelf");
    readelf.args(["--dynamic", env!("CARGO_BIN_EXE_spillpoint")]);
    let said = readelf.output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let needed = said.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<_> = needed
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.contains(&"libc.so.6"), "{said}");
    for library in needed {
        // What distroless's `cc` image is there for: glibc's and gcc's.
        let there = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-"];
        assert!(there.iter().any(|it| library.starts_with(it)), "{library}");
    }
}
