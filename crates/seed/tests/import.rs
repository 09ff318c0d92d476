//! A results folder as the harness's scripts write it, imported and drawn.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use record::{Column, Device, Gpu, Host, Session};
use seed::{Fate, Imported, SeedError, import};
use std::{fmt::Write as _, fs, path::Path};

const SMARTCTL: &str = include_str!("smartctl.txt");
const PROMPT_SHA256: &str = "4bd0c87652961efb9ca47efc5486885de8dc14815f1e7bc944de14e3485e9193";
const SECONDS: u32 = 60;

fn manifest(run: &str, hypothesis: &str, minute: u32, users: u32, phase: &str) -> String {
    format!(
        r#"{{
  "run_id":"{run}",
  "timestamp_utc":"2025-11-12T15:{minute:02}:00Z",
  "hypothesis":"{hypothesis}",{phase}
  "engine_profile": "bs64_default_ctx",
  "model_name":"gpt-oss-120b",
  "kv_cache":"ON",
  "concurrency_users": {users},
  "run_duration_sec": {SECONDS},
  "sampling":{{"temperature":0.0,"top_p":1.0,"seed":42}},
  "prompts_sha256":["{PROMPT_SHA256}"],
  "storage":{{"device":"/dev/nvme0n1","model":"SAMSUNG MZALC4T0HBL1-00B07              ","sched":"[none] mq-deadline","read_ahead_kb":"128"}},
  "os":{{"kernel":"6.11.0-1016-nvidia","driver":"580.95.05","dgx_os":"Ubuntu 24.04.2 LTS"}},
  "cpu":{{"governor":"performance","isolation":"server:0-9, loadgen:10-19"}},
  "saturated": false
}}"#
    )
}

/// A row each 3.06 s, as on a machine whose GPU shares the host's memory.
fn telemetry() -> String {
    let mut text = String::from(
        "ms_since_t0,vm_r,vm_b,vm_us,vm_sy,vm_id,vm_wa,mem_MemAvailable_kB,mem_Cached_kB,iostat_rps,iostat_wps,iostat_rMBps,iostat_wMBps,iostat_await_ms,iostat_avg_rqsz,iostat_avg_qu_sz,iostat_util_pct,gpu_util_pct,gpu_mem_used_MiB,gpu_mem_total_MiB,ssd_temp_C\n",
    );
    for row in 0..20 {
        let _ = writeln!(
            text,
            "{},3,1,12,4,80,4,{},50000000,5.30,1.10,1.28,33.36,2.00,0.70,12.00,91.20,88,[N/A],[N/A],45.9",
            row * 3060,
            70_000_000 - row * 1_500_000
        );
    }
    // The collector is killed while it writes.
    text + "61200,3,1,12"
}

fn mpstat() -> String {
    let mut text =
        String::from("Linux 6.11.0-1016-nvidia (spark) \t11/12/25 \t_aarch64_\t(4 CPU)\n\n");
    for second in 0..SECONDS {
        let time = format!("15:30:{second:02}");
        let _ = writeln!(
            text,
            "{time}  CPU  %usr %nice %sys %iowait %irq %soft %steal %guest %gnice %idle"
        );
        for core in ["all", "0", "1", "2", "3"] {
            let iowait = f64::from(second % 10);
            let idle = 75.0 - iowait;
            let _ = writeln!(
                text,
                "{time}  {core}  20.00 0.00 5.00 {iowait:.2} 0.00 0.00 0.00 0.00 0.00 {idle:.2}"
            );
        }
        text.push('\n');
    }
    text
}

const SUMMARY: &str = r#"{"requests_total": 160, "admission_pct": 100.0, "throughput_rps": 2.6,
 "ttft_ms": {"p50": 41.0, "p95": 60.0, "p99": 71.0},
 "latency_ms": {"p50": 5000.0, "p90": 6000.0, "p95": 6100.0, "p99": 6200.0, "p99_ci_low": 6100.0, "p99_ci_high": 6300.0},
 "avg": {"io_wait_pct": 4.0, "qu_sz": 12.0, "rps": 2.6, "gpu_util_pct": 88.0}}"#;

fn write(folder: &Path, run: &str, manifest: &str, summary: &str) {
    let file =
        |end: &str, text: &str| fs::write(folder.join(format!("{run}_{end}")), text).unwrap();
    file("manifest.json", manifest);
    file("telemetry.csv", &telemetry());
    file("mpstat.log", &mpstat());
    file("summary.json", summary);
    file("smartctl_pre.txt", SMARTCTL);
    let post = SMARTCTL
        .replace("41,238,112", "41,248,112")
        .replace("511,872,003", "511,972,003");
    file("smartctl_post.txt", &post);
}

