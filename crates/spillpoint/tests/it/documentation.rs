//! The documentation agrees with the sources, and its links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files below a folder that end so. What is hidden, or made by cargo, is left out.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || path.join("CACHEDIR.TAG").exists() {
            continue;
        }
        if path.is_dir() {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// A source file up to its tests.
fn code_of(path: &Path) -> String {
    let mut code = fs::read_to_string(path).unwrap();
    if let Some(tests) = code.find("#[cfg(test)]\nmod tests {") {
        code.truncate(tests);
    }
    code
}

/// The sources of all crates without their tests, each string on one line, its quotes plain.
fn sources() -> String {
    let mut paths = Vec::new();
    files(&root().join("crates"), ".rs", &mut paths);
    let program = paths
        .iter()
        .filter(|path| path.components().any(|it| it.as_os_str() == "src"));
    let mut all = String::new();
    for path in program {
        let code = code_of(path);
        let mut pieces = code.split("\\\n");
        all.push_str(pieces.next().unwrap());
        pieces.for_each(|piece| all.push_str(piece.trim_start()));
    }
    all.replace("\\\"", "\"")
}

/// What stands between quotes and consists of such letters alone.
fn names(code: &str, letter: fn(char) -> bool) -> Vec<&str> {
    let is_name = |word: &&str| word.len() > 3 && word.chars().all(|it| it == '_' || letter(it));
    code.split('"').filter(is_name).collect()
}

/// A message is the first cell of a row, in backticks; `…` stands for what differs.
#[test]
fn every_message_of_the_troubleshooting_page_is_one_that_the_program_has() {
    let (page, sources) = (read("docs/troubleshooting.md"), sources());
    let first = |row: &str| Some(row.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    let messages: Vec<String> = page.lines().filter_map(first).collect();
    assert!(messages.len() > 100, "{} messages", messages.len());
    let parts = messages.iter().flat_map(|message| message.split('…'));
    let fixed = parts.map(str::trim).filter(|part| part.len() > 5);
    let stale: Vec<&str> = fixed.filter(|part| !sources.contains(part)).collect();
    assert!(stale.is_empty(), "no longer in the sources: {stale:#?}");
}

/// Words in capitals that are no codes.
const NO_CODES: [&str; 2] = ["TTFT", "SCREAMING_SNAKE_CASE"];

#[test]
fn every_gate_and_every_reason_is_explained() {
    let methods = read("docs/methods.md");
    let mut paths = vec![root().join("crates/record/src/verdict.rs")];
    files(&root().join("crates/report/src/verdict"), ".rs", &mut paths);
    let codes: String = paths.iter().map(|path| code_of(path)).collect();
    let gates = code_of(&root().join("crates/lab/src/gates/mod.rs"));
    let gates = names(&gates, |it| it.is_ascii_lowercase());
    let codes = names(&codes, |it| it.is_ascii_uppercase());
    assert!(gates.contains(&"client_lag") && codes.contains(&"FEW_REPEATS"));
    let explained = |name: &&str| NO_CODES.contains(name) || methods.contains(&format!("`{name}`"));
    let missing: Vec<&str> = gates
        .into_iter()
        .chain(codes)
        .filter(|it| !explained(it))
        .collect();
    assert!(missing.is_empty(), "not in docs/methods.md: {missing:?}");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut pages = Vec::new();
    files(root(), ".md", &mut pages);
    let mut broken = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets.filter(|(target, _)| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            if !file.exists() || !(heading.is_empty() || has_heading(&file, heading)) {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(pages.len() > 10 && broken.is_empty(), "{broken:#?}");
}

/// Whether a page has a heading with this anchor, as forges make anchors of headings.
fn has_heading(page: &Path, anchor: &str) -> bool {
    let anchor_of = |heading: &str| -> String {
        let kept = heading
            .trim()
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let text = fs::read_to_string(page).unwrap();
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|line| anchor_of(line.trim_start_matches('#')) == anchor)
}
