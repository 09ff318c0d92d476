//! A neighbour on the drive: fio, on a file of its own, beside a run.

use crate::{LabError, server};
use nix::sys::{
    signal::{Signal, killpg},
    statvfs::statvfs,
};
use plan::{Neighbour, Plan, RunSpec};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;

/// The largest file that the plan's neighbours need.
fn file_mib(plan: &Plan) -> Option<u64> {
    let neighbours = plan.arms.iter().filter_map(|arm| arm.neighbour);
    neighbours.map(|it| it.file_mib.get().into()).max()
}

/// Makes sure that fio is there, and room for its file. Does nothing for a plan without neighbours.
pub(crate) fn check(plan: &Plan, results: &Path) -> Result<(), LabError> {
    let Some(wanted_mib) = file_mib(plan) else {
        return Ok(());
    };
    let version = std::process::Command::new("fio").arg("--version").output();
    if !version.is_ok_and(|said| said.status.success()) {
        return Err(LabError::NoFio);
    }
    let Ok(found) = statvfs(results) else {
        return Ok(());
    };
    let free_mib = found
        .blocks_available()
        .saturating_mul(found.fragment_size())
        / MIB;
    let needed_mib = wanted_mib + plan.watchdog.results_free_mib_min;
    if free_mib < needed_mib {
        return Err(LabError::NoRoom {
            path: results.to_owned(),
            free_mib,
            needed_mib,
        });
    }
    Ok(())
}

/// The neighbours' file. Gone when it is dropped.
pub(crate) struct NeighbourFile(PathBuf);

impl NeighbourFile {
    /// Writes the file in this folder, if the plan has neighbours.
    pub(crate) fn make(plan: &Plan, folder: &Path) -> Result<Option<Self>, LabError> {
        let Some(mib) = file_mib(plan) else {
            return Ok(None);
        };
        let file = Self(folder.join(".neighbour.bin"));
        fill(&file.0, mib).map_err(|source| LabError::NeighbourFile {
            path: file.0.clone(),
            source,
        })?;
        Ok(Some(file))
    }

    /// Starts the neighbour of a run's arm, if it has one: at work until it is ended, or the longest
    /// run is over.
    pub(crate) fn start_for(&self, plan: &Plan, spec: RunSpec) -> Result<Option<Fio>, LabError> {
        let Some(neighbour) = plan.arm(spec).and_then(|arm| arm.neighbour) else {
            return Ok(None);
        };
        let timing = &plan.timing;
        let parts = [
            timing.ramp,
            timing.warmup,
            timing.duration,
            timing.drain_limit,
            timing.request_timeout,
        ];
        let longest = parts.iter().map(|part| part.0).sum();
        self.start(&neighbour, longest).map(Some)
    }

    /// Starts a neighbour on it, for `limit` at most.
    fn start(&self, neighbour: &Neighbour, limit: Duration) -> Result<Fio, LabError> {
        let words = command(neighbour, &self.0, limit);
        let spawned = server::command(&words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|_| LabError::NoFio)?;
        let (said, complained) = (child.stdout.take(), child.stderr.take());
        Ok(Fio {
            said: Some(thread::spawn(move || all_of(said))),
            complained: Some(thread::spawn(move || all_of(complained))),
            child,
        })
    }
}