fn write_h2(folder: &Path) {
    for (minute, users) in [(30, 8), (32, 16)] {
        let run = format!("20251112_15{minute}_H2_U{users}_r1");
        write(
            folder,
            &run,
            &manifest(&run, "H2", minute, users, ""),
            SUMMARY,
        );
    }
}

fn imported(write: impl FnOnce(&Path)) -> (tempfile::TempDir, Result<Imported, SeedError>) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("results");
    fs::create_dir(&folder).unwrap();
    write(&folder);
    let imported = import(&folder, &root.path().join("sessions/20251112T153000Z-seed"));
    (root, imported)
}

fn says(imported: &Imported, fate: Fate, words: &str) -> bool {
    let mut notes = imported.notes.iter();
    notes.any(|note| note.fate == fate && note.to_string().contains(words))
}

#[test]
fn what_can_be_trusted_is_in_the_session_under_its_true_name() {
    let (_root, imported) = imported(write_h2);
    let session = imported.unwrap().session;
    let again = Session::open(session.dir.path()).unwrap();
    let names: Vec<&str> = again.manifest.runs.iter().map(|id| id.as_str()).collect();
    assert_eq!(names, ["h2-u008-r1", "h2-u016-r1"]);
    assert_eq!(again.manifest.host.hostname, "spark");
    let model = again.manifest.device.model.as_deref();
    assert_eq!(model, Some("SAMSUNG MZALC4T0HBL1-00B07"));
    let run = again.run_dirs().next().unwrap();
    let (telemetry, torn) = run.read_telemetry().unwrap();
    assert_eq!(torn, None);
    let values = |column: Column| -> Vec<f64> {
        telemetry
            .series(&column)
            .unwrap()
            .iter()
            .flatten()
            .collect()
    };
    let device = |field| Column::Device("nvme0n1".to_owned(), field);
    assert_eq!(values(device(Device::RAwaitMs)), [1.28; 20]);
    assert_eq!(values(device(Device::UtilPct)), [91.2; 20]);
    assert_eq!(values(Column::Gpu(0, Gpu::UtilPct)), [88.0; 20]);
    assert!(values(Column::Gpu(0, Gpu::MemUsedBytes)).is_empty());
    let available = values(Column::Host(Host::MemAvailableBytes));
    assert_eq!(available[0], 70_000_000.0 * 1024.0);
    // Six times 0 to 9 percent of a second, on four cores.
    let iowait = values(Column::Host(Host::CpuIowaitMs));
    assert_eq!(iowait.last(), Some(&(6.0 * 45.0 * 10.0 * 4.0)));
    let sampling = run.read_manifest().unwrap().sampling.unwrap();
    assert_eq!((sampling.ticks_taken, sampling.ticks_due), (20, 59));
    assert!(run.read_requests().is_err(), "no request was made up");
}

#[test]
fn every_fault_of_a_file_is_named_once() {
    let (_root, imported) = imported(write_h2);
    let imported = imported.unwrap();
    for words in [
        "really r_await",
        "a row each 3 s",
        "512,000 bytes",
        "1,315 tokens",
        "no clock is common",
    ] {
        assert!(says(&imported, Fate::Corrected, words), "{words}");
    }
    for words in [
        "writes a second",
        "text ([N/A])",
        "vm_*",
        "ssd_temp_C",
        "first byte of any kind",
        "timed out or failed has left it",
        "kv_cache",
        "1 broken rows",
    ] {
        assert!(says(&imported, Fate::Refused, words), "{words}");
    }
    assert!(imported.notes.iter().all(|note| note.runs.len() == 2));
    assert!(imported.notes[0].to_string().ends_with("(2 runs)"));
}

