//! Traces of real servers' requests.

use crate::workload::TraceShape;
use serde::Deserialize;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Requests and their moments, the first at 0. Clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace(Arc<[TraceRequest]>);

/// A request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceRequest {
    pub(crate) after: Duration,
    pub(crate) shape: TraceShape,
}

/// Mooncake's blocks (FAST'25 artifact).
const MOONCAKE_BLOCK_TOKENS: u32 = 512;

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It can't be read.
    #[error("{path}: can't be read ({source}); name a trace file", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line is not of the format.
    #[error("{path}:{line}: {what}; known are Mooncake JSONL, BurstGPT CSV and Azure CSV", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// There is no request in it.
    #[error("{path}: no request in it; name a trace with one at least", path = path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

/// A line that is not of its format: its number and what is wrong.
type BadLine = (u64, String);

impl Trace {
    /// Reads a trace: Mooncake JSONL (`timestamp` in ms, `input_length`, `output_length`, `hash_ids`),
    /// BurstGPT CSV (`Timestamp` in s, `Request tokens`, `Response tokens`) or Azure CSV
    /// (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`), told apart by their content.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let text = std::fs::read_to_string(path).map_err(|source| TraceError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut requests = parse(&text).map_err(|(line, what)| TraceError::Line {
            path: path.to_owned(),
            line,
            what,
        })?;
        requests.sort_by_key(|request| request.after);
        let Some(first) = requests.first().map(|request| request.after) else {
            return Err(TraceError::Empty {
                path: path.to_owned(),
            });
        };
        for request in &mut requests {
            request.after -= first;
        }
        Ok(Self(requests.into()))
    }

    /// The trace with all its gaps divided by `factor`; None if that is no positive number.
    pub fn faster(&self, factor: f64) -> Option<Self> {
        let scaled = self.0.iter().map(|request| {
            let seconds = request.after.as_secs_f64() / factor;
            Some(TraceRequest {
                after: Duration::try_from_secs_f64(seconds).ok()?,
                shape: request.shape.clone(),
            })
        });
        let scaled = scaled.collect::<Option<Vec<_>>>()?;
        (factor > 0.0).then(|| Self(scaled.into()))
    }

    /// How many requests it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From its first request to its last.
    pub fn span(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |last| last.after)
    }

    pub(super) fn requests(&self) -> &[TraceRequest] {
        &self.0
    }
}

fn parse(text: &str) -> Result<Vec<TraceRequest>, BadLine> {
    match text.trim_start().starts_with('{') {
        true => parse_mooncake(text),
        false => parse_csv(text),
    }
}

#[derive(Deserialize)]
struct MooncakeLine {
    /// Milliseconds.
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

fn parse_mooncake(text: &str) -> Result<Vec<TraceRequest>, BadLine> {
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let bad = |what: String| (number, what);
            let line: MooncakeLine =
                serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
            let blocks = line.hash_ids.len() as u64 * u64::from(MOONCAKE_BLOCK_TOKENS);
            if blocks != 0 && blocks < u64::from(line.input_length) {
                return Err(bad(
                    "fewer hash_ids than input_length has blocks of 512".into()
                ));
            }
            Ok(TraceRequest {
                after: seconds(line.timestamp / 1e3).map_err(bad)?,
                shape: TraceShape {
                    prompt_tokens: line.input_length,
                    output_tokens: line.output_length,
                    blocks: line.hash_ids.into(),
                    block_tokens: MOONCAKE_BLOCK_TOKENS,
                },
            })
        })
        .collect()
}

fn parse_csv(text: &str) -> Result<Vec<TraceRequest>, BadLine> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let broken = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        (line, error.to_string())
    };
    let header = reader.headers().map_err(broken)?.clone();
    let column = |names: [&str; 2]| {
        let is_named = |field: &str| {
            names
                .iter()
                .any(|name| field.trim().eq_ignore_ascii_case(name))
        };
        let found = header.iter().position(is_named);
        found.ok_or_else(|| (1, format!("no column {:?} or {:?}", names[0], names[1])))
    };
    let time = column(["Timestamp", "TIMESTAMP"])?;
    let input = column(["Request tokens", "ContextTokens"])?;
    let output = column(["Response tokens", "GeneratedTokens"])?;
    let mut requests = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(1, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or_default().trim();
        let tokens = |at: usize| {
            let field = field(at);
            field
                .parse()
                .map_err(|_| (line, format!("{field:?} is no token count")))
        };
        requests.push(TraceRequest {
            after: moment(field(time)).map_err(|what| (line, what))?,
            shape: TraceShape {
                prompt_tokens: tokens(input)?,
                output_tokens: tokens(output)?,
                blocks: [].into(),
                block_tokens: 0,
            },
        });
    }
    Ok(requests)
}

/// Seconds, as BurstGPT has them, or a date and time, as Azure has them.
fn moment(text: &str) -> Result<Duration, String> {
    if let Ok(value) = text.parse() {
        return seconds(value);
    }
    let since_1970 = text.parse::<jiff::civil::DateTime>().ok().and_then(|time| {
        Duration::try_from(time.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0))).ok()
    });
    since_1970.ok_or_else(|| format!("{text:?} is neither seconds nor a date and time"))
}

fn seconds(value: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(value).map_err(|_| format!("{value} is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief(text: &str) -> Vec<(u64, u32, u32)> {
        let requests = parse(text).unwrap();
        let brief = |it: &TraceRequest| {
            let shape = &it.shape;
            (
                it.after.as_millis() as u64,
                shape.prompt_tokens,
                shape.output_tokens,
            )
        };
        requests.iter().map(brief).collect()
    }

    #[test]
    fn the_three_formats_are_read() {
        let mooncake = "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [1, 2]}\n\
                        {\"timestamp\": 1500, \"input_length\": 7, \"output_length\": 8}\n";
        assert_eq!(brief(mooncake), [(0, 600, 5), (1_500, 7, 8)]);
        let burst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                     5,ChatGPT,472,18,490,Conversation log\n45.5,GPT-4,1,2,3,API log\n";
        assert_eq!(brief(burst), [(5_000, 472, 18), (45_500, 1, 2)]);
        let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                     2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n";
        let azure = brief(azure);
        assert_eq!(azure[1].0 - azure[0].0, 52);
        assert_eq!((azure[0].1, azure[0].2), (4_808, 10));
    }

    #[test]
    fn a_bad_line_is_named() {
        let line = |text: &str| parse(text).unwrap_err().0;
        assert_eq!(line("{\"timestamp\": 0}\n"), 1);
        assert_eq!(
            line("\n{\"timestamp\":0,\"input_length\":600,\"output_length\":1,\"hash_ids\":[1]}"),
            2
        );
        assert_eq!(line("a,b\n1,2\n"), 1);
        assert_eq!(
            line("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\nsoon,2,3\n"),
            3
        );
    }

    #[test]
    fn a_trace_can_be_sped_up() {
        let trace = Trace(
            parse("{\"timestamp\": 4000, \"input_length\": 1, \"output_length\": 1}")
                .unwrap()
                .into(),
        );
        assert_eq!(trace.faster(2.0).unwrap().span(), Duration::from_secs(2));
        assert_eq!(trace.faster(0.0), None);
        assert_eq!(trace.faster(-1.0), None);
    }
}
