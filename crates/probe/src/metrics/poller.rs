//! The thread that asks the server for its metrics.

use super::{
    AlreadyPolled, Common, HttpError, MetricsUrl,
    claim::Claim,
    prometheus::{self, NoSample, Sample},
    trtllm::{self, Iteration, RequestTimes},
};
use clock::{MonoNs, SessionClock, SessionNs};
use std::{
    io, panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long an answer may take. A server that is busy starting answers late or never.
const PATIENCE: Duration = Duration::from_secs(2);

/// One URL to ask, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub url: MetricsUrl,
    /// What.
    pub format: Format,
}

/// What a URL answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text.
    Prometheus,
    /// TensorRT-LLM's `/metrics`.
    TrtllmIterations,
    /// TensorRT-LLM's `/perf_metrics`.
    TrtllmRequests,
}

/// One answer, or why there is none.
#[derive(Debug)]
pub struct Answer<'a> {
    /// When it was asked for.
    pub asked: SessionNs,
    /// When it was there.
    pub answered: SessionNs,
    /// Who was asked.
    pub source: &'a Source,
    /// What it says.
    pub metrics: Result<Metrics, MetricsError>,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Metrics {
    /// Every sample.
    Prometheus(Vec<Sample>),
    /// The iterations since the last poll.
    TrtllmIterations(Vec<Iteration>),
    /// The requests that ended since the last poll.
    TrtllmRequests(Vec<RequestTimes>),
}

impl Metrics {
    /// The figures that all servers have; absent where this answer has none of them.
    pub fn common(&self) -> Option<Common> {
        match self {
            Metrics::Prometheus(samples) => Some(Common::of_samples(samples)),
            Metrics::TrtllmIterations(iterations) => iterations.last().map(Common::of_iteration),
            Metrics::TrtllmRequests(_) => None,
        }
    }
}

/// No metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The server did not answer well.
    #[error("{url}: {source}; check the URL, and that the server offers metrics")]
    Http {
        /// Who was asked.
        url: MetricsUrl,
        /// What went wrong.
        source: HttpError,
    },
    /// The answer is no UTF-8.
    #[error("{0}: the answer is no text")]
    NoText(MetricsUrl),
    /// The answer is no Prometheus text.
    #[error("{url}: {source}")]
    Prometheus {
        /// Who was asked.
        url: MetricsUrl,
        /// What is wrong, and where.
        source: NoSample,
    },
    /// The answer is not TensorRT-LLM's JSON.
    #[error(
        "{url}: the answer is not TensorRT-LLM's: {source}; set enable_iter_perf_stats or return_perf_metrics in the server's configuration"
    )]
    Json {
        /// Who was asked.
        url: MetricsUrl,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
}

impl Source {
    /// Asks once. TensorRT-LLM's answers are gone from the server then.
    pub fn ask(&self) -> Result<Metrics, MetricsError> {
        let url = || self.url.clone();
        let body = self.url.get(PATIENCE);
        let body = body.map_err(|source| MetricsError::Http { url: url(), source })?;
        let json = |source| MetricsError::Json { url: url(), source };
        match self.format {
            Format::Prometheus => {
                let text = String::from_utf8(body).map_err(|_| MetricsError::NoText(url()))?;
                let samples = prometheus::parse(&text);
                let samples =
                    samples.map_err(|source| MetricsError::Prometheus { url: url(), source })?;
                Ok(Metrics::Prometheus(samples))
            }
            Format::TrtllmIterations => {
                let iterations = trtllm::iterations(&body).map_err(json)?;
                Ok(Metrics::TrtllmIterations(iterations))
            }
            Format::TrtllmRequests => {
                let requests = trtllm::requests(&body).map_err(json)?;
                Ok(Metrics::TrtllmRequests(requests))
            }
        }
    }
}

