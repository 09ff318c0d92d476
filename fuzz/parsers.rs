//! Every parser of a stranger's bytes, as a function of any bytes: none may panic.
//!
//! `cargo xtask fuzz` runs them under a fuzzer; an ordinary test (`xtask/tests/corpus.rs`) gives
//! them their seeds.

use std::{fs, path::Path};

/// A parser by the name of its corpus.
pub type Named = (&'static str, fn(&[u8]));

/// Each of them.
pub const ALL: [Named; 7] = [
    ("exchange", exchange),
    ("metrics", metrics),
    ("kernel", kernel),
    ("smart", smart),
    ("plan", plan),
    ("tables", tables),
    ("seed", seed),
];

/// A server's response: any split of the bytes gives the same. The first byte chooses the API, the
/// second the number of cuts, the next ones where they are; the rest is the response.
pub fn exchange(data: &[u8]) {
    load::fuzzing::any_split(data);
}

/// A server's own metrics, as Prometheus's text.
pub fn metrics(data: &[u8]) {
    let _ = probe::metrics::prometheus::parse(&String::from_utf8_lossy(data));
}

/// Files of /proc and /sys; the first byte chooses which.
pub fn kernel(data: &[u8]) {
    use probe::parse::*;
    let [which, text @ ..] = data else { return };
    match which {
        b'0' => {
            let _ = block_stat(text, &mut BlockStat::default());
        }
        b'1' => {
            let _ = diskstats(text, &mut DiskStats::default());
        }
        b'2' => {
            let _ = cpu_stat(text, &mut CpuStat::default());
        }
        b'3' => {
            let _ = cpuinfo(text);
        }
        b'4' => {
            let _ = cpu_list(text);
        }
        b'5' => {
            let _ = meminfo(text, &mut Meminfo::default());
        }
        b'6' => {
            let _ = vmstat(text, &mut Vmstat::default());
        }
        b'7' => {
            let _ = mountinfo(text);
        }
        b'8' => {
            let _ = pretty_name(text);
        }
        b'9' => {
            let _ = pressure(text, &mut Pressure::default());
        }
        b'a' => {
            let _ = pid_stat(text);
        }
        b'b' => {
            let _ = pid_io(text);
        }
        b'c' => {
            let _ = pid_memory(text);
        }
        b'd' => {
            let _ = cgroups(text);
        }
        b'e' => {
            let _ = group_io(text, |_| true);
        }
        b'f' => {
            let _ = listening_inodes(text, 8000);
        }
        _ => {}
    }
}

/// A drive's SMART log, as a page and as smartctl's JSON.
pub fn smart(data: &[u8]) {
    if let Some(page) = data.first_chunk() {
        let _ = probe::nvme::parse_log(page);
    }
    let _ = probe::nvme::parse_smartctl(data);
}

/// A plan, and its quick form.
pub fn plan(data: &[u8]) {
    if let Ok(plan) = plan::Plan::parse(&String::from_utf8_lossy(data)) {
        let _ = plan.quick();
    }
}

/// The files of a run; the first byte chooses which.
pub fn tables(data: &[u8]) {
    let [which, text @ ..] = data else { return };
    let folder = folder();
    let session = record::SessionDir::new(folder.path());
    let run = session.run(&record::RunId::new("h2", 1, 1));
    fs::create_dir_all(run.path()).expect("a folder in memory can be made");
    let write = |path: &Path| fs::write(path, text).expect("a file in memory can be written");
    match which {
        b'r' => {
            write(&run.requests());
            let _ = run.read_requests();
        }
        b't' => {
            write(&run.tokens());
            let _ = run.read_tokens();
        }
        b'h' => {
            write(&run.telemetry());
            let _ = run.read_telemetry();
        }
        b'c' => {
            write(&run.cpu());
            let _ = run.read_cores();
        }
        b's' => {
            write(&run.server());
            let _ = run.read_server();
        }
        b'm' => {
            write(&run.manifest());
            let _ = run.read_manifest();
        }
        b'd' => {
            write(&run.smart_pre());
            let _ = run.read_smart_pre();
        }
        _ => {}
    }
}

/// A results folder of the earlier harness: after each line `=== NAME` the text of that file.
pub fn seed(data: &[u8]) {
    let folder = folder();
    let results = folder.path().join("results");
    fs::create_dir(&results).expect("a folder in memory can be made");
    let text = String::from_utf8_lossy(data);
    for file in text.split("=== ").skip(1) {
        let (name, text) = file.split_once('\n').unwrap_or((file, ""));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = !name.starts_with('.') && (1..100).contains(&name.len());
        if is_name && name.bytes().all(is_plain) {
            fs::write(results.join(name), text).expect("a file in memory can be written");
        }
    }
    let _ = seed::import(&results, &folder.path().join("session"));
}

/// In memory where there is such a place: a fuzzer makes thousands a second.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder for files can be made")
}
