//! `watch --serve`: read as text, checked by promtool, and scraped by a real Prometheus.
//!
//! What needs Prometheus is left out without `SPILLPOINT_PROMETHEUS`, the folder of its programs,
//! which `cargo xtask test` sets.

use crate::harness::{Workplace, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A host that is watched and served.
struct Served {
    child: Child,
    authority: String,
    /// Kept open: what it says at its end must not fail.
    _err: BufReader<std::process::ChildStderr>,
}

impl Served {
    fn start(place: &Workplace) -> Self {
        let mut child = place.start(&["watch", "--progress", "none", "--serve", "0"]);
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("serving http://") {
            line.clear();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "it has ended");
        }
        let url = line.trim().strip_prefix("serving http://").unwrap();
        let authority = url.strip_suffix("/metrics").unwrap().to_owned();
        assert!(authority.starts_with("127.0.0.1:"), "{authority}");
        let served = Self {
            child,
            authority,
            _err: err,
        };
        wait_for("the first tick", || {
            let (_, text) = served.metrics("*/*");
            text.contains("spillpoint_memory_size_bytes").then_some(())
        });
        served
    }

    /// Content type and text.
    fn metrics(&self, accept: &str) -> (String, String) {
        get(&self.authority, "/metrics", accept)
    }

    fn end(mut self) {
        terminate(&self.child);
        assert!(self.child.wait().unwrap().success());
    }
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
}

/// Content type and text of an answer that is there.
#[track_caller]
fn get(authority: &str, path: &str, accept: &str) -> (String, String) {
    let (head, body) = ask(authority, path, accept).unwrap();
    assert!(head.contains(" 200 "), "{head}");
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then_some(value)
    });
    (kind.unwrap().to_owned(), body)
}

/// Head and body. Asks as HTTP/1.0, so that the answer comes in one piece.
fn ask(authority: &str, path: &str, accept: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(authority)?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: {accept}\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Ok((head.to_owned(), body.to_owned()))
}

/// The samples of a text, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[test]
fn what_is_sampled_is_served_in_the_form_that_is_asked_for() {
    let place = Workplace::new();
    let served = Served::start(&place);
    let (kind, text) = served.metrics("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    assert_eq!(kind, OPENMETRICS);
    assert!(text.ends_with("\n# EOF\n"));
    let (kind, older) = served.metrics("text/plain");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(!older.contains("# UNIT") && !older.contains("# EOF"));

    let kib = |name: &str| {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let samples = samples(&text);
    assert_eq!(
        samples["spillpoint_memory_size_bytes"],
        kib("MemTotal:") * 1024.0
    );
    let gpu = samples.keys().any(|series| series.contains("gpu"));
    let driver = fs::exists("/proc/driver/nvidia").unwrap();
    assert!(driver || !gpu, "a GPU that is not there is absent, not 0");
    served.end();
}

#[test]
fn the_address_must_be_free_and_one_that_others_reach_gets_a_warning() {
    let place = Workplace::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = place.run(&["watch", "--serve", &address]).ended(2).err();
    assert!(refused.contains(&address), "{refused}");
    assert!(refused.contains("another port"), "{refused}");
    let open = [
        "watch",
        "--serve",
        "0.0.0.0:0",
        "--duration",
        "300ms",
        "--progress",
        "none",
    ];
    let warned = place.run(&open).ended(0).err();
    assert!(warned.contains("is not loopback"), "{warned}");
}

fn prometheus(program: &str) -> Option<PathBuf> {
    env::var_os("SPILLPOINT_PROMETHEUS").map(|folder| PathBuf::from(folder).join(program))
}

#[test]
fn promtool_has_nothing_to_say_against_it() {
    let Some(promtool) = prometheus("promtool") else {
        return;
    };
    let place = Workplace::new();
    let served = Served::start(&place);
    let (_, text) = served.metrics("text/plain");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!((output.status.code(), words.as_str()), (Some(0), ""));
    served.end();
}

/// A real Prometheus, ended with the test.
struct Prometheus {
    child: Child,
    authority: String,
}

impl Prometheus {
    fn start(place: &Workplace, program: PathBuf, target: &str) -> Self {
        let config = place.path("prometheus.yml");
        let yaml = format!(
            "scrape_configs:\n- job_name: spark\n  scrape_interval: 1s\n  static_configs:\n  \
             - targets: ['{target}']\n"
        );
        fs::write(&config, yaml).unwrap();
        // Free a moment ago; Prometheus takes no 0.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                place.path("tsdb").display()
            ))
            .arg(format!("--web.listen-address={authority}"))
            .arg("--log.level=error")
            .spawn()
            .unwrap();
        let prometheus = Self { child, authority };
        wait_for("Prometheus", || {
            let answer = ask(&prometheus.authority, "/-/ready", "*/*").ok();
            answer.filter(|(head, _)| head.contains(" 200 "))
        });
        prometheus
    }

    /// Asks its API.
    fn ask(&self, path: &str) -> Value {
        let (_, body) = get(&self.authority, path, "application/json");
        serde_json::from_str::<Value>(&body).unwrap()["data"].clone()
    }

    /// The values of an instant query, by their metric.
    fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let answer = self.ask(&format!("/api/v1/query?query={query}"));
        let results = answer["result"].as_array().cloned().unwrap_or_default();
        let value = |result: &Value| result["value"][1].as_str().unwrap().parse().unwrap();
        let pair = |result: &Value| (result["metric"].clone(), value(result));
        results.iter().map(pair).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        terminate(&self.child);
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_every_series_with_its_kind_and_unit() {
    let Some(program) = prometheus("prometheus") else {
        return;
    };
    let place = Workplace::new();
    let served = Served::start(&place);
    let before = samples(&served.metrics(OPENMETRICS).1);
    let prometheus = Prometheus::start(&place, program, &served.authority);
    wait_for("a scrape", || {
        let up = prometheus.query("up");
        up.iter().any(|(_, up)| *up == 1.0).then_some(())
    });
    // Counters are there at every tick; some gauges only when something happened.
    let counters = before.keys().filter(|series| series.contains("_total"));
    let scraped = prometheus.query("count(%7B__name__=~%22spillpoint_.*_total%22%7D)");
    assert_eq!(scraped[0].1, counters.count() as f64);
    let after = samples(&served.metrics(OPENMETRICS).1);

    let size = prometheus.query("spillpoint_memory_size_bytes");
    assert_eq!(size[0].1, before["spillpoint_memory_size_bytes"]);
    let cores = prometheus.query("spillpoint_cpu_core_seconds_total");
    for (metric, value) in &cores {
        let label = |name: &str| metric[name].as_str().unwrap();
        let (cpu, mode) = (label("cpu"), label("mode"));
        let series = format!("spillpoint_cpu_core_seconds_total{{cpu=\"{cpu}\",mode=\"{mode}\"}}");
        let between = before[&series]..=after[&series];
        assert!(between.contains(value), "{series} {value} {between:?}");
    }
    let core_series = before.keys().filter(|series| series.contains("cpu_core"));
    assert_eq!(cores.len(), core_series.count());

    let told = prometheus.ask("/api/v1/targets/metadata?metric=spillpoint_cpu_seconds");
    assert_eq!(told[0]["type"], "counter");
    assert_eq!(told[0]["unit"], "seconds");
    assert!(
        told[0]["help"].as_str().unwrap().contains("by mode"),
        "{told}"
    );
    drop(prometheus);
    served.end();
}
