//! Writing to the drive before the first run, by fio, so that all sessions find it in a like state.

use super::{Preparation, change::Change};
use crate::{LabError, server};
use load::Stop;
use nix::sys::{
    signal::{Signal, killpg},
    statvfs::statvfs,
};
use plan::{Plan, Precondition};
use probe::{Roots, device, nvme};
use record::{DeviceUnderTest, PrepareOutcome, Prepared, SmartLog};
use std::{
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
const WHAT: &str = "precondition";

/// What is known of a drive's wear.
enum Wear {
    /// From its SMART log.
    Known(Box<SmartLog>),
    /// It is an NVMe drive, and its log can't be read.
    Hidden(String),
    /// It is no NVMe drive: there is no such log.
    None,
}

impl Wear {
    fn of(roots: &Roots, disk: &str) -> Self {
        if !disk.starts_with("nvme") {
            return Self::None;
        }
        match nvme::read(roots, disk) {
            Ok(log) => Self::Known(Box::new(log)),
            Err(error) => Self::Hidden(error.to_string()),
        }
    }
}

/// Why the drive is not to be written to: pure.
fn refusal(
    wanted: &Precondition,
    keep_mib: u64,
    free_mib: Option<u64>,
    wear: &Wear,
) -> Option<String> {
    let needed_mib = u64::from(wanted.size_mib.get()) + keep_mib;
    match free_mib {
        None => return Some("how much space is free is not known".to_owned()),
        Some(free_mib) if free_mib < needed_mib => {
            return Some(format!(
                "{free_mib} MiB are free, and its file and what must stay free take {needed_mib} MiB"
            ));
        }
        Some(_) => {}
    }
    let log = match wear {
        Wear::Known(log) => log,
        Wear::Hidden(why) => return Some(format!("the drive's wear is not known: {why}")),
        Wear::None => return None,
    };
    let (used, used_max) = (f64::from(log.used_pct), wanted.used_pct_max.get());
    let (spare, spare_min) = (
        f64::from(log.available_spare_pct),
        wanted.spare_pct_min.get(),
    );
    if log.critical_warning != 0 {
        let bits = log.critical_warning;
        return Some(format!(
            "the drive warns of its state (critical warning {bits:#04x})"
        ));
    }
    if used > used_max {
        return Some(format!(
            "the drive has used {used} % of its rated endurance, more than {used_max} %"
        ));
    }
    (spare < spare_min).then(|| {
        format!("the drive has {spare} % of its spare blocks left, less than {spare_min} %")
    })
}

/// fio's command: pure.
fn command(wanted: &Precondition, file: &Path) -> Vec<String> {
    // fio takes a colon in a name for the start of another.
    let name = file.display().to_string().replace(':', "\\:");
    vec![
        "fio".to_owned(),
        "--name=precondition".to_owned(),
        "--thread".to_owned(),
        format!("--filename={name}"),
        format!("--size={}m", wanted.size_mib.get()),
        format!("--runtime={}", wanted.limit.0.as_secs().max(1)),
        "--rw=write".to_owned(),
        "--bs=1m".to_owned(),
        "--iodepth=16".to_owned(),
        "--ioengine=libaio".to_owned(),
        // Past the page cache: the drive is to be written to, not memory.
        "--direct=1".to_owned(),
        "--end_fsync=1".to_owned(),
        "--output-format=json".to_owned(),
    ]
}

/// What fio's JSON says it wrote, for people. A word before the JSON is skipped.
fn written(said: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(&said[said.find('{')?..]).ok()?;
    let write = json.get("jobs")?.get(0)?.get("write")?;
    let mib = write.get("io_bytes")?.as_u64()? / MIB;
    let seconds = write.get("runtime")?.as_f64()? / 1e3;
    let mb_s = write.get("bw_bytes")?.as_f64()? / 1e6;
    (mib > 0).then(|| format!("{mib} MiB written in {seconds:.1} s ({mb_s:.0} MB/s)"))
}

/// What fio may take on top: it lays out the file and waits for the drive.
const GRACE: Duration = Duration::from_secs(60);

/// Runs it to its end, its limit or the person's wish to end. Err: in its own words.
fn run(words: &[String], limit: Duration, stop: &Stop) -> Result<String, String> {
    let spawned = server::command(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| format!("fio can't be started ({error})"))?;
    let began = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if stop.is_stopped() || began.elapsed() > limit + GRACE {
            end(&mut child);
        }
        thread::sleep(Duration::from_millis(20));
    }
    let ended = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let (said, complained) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    if let (true, Some(written)) = (ended.status.success(), written(&said)) {
        return Ok(written);
    }
    let lines = complained.lines().chain(said.lines()).map(str::trim);
    let words = lines.into_iter().find(|line| !line.is_empty());
    Err(format!("fio: {}", words.unwrap_or("it said nothing")))
}

