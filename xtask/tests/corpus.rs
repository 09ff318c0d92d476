//! The fuzzer's seeds, through the parsers that it tries: none panics.

#[expect(unreachable_pub, reason = "the fuzzer's targets use them")]
#[path = "../../fuzz/parsers.rs"]
mod parsers;

use std::{fs, path::Path};

#[test]
fn every_seed_goes_through_its_parser() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, parse) in parsers::ALL {
        let seeds = fs::read_dir(corpus.join(name)).expect("each parser has a corpus");
        let mut seen = 0;
        for seed in seeds {
            let path = seed.expect("the corpus can be read").path();
            println!("{}", path.display());
            parse(&fs::read(&path).expect("the seed can be read"));
            seen += 1;
        }
        assert!(seen > 0, "{name} has no seeds");
    }
}

/// What a seed is for: it must reach what lies behind the first check.
#[test]
fn seeds_are_what_the_parsers_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let text = |name: &str| fs::read_to_string(corpus.join(name)).expect("the seed is text");
    assert!(plan::Plan::parse(&text("plan/h2")).is_ok());
    assert!(probe::metrics::prometheus::parse(&text("metrics/vllm")).is_ok());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let session = record::SessionDir::new(folder.path());
    let run = session.run(&record::RunId::new("h2", 1, 1));
    fs::create_dir_all(run.path()).expect("a folder can be made");
    let put = |name: &str, path: &Path| {
        let seed = fs::read(corpus.join(name)).expect("the seed can be read");
        fs::write(path, &seed[1..]).expect("the file can be written");
    };
    put("tables/requests", &run.requests());
    put("tables/tokens", &run.tokens());
    put("tables/telemetry", &run.telemetry());
    put("tables/cpu", &run.cpu());
    put("tables/server", &run.server());
    put("tables/smart", &run.smart_pre());
    put("tables/manifest", &run.manifest());
    assert!(!run.read_requests().expect("rows").0.is_empty());
    assert!(!run.read_tokens().expect("frames").0.is_empty());
    assert!(!run.read_telemetry().expect("ticks").0.is_empty());
    assert!(!run.read_cores().expect("cores").0.is_empty());
    assert!(!run.read_server().expect("figures").0.is_empty());
    assert!(run.read_smart_pre().is_ok() && run.read_manifest().is_ok());
}