impl Drop for NeighbourFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Bytes that no drive makes smaller, as if it were data.
fn fill(path: &Path, mib: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = vec![0; MIB as usize];
    for _ in 0..mib {
        for word in piece.chunks_exact_mut(8) {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all()
}

/// fio's command: pure.
fn command(neighbour: &Neighbour, file: &Path, limit: Duration) -> Vec<String> {
    let mib = neighbour.file_mib.get();
    let mut words = vec![
        "fio".to_owned(),
        "--name=neighbour".to_owned(),
        // One process, which ends as a whole.
        "--thread".to_owned(),
        format!("--filename={}", escaped(file)),
        format!("--size={mib}m"),
        format!("--rw={}", neighbour.pattern.name()),
        format!("--bs={}k", neighbour.block_kib.get()),
        format!("--iodepth={}", neighbour.depth.get()),
        "--ioengine=libaio".to_owned(),
        // Past the page cache: it is the drive that is to be shared, not memory.
        "--direct=1".to_owned(),
        "--norandommap".to_owned(),
        "--time_based".to_owned(),
        format!("--runtime={}", limit.as_secs().max(1)),
        "--output-format=json".to_owned(),
    ];
    if let Some(rate) = neighbour.rate_mib {
        words.push(format!("--rate={}m", rate.get()));
    }
    words
}

/// fio takes a colon in a name for the start of another.
fn escaped(file: &Path) -> String {
    file.display().to_string().replace(':', "\\:")
}

fn all_of(pipe: Option<impl Read>) -> String {
    let mut said = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut said);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A neighbour at work. Dropping it ends it.
pub(crate) struct Fio {
    child: Child,
    said: Option<JoinHandle<String>>,
    complained: Option<JoinHandle<String>>,
}

/// What a neighbour did.
#[derive(Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) read_mib_s: f64,
    pub(crate) write_mib_s: f64,
}

/// How long fio may take to end when it is asked.
const END: Duration = Duration::from_secs(10);

impl Fio {
    /// Whether it has ended of itself.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it. Err: it had ended before, or did nothing; in its words.
    pub(crate) fn end(mut self) -> Result<Done, String> {
        let early = self.is_gone();
        self.stop();
        let words = |reader: Option<JoinHandle<String>>| {
            let said = reader.and_then(|reader| reader.join().ok());
            said.unwrap_or_default()
        };
        let (said, complained) = (words(self.said.take()), words(self.complained.take()));
        match read(&said) {
            Some(done) if !early && done.read_mib_s + done.write_mib_s > 0.0 => Ok(done),
            _ => Err(first_line(&complained, &said)),
        }
    }

    fn stop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let asked = Instant::now();
        let _ = killpg(group, Signal::SIGTERM);
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < END {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Fio {
    fn drop(&mut self) {
        if !self.is_gone() {
            self.stop();
        }
    }
}

/// What fio's JSON says of its one job. A word before the JSON is skipped: it tells signals so.
fn read(said: &str) -> Option<Done> {
    let json: serde_json::Value = serde_json::from_str(&said[said.find('{')?..]).ok()?;
    let job = json.get("jobs")?.get(0)?;
    let rate = |way: &str| Some(job.get(way)?.get("bw_bytes")?.as_f64()? / MIB as f64);
    Some(Done {
        read_mib_s: rate("read")?,
        write_mib_s: rate("write")?,
    })
}

fn first_line(complained: &str, said: &str) -> String {
    let lines = complained.lines().chain(said.lines());
    let mut words = lines.map(str::trim).filter(|line| !line.is_empty());
    words.next().unwrap_or("it said nothing").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Builtin;

    #[test]
    fn the_command_is_limited_in_time_size_and_rate() {
        let plan = Builtin::find("h4").unwrap().plan().unwrap();
        let moderate = plan.arms[1].neighbour.unwrap();
        let limit = Duration::from_secs(90);
        let words = command(&moderate, Path::new("/r/a:b/.neighbour.bin"), limit);
        for word in [
            "--size=1024m",
            "--runtime=90",
            "--rate=200m",
            "--rw=randread",
            "--bs=128k",
            "--iodepth=4",
            "--filename=/r/a\\:b/.neighbour.bin",
        ] {
            assert!(words.iter().any(|it| it == word), "{word} {words:?}");
        }
        let heavy = command(&plan.arms[2].neighbour.unwrap(), Path::new("/f"), limit);
        assert!(!heavy.iter().any(|word| word.starts_with("--rate")));
    }

    #[test]
    fn what_it_did_is_read_from_its_json() {
        let said = "fio: terminating on signal 15\n{\"jobs\": [{\"read\": {\"bw_bytes\": 2097152}, \
                    \"write\": {\"bw_bytes\": 0}}]}\n";
        let done = Done {
            read_mib_s: 2.0,
            write_mib_s: 0.0,
        };
        assert_eq!(read(said), Some(done));
        assert_eq!(read("fio: no such file"), None);
    }

    #[test]
    fn a_plan_without_neighbours_needs_neither_fio_nor_room() {
        let plan = Builtin::find("h2").unwrap().plan().unwrap();
        check(&plan, Path::new("/")).unwrap();
        let none = NeighbourFile::make(&plan, Path::new("/nowhere")).unwrap();
        assert!(none.is_none());
    }
}