#[test]
fn the_report_draws_cpu_memory_and_smart_and_concludes_nothing() {
    let (_root, imported) = imported(write_h2);
    let analysis = report::analyze(&imported.unwrap().session);
    let names: Vec<&str> = analysis.figures.iter().map(|it| it.name()).collect();
    for name in ["h8_cpu", "h7_smart", "session_overview"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(!names.iter().any(|it| it.starts_with("h2")), "{names:?}");
    assert_eq!(analysis.verdict.kind, record::VerdictKind::Inconclusive);
    let smart = analysis.runs[0].smart.unwrap();
    assert_eq!(smart.read_bytes, 10_000.0 * 512_000.0);
    assert_eq!(smart.output_tokens, None);
}

#[test]
fn cold_and_warm_are_named_for_what_was_done() {
    let (_root, imported) = imported(|folder| {
        for (minute, phase) in [(30, "COLD"), (32, "WARM")] {
            let run = format!("20251112_15{minute}_H1_{phase}_U1_r1");
            let phase = format!(r#" "phase": "{phase}","#);
            write(
                folder,
                &run,
                &manifest(&run, "H1", minute, 1, &phase),
                SUMMARY,
            );
        }
    });
    let imported = imported.unwrap();
    let names: Vec<&str> = imported
        .session
        .manifest
        .runs
        .iter()
        .map(|id| id.as_str())
        .collect();
    assert_eq!(names, ["h1-u001-cache-dropped-r1", "h1-u001-cache-kept-r1"]);
    assert!(says(
        &imported,
        Fate::Corrected,
        "neither is a cold or a warm load"
    ));
}

#[test]
fn a_damaged_or_foreign_run_is_refused_and_the_rest_imported() {
    let (_root, imported) = imported(|folder| {
        write_h2(folder);
        // The scripts escape nothing: a quote in a drive's name breaks the manifest.
        let run = "20251112_1534_H6_U8_r1";
        let broken = manifest(run, "H6", 34, 8, "").replace("SAMSUNG", "SAM\"SUNG");
        write(folder, run, &broken, SUMMARY);
        let stale = "20251112_1536_H4_A_r1";
        write(folder, stale, &manifest(stale, "H4", 36, 8, ""), SUMMARY);
        let bare = "20251112_1538_H6_U8_r1";
        let nulls = r#"{"requests_total": 90000, "latency_ms": {"p99": null}}"#;
        write(folder, bare, &manifest(bare, "H6", 38, 8, ""), nulls);
        fs::remove_file(folder.join(format!("{bare}_telemetry.csv"))).unwrap();
        fs::write(folder.join(format!("{bare}_smartctl_post.txt")), "").unwrap();
    });
    let imported = imported.unwrap();
    assert_eq!(imported.session.manifest.runs.len(), 3);
    for words in [
        "escape nothing",
        "a run of \"H4\"",
        "telemetry.csv is missing",
        "smartctl_post.txt: smartctl printed nothing",
        "no request succeeded",
    ] {
        assert!(says(&imported, Fate::Refused, words), "{words}");
    }
    let run = imported.session.run_dirs().last().unwrap();
    assert!(!run.smart_pre().exists(), "half a difference is none");
    assert!(run.cpu().exists(), "mpstat’s part is there");
}

#[test]
fn impossible_stamps_and_names_are_refused() {
    let run = "20251112_1530_H2_U8_r1";
    let refused = |from: &str, to: &str| {
        let (_root, imported) = imported(|folder| {
            let manifest = manifest(run, "H2", 30, 8, "").replace(from, to);
            write(folder, run, &manifest, SUMMARY);
        });
        imported.unwrap_err().to_string()
    };
    for (from, to, words) in [
        ("2025-11-12T", "1960-11-12T", "no time of this harness"),
        ("2025-11-12T", "9999-11-12T", "no time of this harness"),
        ("\"H2\"", "\"../H2\"", "a run of"),
    ] {
        let error = refused(from, to);
        assert!(error.contains(words), "{error}");
    }
    let (_root, imported) = imported(|folder| {
        let manifest = manifest(run, "H2", 30, 8, "").replace("/dev/nvme0n1", "/dev/../x,y");
        write(folder, run, &manifest, SUMMARY);
        let file = folder.join(format!("{run}_telemetry.csv"));
        let text = telemetry().replace("\n3060,", &format!("\n{},", u64::MAX));
        fs::write(file, text).unwrap();
    });
    let imported = imported.unwrap();
    assert!(says(&imported, Fate::Refused, "broken rows"));
    let dir = imported.session.run_dirs().next().unwrap();
    assert!(dir.read_telemetry().is_ok());
}

#[test]
fn a_folder_without_runs_and_a_session_that_is_there_are_refused() {
    let (_root, nothing) = imported(|_| {});
    assert!(nothing.unwrap_err().to_string().contains("*_manifest.json"));
    let run = "20251112_1530_H2_U8_r1";
    let (_root, refused) = imported(|folder| {
        let broken = manifest(run, "H2", 30, 8, "").replace("15:30:00Z", "noon");
        write(folder, run, &broken, SUMMARY);
    });
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains(run) && refused.contains("no time"),
        "{refused}"
    );
    let root = tempfile::tempdir().unwrap();
    write_h2(root.path());
    let into = root.path().join("session");
    import(root.path(), &into).unwrap();
    assert!(matches!(
        import(root.path(), &into),
        Err(SeedError::Record(_))
    ));
}