fn end(child: &mut Child) {
    let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

impl Preparation {
    /// Preconditions the device under test, if the plan wants that: by a file in the results' folder,
    /// which must lie on it.
    pub(crate) fn precondition(
        &mut self,
        plan: &Plan,
        under_test: &DeviceUnderTest,
        results: &Path,
        roots: &Roots,
        stop: &Stop,
    ) -> Result<(), LabError> {
        let Some(wanted) = plan.prepare.precondition else {
            return Ok(());
        };
        let keep_mib = plan.watchdog.results_free_mib_min;
        match place(&wanted, keep_mib, under_test, results, roots) {
            Ok(()) => self.write_to_drive(&wanted, results, stop)?,
            Err(why) => self.skip(WHAT, &why),
        }
        if stop.is_stopped() {
            return Err(LabError::Interrupted);
        }
        self.refuse_what_is_required(&plan.prepare)
    }

    fn write_to_drive(
        &mut self,
        wanted: &Precondition,
        results: &Path,
        stop: &Stop,
    ) -> Result<(), LabError> {
        let name = format!(".spillpoint-precondition-{}.bin", std::process::id());
        let file = results.join(name);
        if file.exists() {
            self.skip(WHAT, &format!("{} is there already", file.display()));
            return Ok(());
        }
        if !self.note(WHAT, &Change::OwnFile { file: file.clone() })? {
            return Ok(());
        }
        match run(&command(wanted, &file), wanted.limit.0, stop) {
            Ok(written) => self.done.push(Prepared {
                what: WHAT.to_owned(),
                before: None,
                after: Some(written),
                outcome: PrepareOutcome::Done,
            }),
            Err(words) => self.skip(WHAT, &words),
        }
        Ok(())
    }
}

/// Whether the results' folder is the place for it. Err: why not.
fn place(
    wanted: &Precondition,
    keep_mib: u64,
    under_test: &DeviceUnderTest,
    results: &Path,
    roots: &Roots,
) -> Result<(), String> {
    let Some(name) = &under_test.name else {
        let why = under_test
            .why_not
            .as_deref()
            .unwrap_or("no reason is known");
        return Err(format!("the device under test is not known: {why}"));
    };
    if device::resolve(roots, results).name.as_ref() != Some(name) {
        return Err(format!(
            "the results are not on the device under test, {name}: name a folder on it with --results"
        ));
    }
    let free_mib = statvfs(results).ok().map(|found| {
        found
            .blocks_available()
            .saturating_mul(found.fragment_size())
            / MIB
    });
    match refusal(wanted, keep_mib, free_mib, &Wear::of(roots, name)) {
        None => Ok(()),
        Some(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Precondition {
        serde_json::from_str(r#"{"size_mib": 1000, "limit": "90s"}"#).unwrap()
    }

    fn worn(change: impl FnOnce(&mut SmartLog)) -> Wear {
        let mut log = SmartLog {
            available_spare_pct: 20,
            used_pct: 80,
            ..probe::nvme::parse_log(&[0; 512])
        };
        change(&mut log);
        Wear::Known(Box::new(log))
    }

    #[test]
    fn a_drive_without_room_or_worn_is_not_written_to() {
        let refused = |free_mib, wear: &Wear| refusal(&wanted(), 256, free_mib, wear);
        let room = Some(1256);
        assert_eq!(refused(room, &worn(|_| {})), None);
        assert_eq!(refused(room, &Wear::None), None);
        let said = |free_mib, wear: Wear| refused(free_mib, &wear).unwrap();
        for (words, refusal) in [
            ("1255 MiB are free", said(Some(1255), Wear::None)),
            ("not known", said(None, Wear::None)),
            (
                "not known: no rights",
                said(room, Wear::Hidden("no rights".into())),
            ),
            (
                "81 % of its rated",
                said(room, worn(|log| log.used_pct = 81)),
            ),
            (
                "19 % of its spare",
                said(room, worn(|log| log.available_spare_pct = 19)),
            ),
            (
                "warning 0x04",
                said(room, worn(|log| log.critical_warning = 4)),
            ),
        ] {
            assert!(refusal.contains(words), "{words}: {refusal}");
        }
    }

    #[test]
    fn the_command_is_limited_in_size_and_time() {
        let words = command(&wanted(), Path::new("/r/a:b.bin"));
        for word in ["--size=1000m", "--runtime=90", "--filename=/r/a\\:b.bin"] {
            assert!(words.iter().any(|it| it == word), "{word} {words:?}");
        }
    }

    #[test]
    fn what_was_written_is_read_from_fios_json() {
        let said = "note\n{\"jobs\": [{\"write\": {\"io_bytes\": 2097152, \"runtime\": 500, \
                    \"bw_bytes\": 4194304}}]}";
        assert_eq!(written(said).unwrap(), "2 MiB written in 0.5 s (4 MB/s)");
        let nothing = said.replace("2097152", "0");
        assert_eq!(written(&nothing), None);
        assert_eq!(written("fio: no such file"), None);
    }
}
