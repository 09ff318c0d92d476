//! The real thing: llama.cpp with a small model. `cargo xtask test` fetches both and runs these.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod scripted;

use load::{
    Api, LengthModel, Phase, Target, Wish, Workload, calibrate, preflight, token_pool, word_pool,
};
use record::{Outcome, RequestRow, StampSource};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Ends with the test.
struct LlamaServer {
    child: Child,
    url: String,
}

impl LlamaServer {
    fn start() -> Self {
        let named = |name: &str| std::env::var_os(name).unwrap();
        let mut child = Command::new(named("SPILLPOINT_TEST_PYTHON"))
            .arg(named("SPILLPOINT_TEST_LLAMA_SERVER"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("ready ")?.to_owned()));
        Self {
            child,
            url: ready.unwrap(),
        }
    }

    fn target(&self, api: Option<Api>) -> Target {
        let mut wish = Wish::new(self.url.parse().unwrap());
        wish.api = api;
        preflight(&wish).unwrap()
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rows that ended well, of one user's requests: 300 tokens in, 12 out.
fn good_rows(
    target: &Target,
    lengths: LengthModel,
    prepare: impl Fn(&mut Workload),
) -> Vec<RequestRow> {
    let mut phase: Phase = scripted::short_phase(1);
    phase.timing.measure = Duration::from_secs(2);
    phase.timing.request_deadline = Duration::from_secs(60);
    phase.timing.drain_limit = Duration::from_secs(60);
    phase.workload = Workload::new(300, 12, 1, 2);
    phase.lengths = lengths;
    prepare(&mut phase.workload);
    let (rows, report) = scripted::run_phase(target, &phase);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let rows = rows.into_iter().map(|(row, _)| row);
    let good: Vec<_> = rows.filter(|row| row.outcome == Outcome::Ok).collect();
    assert!(!good.is_empty());
    for row in &good {
        assert_eq!(row.clock, StampSource::Kernel);
        assert!(row.ttfb <= row.ttft && row.ttft <= row.e2e, "{row:?}");
        // llama.cpp knows ignore_eos.
        assert_eq!(row.output_tokens, Some(12));
    }
    good
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn llama_cpp_is_measured_in_both_its_dialects() {
    let server = LlamaServer::start();
    assert_eq!(server.target(None).api, Api::Completions);
    for api in [Api::Completions, Api::Chat] {
        let target = server.target(Some(api));
        let lengths = calibrate(&target, 1, 2, 300).unwrap();
        for row in good_rows(&target, lengths, |_| {}) {
            let counted = row.prompt_tokens.unwrap();
            assert!(counted.abs_diff(300) <= 15, "{api}: {counted}");
        }
    }
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn prompts_of_ids_are_exactly_as_long_as_wanted() {
    let server = LlamaServer::start();
    let target = server.target(Some(Api::Completions));
    let pool = token_pool(&target).unwrap();
    assert!(pool.is_some());
    let rows = good_rows(&target, LengthModel::guess(), |workload| {
        workload.token_pool.clone_from(&pool);
    });
    assert!(rows.iter().all(|row| row.prompt_tokens == Some(300)));
}

#[test]
#[ignore = "needs the real server: cargo xtask test"]
fn prompts_of_its_words_are_exactly_as_long_as_wanted() {
    let server = LlamaServer::start();
    for api in [Api::Completions, Api::Chat] {
        let target = server.target(Some(api));
        let pool = word_pool(&target, 1, 2).unwrap();
        assert!(pool.is_some(), "{api}");
        let rows = good_rows(&target, LengthModel::guess(), |workload| {
            workload.word_pool.clone_from(&pool);
        });
        assert!(
            rows.iter().all(|row| row.prompt_tokens == Some(300)),
            "{rows:?}"
        );
    }
}
