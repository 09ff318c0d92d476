//! One run: its files read, what they claim corrected or refused, the rest written.

use crate::{manifest::Manifest, mpstat, note::Notes, smartctl, summary, telemetry::Telemetry};
use clock::SessionNs;
use record::{
    Column, CoreRow, CpuTimes, Device, Gpu, Host, RecordError, RunDir, SmartLog, SmartSnapshot,
    TelemetryRow, TelemetryWriter, Value,
};
use std::{path::Path, time::Duration};

/// What could be read of a run.
pub(crate) struct Files {
    pub(crate) telemetry: Option<Telemetry>,
    pub(crate) mpstat: Option<mpstat::Log>,
    pub(crate) smart: Option<[SmartLog; 2]>,
}

impl Files {
    pub(crate) fn read(folder: &Path, manifest: &Manifest, notes: &mut Notes) -> Self {
        let run = manifest.run_id.as_str();
        let text = |end: &str| {
            let bytes = std::fs::read(folder.join(format!("{run}_{end}"))).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let telemetry = match text("telemetry.csv").map(|it| Telemetry::parse(&it)) {
            Some(Ok(telemetry)) => Some(telemetry),
            other => refuse_file(run, "telemetry.csv", other.and_then(Result::err), notes),
        };
        let mpstat = match text("mpstat.log").map(|it| mpstat::Log::parse(&it)) {
            Some(Ok(log)) => Some(log),
            other => refuse_file(run, "mpstat.log", other.and_then(Result::err), notes),
        };
        let smart = ["smartctl_pre.txt", "smartctl_post.txt"].map(|file| {
            let text = text(file).ok_or_else(|| format!("{file} is missing"));
            text.and_then(|it| smartctl::parse(&it).map_err(|why| format!("{file}: {why}")))
        });
        let smart = match smart {
            [Ok(pre), Ok(post)] => Some([pre, post]),
            [pre, post] => {
                for why in [pre.err(), post.err()].into_iter().flatten() {
                    notes.refused(run, why);
                }
                None
            }
        };
        let files = Self {
            telemetry,
            mpstat,
            smart,
        };
        summary::refuse(run, text("summary.json").as_deref(), notes);
        files.say(manifest, notes);
        files
    }

    /// What holds of these files whatever is in them.
    fn say(&self, manifest: &Manifest, notes: &mut Notes) {
        let run = manifest.run_id.as_str();
        if let Some(telemetry) = &self.telemetry {
            say_telemetry(run, telemetry, self.mpstat.is_some(), notes);
        }
        if self.smart.is_some() {
            notes.corrected(run, "smartctl: a data unit is 512,000 bytes; the harness's own figures take it for 512 and call GiB GB, 1,074 times too little");
        }
        if let Some(arm) = manifest.arm() {
            notes.corrected(run, format!("{}: the server had its model loaded already, so neither is a cold or a warm load; named {arm}, for what was done", manifest.phase.as_deref().unwrap_or_default()));
        }
        if manifest.prompt_is_known() {
            notes.corrected(run, "the prompt called 1k has 1,315 tokens (o200k)");
        }
        notes.refused(run, "manifest.json kv_cache, cpu and saturated: stated by the scripts, never looked at; dgx_os: the container's, not the machine's");
    }

    /// How long it was watched, in milliseconds.
    pub(crate) fn watched_ms(&self) -> u64 {
        let rows = self.telemetry.as_ref().and_then(|it| it.rows.last());
        let seconds = self.mpstat.as_ref().and_then(|it| it.seconds.last());
        let rows = rows.map_or(0, |row| row.ms + ROW_MS);
        rows.max(seconds.map_or(0, |second| u64::from(second.after_s) * 1000))
    }
}

fn refuse_file<T>(run: &str, file: &str, why: Option<String>, notes: &mut Notes) -> Option<T> {
    notes.refused(run, why.unwrap_or_else(|| format!("{file} is missing")));
    None
}

fn say_telemetry(run: &str, telemetry: &Telemetry, has_mpstat: bool, notes: &mut Notes) {
    if let Some(cadence) = telemetry.cadence_s() {
        let whole = cadence.round();
        notes.corrected(run, format!("telemetry.csv: a row each {whole} s or so, not each second; its columns are of different seconds and are laid there"));
    }
    if telemetry.broken > 0 {
        notes.refused(
            run,
            format!("telemetry.csv: {} broken rows", telemetry.broken),
        );
    }
    if telemetry.iostat_12 {
        notes.corrected(
            run,
            "telemetry.csv iostat_rMBps: really r_await in ms, as iostat 12 orders its columns",
        );
        notes.refused(run, "telemetry.csv iostat_rps, iostat_wps, iostat_wMBps, iostat_await_ms, iostat_avg_rqsz, iostat_avg_qu_sz: really rrqm/s, %rrqm, rareq-sz, wrqm/s, wMB/s and writes a second, of one second in three: no count can be made of them; reads and their bytes are in no column");
    } else {
        notes.refused(run, "telemetry.csv iostat_*: not in the order of iostat 12, and the file does not say of which; only iostat_util_pct is certain");
    }
    if let Some(text) = &telemetry.gpu_memory_text {
        notes.refused(run, format!("telemetry.csv gpu_mem_used_MiB, gpu_mem_total_MiB: text ({text}), as where the GPU shares the host's memory"));
    }
    let vm = if has_mpstat {
        "telemetry.csv vm_*: whole percents of one second in three; mpstat.log has every second"
    } else {
        "telemetry.csv vm_*: whole percents of one second in three, and without mpstat.log there is nothing better"
    };
    notes.refused(run, vm);
    notes.refused(
        run,
        "evictions as falls of mem_Cached_kB: noise falls too; a refault would tell, and none was counted",
    );
    notes.refused(
        run,
        "telemetry.csv ssd_temp_C: of the first NVMe sensor found, which may be another drive's",
    );
    notes.corrected(run, "no clock is common to telemetry.csv and mpstat.log: both are laid at the run's start, up to a second apart");
}

/// Where in a row's three seconds `vmstat` had ended and memory was read, and where `iostat` had.
const MEMORY_MS: u64 = 1000;
const ROW_MS: u64 = 2000;

/// What one moment adds to the files.
#[derive(Default)]
struct Moment {
    ms: u64,
    times: Option<CpuTimes>,
    memory: [Option<u64>; 2],
    device: [Option<f64>; 2],
    gpu: (Option<f64>, [Option<u64>; 2]),
    cores: Vec<(u32, CpuTimes)>,
}

/// Writes the run's telemetry, cores and SMART snapshots; `start` is its start.
pub(crate) fn write(
    files: &Files,
    manifest: &Manifest,
    start: SessionNs,
    dir: &RunDir,
) -> Result<(), RecordError> {
    let device = manifest.device();
    if let (Some([pre, post]), Some(device)) = (&files.smart, device) {
        let end = start.plus(Duration::from_millis(files.watched_ms()));
        dir.write_smart_pre(&SmartSnapshot::new(start, device, pre.clone()))?;
        dir.write_smart_post(&SmartSnapshot::new(end, device, post.clone()))?;
    }
    let moments = moments(files);
    if moments.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<Column> = CpuTimes::OF_HOST.map(Column::Host).to_vec();
    columns.push(Column::Host(Host::MemAvailableBytes));
    columns.push(Column::Host(Host::MemCachedBytes));
    if let Some(device) = device {
        let of = |field| Column::Device(device.to_owned(), field);
        columns.extend([of(Device::RAwaitMs), of(Device::UtilPct)]);
    }
    columns
        .extend([Gpu::UtilPct, Gpu::MemUsedBytes, Gpu::MemTotalBytes].map(|it| Column::Gpu(0, it)));
    let mut writer = TelemetryWriter::create(dir.path(), &columns)?;
    for (tick, moment) in (0..).zip(&moments) {
        let t = start.plus(Duration::from_millis(moment.ms));
        let cores: Vec<CoreRow> = moment
            .cores
            .iter()
            .map(|&(core, times)| CoreRow { t, core, times })
            .collect();
        let values = values(moment, device.is_some());
        writer.tick(&TelemetryRow { tick, t, values }, &cores)?;
    }
    Ok(())
}

fn values(moment: &Moment, has_device: bool) -> Vec<Value> {
    let mut values: Vec<Value> = match moment.times {
        Some(times) => times.fields().map(Value::Int).to_vec(),
        None => vec![Value::Absent; CpuTimes::OF_HOST.len()],
    };
    values.extend(moment.memory.map(Value::from));
    if has_device {
        values.extend(moment.device.map(Value::from));
    }
    values.push(moment.gpu.0.into());
    values.extend(moment.gpu.1.map(Value::from));
    values
}

fn moments(files: &Files) -> Vec<Moment> {
    let mut moments = Vec::new();
    for row in files.telemetry.iter().flat_map(|it| &it.rows) {
        moments.push(Moment {
            ms: row.ms + MEMORY_MS,
            memory: [row.available_bytes, row.cached_bytes],
            ..Moment::default()
        });
        let is_known = files.telemetry.as_ref().is_some_and(|it| it.iostat_12);
        moments.push(Moment {
            ms: row.ms + ROW_MS,
            device: [row.r_await_ms.filter(|_| is_known), row.util_pct],
            gpu: (row.gpu_util_pct, [row.gpu_used_bytes, row.gpu_total_bytes]),
            ..Moment::default()
        });
    }
    for second in files.mpstat.iter().flat_map(|it| &it.seconds) {
        moments.push(Moment {
            ms: u64::from(second.after_s) * 1000,
            times: Some(second.all()),
            cores: second
                .cores
                .iter()
                .map(|(&core, &times)| (core, times))
                .collect(),
            ..Moment::default()
        });
    }
    moments.sort_by_key(|moment| moment.ms);
    moments
}
