//! llama.cpp with a model of 540 MB, on a device of its own: H1; and H2 where its memory is too small
//! for the model, so that it reads the model from storage with every token, and where it is not.

use crate::harness::{Workplace, free_port, is_root, with_mounts};
use record::{Column, Host, RunDir, Server, Session, TargetKind, VerdictKind};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The model has 540 MB.
const MODEL_BYTES: f64 = 540e6;
const LIMIT_BYTES: u64 = 300 << 20;

/// A memory control group, gone at the end.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Made with a limit, below this process's own group, or the root of the unified tree.
    fn new() -> Self {
        let name = format!("spillpoint-test-{}", std::process::id());
        let (group, limit) = match own_v1() {
            Some(own) => (own.join(name), "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup").join(name), "memory.max"),
        };
        fs::create_dir(&group).unwrap();
        let group = Self(group);
        fs::write(group.0.join(limit), LIMIT_BYTES.to_string()).unwrap();
        group
    }

    fn members(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A group that still has members can't be removed; the test has failed then.
        let _ = fs::remove_dir(&self.0);
    }
}

fn own_v1() -> Option<PathBuf> {
    let root = Path::new("/sys/fs/cgroup/memory");
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut own = groups
        .lines()
        .filter_map(|line| line.split_once(":memory:"));
    let (_, own) = own.next()?;
    root.is_dir()
        .then(|| root.join(own.trim_start_matches('/')))
}

/// The target's file, the server's start preceded by this.
fn target(place: &Path, before: &str) {
    let named = |name| std::env::var(name).expect("run `cargo xtask test`: it sets this up");
    let port = free_port();
    let start = format!(
        "{before} exec {} {} --model device/model.gguf --context 1024 --port {port}",
        named("SPILLPOINT_TEST_PYTHON"),
        named("SPILLPOINT_TEST_LLAMA_SERVER")
    );
    let toml = format!(
        "url = \"http://127.0.0.1:{port}\"\nmodel_files = [\"device/model.gguf\"]\n[lifecycle]\n\
         start = [\"sh\", \"-c\", {start:?}]\n"
    );
    fs::write(place, toml).unwrap();
}

/// A script's beginning: a device of its own, past the page cache of the one below, with the model on
/// it. Its counters are the server's reads alone. It is freed with the mount.
fn with_model() -> String {
    let python = std::env::var("SPILLPOINT_TEST_PYTHON").unwrap();
    let serve = PathBuf::from(std::env::var("SPILLPOINT_TEST_LLAMA_SERVER").unwrap());
    format!(
        "set -e; truncate -s 620M image; mkfs.ext4 -q -m 0 image; mkdir device
         loop=$(losetup --find --show --direct-io=on image)
         mount \"$loop\" device; losetup --detach \"$loop\"
         {python} {} device/model.gguf\n",
        serve.with_file_name("big_model.py").display()
    )
}

/// How much a counter rose while the run was sampled.
fn rise(run: &RunDir, column: Column) -> f64 {
    let (telemetry, _) = run.read_telemetry().unwrap();
    let series = telemetry.series(&column).unwrap();
    let counted: Vec<f64> = series.iter().flatten().collect();
    counted.last().unwrap() - counted.first().unwrap()
}

#[test]
#[ignore = "needs the real server, a device of its own and a memory limit: cargo xtask test, as root"]
fn too_little_memory_is_told_apart_from_enough() {
    if !is_root() {
        return;
    }
    let place = Workplace::new();
    let group = MemoryGroup::new();
    target(&place.path("enough.toml"), "");
    let join = format!("echo $$ > {} &&", group.members().display());
    target(&place.path("small.toml"), &join);
    let script = format!(
        "{} for size in small enough; do
           \"$SPILLPOINT\" run h2 --quick --target $size.toml --results $size --storage device \
             --users 1,2 --duration 8s --prompt-tokens 32 --max-tokens 8
         done",
        with_model()
    );
    let told = with_mounts(&place, &script).ended(0).out();
    let session = |size: &str| Session::open(&place.path(size).join("latest")).unwrap();
    let (small, enough) = (session("small"), session("enough"));
    assert_eq!(small.manifest.target.kind, TargetKind::Managed);
    let kind = |session: &Session| session.manifest.verdict.as_ref().unwrap().kind;
    let pressed = [VerdictKind::StorageBound, VerdictKind::MemoryPressure];
    assert!(pressed.contains(&kind(&small)), "{told}");
    assert!(!pressed.contains(&kind(&enough)), "{told}");
    let read = |run: &RunDir| rise(run, Column::Server(Server::ReadBytes));
    for run in small.run_dirs() {
        assert!(read(&run) > MODEL_BYTES, "{told}");
        // Pages of 64 KiB at most.
        let refaults = rise(&run, Column::Host(Host::WorkingsetRefaultFilePages));
        assert!(refaults * 65536.0 > MODEL_BYTES, "{told}");
    }
    for run in enough.run_dirs() {
        assert!(read(&run) < MODEL_BYTES / 10.0, "{told}");
    }
}

#[test]
#[ignore = "needs the real server and a device of its own: cargo xtask test, as root"]
fn a_cold_load_reads_the_model_from_the_device_and_a_warm_one_does_not() {
    if !is_root() {
        return;
    }
    let place = Workplace::new();
    target(&place.path("target.toml"), "");
    let script = format!(
        "{} exec \"$SPILLPOINT\" run h1 --quick --target target.toml --duration 2s \
           --prompt-tokens 32 --max-tokens 4",
        with_model()
    );
    let told = with_mounts(&place, &script).ended(0).out();
    let session = place.latest();
    let loads: Vec<_> = session
        .run_dirs()
        .map(|run| run.read_manifest().unwrap())
        .map(|manifest| (manifest.arm.unwrap(), manifest.model_load.unwrap()))
        .collect();
    assert_eq!(loads.len(), 6, "{told}");
    for (arm, load) in loads {
        let read = load.device_read_bytes.unwrap() as f64 / MODEL_BYTES;
        match arm.as_str() {
            // Metadata of the file system comes on top.
            "cold" => assert!((0.95..1.1).contains(&read), "{load:?}"),
            _ => assert!(read < 0.01, "{load:?}"),
        }
        assert!(arm != "cold" || load.weights_read_ns.is_some(), "{load:?}");
    }
    // How much longer it takes depends on the drive; that it reads is sure.
    assert!(told.contains("COLD_BYTES"), "{told}");
}
