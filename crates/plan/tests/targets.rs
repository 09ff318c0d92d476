//! The targets' files that come with the project.

use plan::TargetFile;
use std::{fs, path::Path};

#[test]
fn every_target_that_comes_along_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../targets");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        // A server's own settings lie beside its target.
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let toml = fs::read_to_string(&file).unwrap();
        let target = TargetFile::parse(&toml).unwrap();
        assert!(
            target.url.starts_with("http://127.0.0.1:"),
            "{}",
            file.display()
        );
        // What is commented out is to be right, too.
        let uncommented: Vec<_> = toml
            .lines()
            .map(|line| {
                line.strip_prefix("# ")
                    .filter(|_| line.contains(['[', '=', ']', '"']))
                    .unwrap_or(line)
            })
            .collect();
        TargetFile::parse(&uncommented.join("\n")).unwrap();
    }
}
