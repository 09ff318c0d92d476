//! The exports, read by the tools that they are for.

#[path = "../../report/tests/report/scenario.rs"]
mod scenario;

use export::{Format, export};
use scenario::Scenario;
use std::process::Command;

#[test]
#[ignore = "needs a Python with tests/requirements.txt in it, named by SPILLPOINT_TEST_PYTHON_READERS"]
fn the_tools_own_readers_accept_the_exports() {
    let Some(python) = std::env::var_os("SPILLPOINT_TEST_PYTHON_READERS") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        users: vec![2, 4],
        measure_s: 60.0,
        cores: 2,
        ..Scenario::default()
    };
    let mut session = scenario.write(root.path());
    let exports = root.path().join("exports");
    for (format, name) in [
        (Format::Parquet, "parquet"),
        (Format::Aiperf, "aiperf"),
        (Format::Vllm, "vllm"),
        (Format::Guidellm, "guidellm"),
    ] {
        let exported = export(&session, format, &exports.join(name)).unwrap();
        assert!(!exported.files.is_empty(), "{name}");
    }
    // A lab: the same from two more machines, one of them a day later, into one folder.
    for (host, days) in [("spark", 0), ("spark-2", 0), ("spark-3", 1)] {
        session.manifest.host.hostname = host.to_owned();
        session.manifest.clock.utc_ns += days * 86_400_000_000_000;
        export(&session, Format::Parquet, &exports.join("lab")).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&exports)
        .current_dir(root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