/// A poller that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum PollerError {
    /// One of its URLs has a poller.
    #[error(transparent)]
    AlreadyPolled(#[from] AlreadyPolled),
    /// No thread.
    #[error("cannot start the metrics' thread: {0}; raise the limit on processes (ulimit -u)")]
    Thread(#[from] io::Error),
}

/// A running poller: the first answer comes at once, the last as it is ended. Dropping it ends it.
pub struct Poller {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts to ask every source, one after the other, once an interval; `sink` is called on the
    /// poller's thread with each answer.
    pub fn start(
        sources: Vec<Source>,
        interval: Duration,
        clock: SessionClock,
        mut sink: impl FnMut(Answer<'_>) + Send + 'static,
    ) -> Result<Self, PollerError> {
        let claims: Result<Vec<_>, _> = sources
            .iter()
            .map(|source| Claim::on(&source.url))
            .collect();
        let claims = claims?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                let mut ask_all = || {
                    for source in &sources {
                        let asked = clock.now();
                        let metrics = source.ask();
                        let answered = clock.now();
                        sink(Answer {
                            asked,
                            answered,
                            source,
                            metrics,
                        });
                    }
                };
                let mut due = MonoNs::now();
                while wait_until(due, &stopped) {
                    ask_all();
                    // After a slow answer the next is due now, not several at once.
                    due = due.plus(interval).max(MonoNs::now());
                }
                // What was counted since the last answer, too.
                ask_all();
                drop(claims);
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends polling after the answer in hand and a last one, at most two seconds a source each, and
    /// drops the sink.
    pub fn stop(mut self) {
        if let Some(thread) = self.end()
            && let Err(panic) = thread.join()
        {
            panic::resume_unwind(panic);
        }
    }

    fn end(&mut self) -> Option<JoinHandle<()>> {
        let thread = self.thread.take()?;
        self.stop.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        Some(thread)
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if let Some(thread) = self.end() {
            // A panic has been printed by its own thread; a drop must not raise another.
            let _ = thread.join();
        }
    }
}

/// Waits until `due`; false if the poller is to stop.
fn wait_until(due: MonoNs, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = due.since(MonoNs::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
        sync::mpsc,
    };

    /// A server that gives the same answer again and again.
    fn serve(body: &'static str) -> MetricsUrl {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all((head + body).as_bytes()).unwrap();
            }
        });
        format!("http://127.0.0.1:{port}/metrics").parse().unwrap()
    }

    #[test]
    fn answers_come_again_and_again() {
        let url = serve("vllm:num_requests_running 3\n");
        let source = Source {
            url,
            format: Format::Prometheus,
        };
        let (send, received) = mpsc::channel();
        let interval = Duration::from_millis(5);
        let clock = SessionClock::start();
        let poller = Poller::start(vec![source.clone()], interval, clock, move |answer| {
            let metrics = answer.metrics.unwrap();
            let _ = send.send((
                answer.asked,
                answer.answered,
                metrics.common().unwrap().running,
            ));
        })
        .unwrap();
        let answers: Vec<_> = received.iter().take(3).collect();
        assert!(Poller::start(vec![source.clone()], interval, clock, |_| {}).is_err());
        poller.stop();
        assert!(
            answers
                .iter()
                .all(|(asked, answered, running)| asked < answered && *running == Some(3.0))
        );
        assert!(answers[0].1 <= answers[1].0);
        drop(Poller::start(vec![source], interval, clock, |_| {}).unwrap());
    }

    #[test]
    fn what_is_wrong_names_the_url_and_the_remedy() {
        let page = Source {
            url: serve("<html>"),
            format: Format::Prometheus,
        };
        let error = page.ask().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}: line 1: \"<html>\"", page.url)),
            "{error}"
        );
        let other = Source {
            url: serve("{\"detail\": \"Not Found\"}"),
            format: Format::TrtllmIterations,
        };
        assert!(
            other
                .ask()
                .unwrap_err()
                .to_string()
                .contains("enable_iter_perf_stats")
        );
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let nobody = Source {
            url: format!("http://{closed}/metrics").parse().unwrap(),
            format: Format::Prometheus,
        };
        assert!(matches!(nobody.ask(), Err(MetricsError::Http { .. })));
    }
}
