//! `server.csv`: the server's own metrics, every series of every answer.
//!
//! The form is long, a line a value: servers differ in what they tell, and a series may begin or
//! end while the server runs. Besides, the few figures that all servers have are written under
//! names of our own ([`CommonMetric`]), so that a reader need not know each server's.

use crate::{RecordError, RunDir, session::Appender, session::Read, table::Reader};
use clock::SessionNs;
use std::{fmt, path::Path, str::FromStr};

/// One value of one series in one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerRow {
    /// When it was asked for.
    pub t: SessionNs,
    /// Who was asked: the URL.
    pub source: String,
    /// Which series.
    pub metric: Metric,
    /// What the server said: NaN and the infinities too, which Prometheus knows.
    pub value: f64,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// A figure that all servers have.
    Common(CommonMetric),
    /// The server's own, with its labels: `vllm:num_requests_running{engine="0"}`.
    Own(String),
}

macro_rules! common {
    ($($(#[$doc:meta])* $metric:ident = $name:literal,)+) => {
        /// A figure that all servers have, under one name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CommonMetric { $($(#[$doc])* $metric,)+ }

        impl CommonMetric {
            /// All of them, in the order in which they are written.
            pub const ALL: &[CommonMetric] = &[$(CommonMetric::$metric,)+];

            /// The name, as it is in the file after `common:`.
            pub const fn name(self) -> &'static str {
                match self { $(CommonMetric::$metric => $name,)+ }
            }
        }
    };
}

common! {
    /// Requests that run.
    Running = "running",
    /// Requests that wait.
    Waiting = "waiting",
    /// The share of the KV cache in use, from 0 to 1.
    KvUsed = "kv_used",
    /// The size of the KV cache's pool, in the server's own unit, blocks or tokens: comparable with
    /// the same server's alone.
    KvPool = "kv_pool",
    /// The share found in the prefix cache, from 0 to 1.
    PrefixHit = "prefix_hit",
    /// Bytes of KV cache moved to a lower tier since the server's start.
    OffloadBytes = "offload_bytes",
    /// Bytes of KV cache brought back since the server's start.
    OnboardBytes = "onboard_bytes",
}

/// Prometheus' names may begin so too, but no known server's do.
const COMMON_PREFIX: &str = "common:";

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::Common(metric) => write!(f, "{COMMON_PREFIX}{}", metric.name()),
            Metric::Own(series) => f.write_str(series),
        }
    }
}

impl FromStr for Metric {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = CommonMetric::ALL.iter();
        let common = text
            .strip_prefix(COMMON_PREFIX)
            .and_then(|name| all.find(|metric| metric.name() == name));
        Ok(match common {
            Some(&metric) => Metric::Common(metric),
            None => Metric::Own(text.to_owned()),
        })
    }
}

const HEADER: &[&str] = &["t_ns", "source", "series", "value"];

/// Appends the server's answers as they come.
pub struct ServerWriter(Appender);

impl ServerWriter {
    /// Begins the file in this folder, a run's or one of its own.
    pub fn create(folder: &Path) -> Result<Self, RecordError> {
        let file = RunDir(folder.to_owned()).server();
        let header = HEADER.join(",") + "\n";
        Ok(Self(Appender::create(file, header.as_bytes())?))
    }

    /// Appends an answer, all its rows in one write.
    pub fn answer(&mut self, rows: &[ServerRow]) -> Result<(), RecordError> {
        self.0
            .append(|lines| rows.iter().for_each(|row| append(row, lines)))
    }
}

fn append(row: &ServerRow, line: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    line.extend_from_slice(number.format(row.t.0).as_bytes());
    line.push(b',');
    quote(&row.source, line);
    line.push(b',');
    quote(&row.metric.to_string(), line);
    line.push(b',');
    // Writing to a Vec can't fail. The shortest text that reads back as the same number.
    let _ = std::io::Write::write_fmt(line, format_args!("{}\n", row.value));
}

/// Quotes a field as RFC 4180 has it. A line break would make a torn row look whole: it is
/// written as Prometheus writes it.
fn quote(text: &str, line: &mut Vec<u8>) {
    line.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => line.extend_from_slice(b"\"\""),
            b'\n' => line.extend_from_slice(br"\n"),
            b'\r' => line.extend_from_slice(br"\r"),
            byte => line.push(byte),
        }
    }
    line.push(b'"');
}

impl RunDir {
    /// Reads `server.csv`.
    pub fn read_server(&self) -> Read<Vec<ServerRow>> {
        read(&self.server())
    }
}

fn read(path: &Path) -> Read<Vec<ServerRow>> {
    let mut reader = Reader::with_header(path, HEADER)?;
    let mut rows = Vec::new();
    while let Some(fields) = reader.next()? {
        rows.push(ServerRow {
            t: SessionNs(fields.signed(0)?),
            source: fields.text(1).to_owned(),
            metric: fields.required(2, "a series")?,
            value: fields.required(3, "a number")?,
        });
    }
    Ok((rows, reader.torn()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn row(metric: Metric, value: f64) -> ServerRow {
        ServerRow {
            t: SessionNs(5_000_000_000),
            source: "http://127.0.0.1:8000/metrics".to_owned(),
            metric,
            value,
        }
    }

    #[test]
    fn answers_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = ServerWriter::create(folder.path()).unwrap();
        let own = Metric::Own("vllm:x{model_name=\"a, b\",le=\"+Inf\"}".to_owned());
        let rows = [
            row(own, 1.5),
            row(Metric::Own("spent".to_owned()), f64::INFINITY),
            row(Metric::Common(CommonMetric::KvUsed), 0.1),
        ];
        writer.answer(&rows[..2]).unwrap();
        writer.answer(&rows[2..]).unwrap();
        let run = RunDir(folder.path().to_owned());
        assert_eq!(run.read_server().unwrap(), (rows.to_vec(), None));
        let text = fs::read_to_string(run.server()).unwrap();
        assert!(text.starts_with(
            "t_ns,source,series,value\n5000000000,\"http://127.0.0.1:8000/metrics\",\
             \"vllm:x{model_name=\"\"a, b\"\",le=\"\"+Inf\"\"}\",1.5\n"
        ));
        assert!(text.contains(",\"common:kv_used\",0.1\n"));
        assert!(
            ServerWriter::create(folder.path()).is_err(),
            "never over another"
        );
    }

    #[test]
    fn every_common_name_reads_back() {
        for &metric in CommonMetric::ALL {
            let metric = Metric::Common(metric);
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        let foreign = Metric::Own("common:speed".to_owned());
        assert_eq!("common:speed".parse(), Ok(foreign));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_cut_leaves_whole_rows(
            rows in prop::collection::vec((any::<i64>(), "[^\r\n]{0,9}", "[^\r\n]{1,9}", any::<f64>()), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(t, source, series, value)| ServerRow {
                t: SessionNs(t),
                source,
                metric: Metric::Own(series),
                value,
            }).collect();
            let mut bytes = (HEADER.join(",") + "\n").into_bytes();
            let mut ends = vec![bytes.len()];
            for row in &rows {
                append(row, &mut bytes);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), &bytes[..cut]).unwrap();
            let (found, torn) = read(file.path()).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
            prop_assert_eq!(&found[..], &rows[..whole]);
            prop_assert_eq!(torn.is_some(), !ends.contains(&cut));
        }
    }
}
