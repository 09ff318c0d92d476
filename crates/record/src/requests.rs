//! `requests.csv`: a row a request, written as it ends.

use crate::{
    Read, RecordError,
    digits::whole_number,
    table::{Fields, Reader},
};
use clock::SessionNs;
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, path::Path, time::Duration};

/// One request, as its client saw it.
///
/// The spans start when the request was handed to its connection (`sent`), except `queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRow {
    /// Its number in the run; also its key in `tokens.bin`.
    pub request: u64,
    /// The user that sent it.
    pub user: u32,
    /// The part of the run in which it was sent.
    pub stage: Stage,
    /// The LoRA adapter that it asked for.
    pub adapter: Option<String>,
    /// How many prompt tokens were meant.
    pub prompt_tokens_wanted: u32,
    /// How many prompt tokens the server counted.
    pub prompt_tokens: Option<u32>,
    /// How many of them the server had cached.
    pub cached_tokens: Option<u32>,
    /// How many tokens the server says it sent.
    pub output_tokens: Option<u32>,
    /// How many token-bearing chunks arrived.
    pub chunks: u32,
    /// When the arrival process wanted it.
    pub intended: SessionNs,
    /// When it was handed to its connection.
    pub sent: SessionNs,
    /// When it ended, well or badly.
    pub ended: SessionNs,
    /// `intended` → `sent`.
    pub queue: Duration,
    /// → response headers.
    pub ttfb: Option<Duration>,
    /// → first token-bearing chunk.
    pub ttft: Option<Duration>,
    /// → first chunk of the answer itself.
    pub ttfa: Option<Duration>,
    /// → last token-bearing chunk; only of a request that ended well.
    pub e2e: Option<Duration>,
    /// (`e2e` − `ttft`) / (output tokens − tokens in the first chunk).
    pub tpot: Option<Duration>,
    /// The greatest client lag of any of its chunks.
    pub client_lag: Option<Duration>,
    /// Whose clock stamped the arrivals.
    pub clock: StampSource,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong, in the server's or the system's words.
    pub error: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $group:ident, $expected:literal { $($(#[$word_doc:meta])* $word:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $group { $($(#[$word_doc])* #[serde(rename = $name)] $word,)+ }

        impl $group {
            /// The word in the file.
            pub const fn name(self) -> &'static str {
                match self { $($group::$word => $name,)+ }
            }

            fn parse(word: &[u8]) -> Option<Self> {
                $(if word == $name.as_bytes() {
                    return Some($group::$word);
                })+
                None
            }

            const EXPECTED: &str = $expected;
        }
    };
}

words! {
    /// The part of a run in which a request was sent. Only `measure` enters the figures.
    Stage, "one of ramp, warmup, measure, drain" {
        /// Users are still joining.
        Ramp = "ramp",
        /// All users are there, the server is settling.
        Warmup = "warmup",
        /// The measured interval.
        Measure = "measure",
        /// After it: keeps the load up until the measured requests have ended.
        Drain = "drain",
    }
}

words! {
    /// Whose clock stamped the arrival of a request's chunks, best first.
    StampSource, "kernel or user" {
        /// The kernel, as the bytes reached the socket.
        Kernel = "kernel",
        /// This program, when it got round to reading.
        User = "user",
    }
}

words! {
    /// How a request ended.
    Outcome, "one of ok, refused, status, timeout, truncated, malformed, unfinished" {
        /// With its proper end.
        Ok = "ok",
        /// See [`Failure::Refused`].
        Refused = "refused",
        /// See [`Failure::Status`].
        Status = "status",
        /// See [`Failure::Timeout`].
        Timeout = "timeout",
        /// See [`Failure::Truncated`].
        Truncated = "truncated",
        /// See [`Failure::Malformed`].
        Malformed = "malformed",
        /// Not failed: still running when the run was ended.
        Unfinished = "unfinished",
    }
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection could be made.
    Refused,
    /// An HTTP status other than 200, or an error event in a stream.
    Status,
    /// Not done before its deadline.
    Timeout,
    /// The stream ended, or the connection broke, before its proper end.
    Truncated,
    /// What came is not HTTP, not SSE, not JSON, or not of the dialect.
    Malformed,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Outcome::Refused,
            Failure::Status => Outcome::Status,
            Failure::Timeout => Outcome::Timeout,
            Failure::Truncated => Outcome::Truncated,
            Failure::Malformed => Outcome::Malformed,
        }
    }
}

impl Outcome {
    /// The failure, if it is one.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Outcome::Ok | Outcome::Unfinished => None,
            Outcome::Refused => Some(Failure::Refused),
            Outcome::Status => Some(Failure::Status),
            Outcome::Timeout => Some(Failure::Timeout),
            Outcome::Truncated => Some(Failure::Truncated),
            Outcome::Malformed => Some(Failure::Malformed),
        }
    }
}

pub(crate) const HEADER: &[&str] = &[
    "request",
    "user",
    "stage",
    "adapter",
    "prompt_tokens_wanted",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "chunks",
    "intended_ns",
    "sent_ns",
    "ended_ns",
    "queue_ms",
    "ttfb_ms",
    "ttft_ms",
    "ttfa_ms",
    "e2e_ms",
    "tpot_ms",
    "client_lag_ms",
    "clock",
    "outcome",
    "status",
    "error",
];

/// The row as one line of CSV.
pub(crate) fn append(row: &RequestRow, line: &mut Vec<u8>) {
    let mut text = String::with_capacity(192);
    let mut field = |value: &dyn std::fmt::Display| {
        // Writing to a String can't fail.
        let _ = write!(text, "{value},");
    };
    field(&row.request);
    field(&row.user);
    field(&row.stage.name());
    field(&Quoted(row.adapter.as_deref()));
    field(&row.prompt_tokens_wanted);
    field(&Maybe(row.prompt_tokens));
    field(&Maybe(row.cached_tokens));
    field(&Maybe(row.output_tokens));
    field(&row.chunks);
    field(&row.intended.0);
    field(&row.sent.0);
    field(&row.ended.0);
    field(&Millis(row.queue));
    for span in [
        row.ttfb,
        row.ttft,
        row.ttfa,
        row.e2e,
        row.tpot,
        row.client_lag,
    ] {
        field(&Maybe(span.map(Millis)));
    }
    field(&row.clock.name());
    field(&row.outcome.name());
    field(&Maybe(row.status));
    let _ = writeln!(text, "{}", Quoted(row.error.as_deref()));
    line.extend_from_slice(text.as_bytes());
}

/// Gives the rows of `requests.csv` one after the other.
pub(crate) fn visit(path: &Path, mut visit: impl FnMut(RequestRow)) -> Read<()> {
    let mut reader = Reader::with_header(path, HEADER)?;
    while let Some(fields) = reader.next()? {
        visit(row(&fields)?);
    }
    Ok(((), reader.torn()))
}

fn row(fields: &Fields) -> Result<RequestRow, RecordError> {
    Ok(RequestRow {
        request: fields.whole(0)?,
        user: fields.whole(1)?,
        stage: word(fields, 2, Stage::parse, Stage::EXPECTED)?,
        adapter: text(fields, 3),
        prompt_tokens_wanted: fields.whole(4)?,
        prompt_tokens: fields.maybe_whole(5)?,
        cached_tokens: fields.maybe_whole(6)?,
        output_tokens: fields.maybe_whole(7)?,
        chunks: fields.whole(8)?,
        intended: SessionNs(fields.signed(9)?),
        sent: SessionNs(fields.signed(10)?),
        ended: SessionNs(fields.signed(11)?),
        queue: millis(fields, 12)?.ok_or_else(|| fields.refuse(12, MILLIS))?,
        ttfb: millis(fields, 13)?,
        ttft: millis(fields, 14)?,
        ttfa: millis(fields, 15)?,
        e2e: millis(fields, 16)?,
        tpot: millis(fields, 17)?,
        client_lag: millis(fields, 18)?,
        clock: word(fields, 19, StampSource::parse, StampSource::EXPECTED)?,
        outcome: word(fields, 20, Outcome::parse, Outcome::EXPECTED)?,
        status: fields.maybe_whole(21)?,
        error: text(fields, 22),
    })
}

fn word<T>(
    fields: &Fields,
    column: usize,
    parse: fn(&[u8]) -> Option<T>,
    expected: &'static str,
) -> Result<T, RecordError> {
    parse(fields.bytes(column)).ok_or_else(|| fields.refuse(column, expected))
}

fn text(fields: &Fields, column: usize) -> Option<String> {
    let is_there = !fields.bytes(column).is_empty();
    is_there.then(|| fields.text(column).to_owned())
}

const MILLIS: &str = "a time in milliseconds, at most six decimals";

/// Exact to the nanosecond, as [`Millis`] writes it.
fn millis(fields: &Fields, column: usize) -> Result<Option<Duration>, RecordError> {
    let text = fields.bytes(column);
    if text.is_empty() {
        return Ok(None);
    }
    parse_millis(text)
        .map(Some)
        .ok_or_else(|| fields.refuse(column, MILLIS))
}

fn parse_millis(text: &[u8]) -> Option<Duration> {
    let point = text.len().checked_sub(7)?;
    let (whole, decimals) = (&text[..point], &text[point + 1..]);
    if text[point] != b'.' {
        return None;
    }
    let whole = whole_number(whole)?.checked_mul(1_000_000)?;
    let nanos = whole.checked_add(whole_number(decimals)?)?;
    Some(Duration::from_nanos(nanos))
}

/// A span as milliseconds with six decimals: exact.
struct Millis(Duration);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:06}", nanos / 1_000_000, nanos % 1_000_000)
    }
}

/// A value or nothing.
struct Maybe<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Maybe<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// A stranger's text, quoted. Line ends become spaces, so that a row stays one line and a torn
/// tail is always the last line.
struct Quoted<'a>(Option<&'a str>);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(text) = self.0 else { return Ok(()) };
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' => f.write_str("\"\"")?,
                '\n' | '\r' => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_is_exact_to_the_nanosecond() {
        for nanos in [0, 1, 999_999, 1_000_000, 12_345_678_901] {
            let span = Duration::from_nanos(nanos);
            assert_eq!(
                parse_millis(Millis(span).to_string().as_bytes()),
                Some(span)
            );
        }
    }

    #[test]
    fn a_span_that_nobody_wrote_is_refused() {
        for text in ["", "1", "1.5", "-1.000000", "1.0000000", "nan", "1.00000a"] {
            assert_eq!(parse_millis(text.as_bytes()), None, "{text}");
        }
    }

    fn read(path: &Path) -> Read<Vec<RequestRow>> {
        let mut rows = Vec::new();
        let ((), torn) = visit(path, |row| rows.push(row))?;
        Ok((rows, torn))
    }

    fn spans() -> impl Strategy<Value = Option<Duration>> {
        prop::option::of((0..u64::MAX / 2).prop_map(Duration::from_nanos))
    }

    prop_compose! {
        fn rows()(
            numbers in any::<(u64, u32, u32, Option<u32>, Option<u32>, Option<u32>, u32)>(),
            times in any::<(i64, i64, i64)>(),
            spans in prop::array::uniform6(spans()),
            queue in (0..u64::MAX / 2).prop_map(Duration::from_nanos),
            stage in prop::sample::select(&[Stage::Ramp, Stage::Warmup, Stage::Measure, Stage::Drain][..]),
            outcome in prop::sample::select(&[Outcome::Ok, Outcome::Status, Outcome::Unfinished][..]),
            words in (prop::option::of("[ -~\u{e9}\u{4e2d}]{1,20}"), prop::option::of("[ -~]{1,40}")),
            status in any::<Option<u16>>(),
        ) -> RequestRow {
            let [ttfb, ttft, ttfa, e2e, tpot, client_lag] = spans;
            RequestRow {
                request: numbers.0, user: numbers.1, stage, adapter: words.0,
                prompt_tokens_wanted: numbers.2, prompt_tokens: numbers.3,
                cached_tokens: numbers.4, output_tokens: numbers.5, chunks: numbers.6,
                intended: SessionNs(times.0), sent: SessionNs(times.1), ended: SessionNs(times.2),
                queue, ttfb, ttft, ttfa, e2e, tpot, client_lag,
                clock: StampSource::Kernel, outcome, status, error: words.1,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_is_read_back_after_a_kill_at_any_byte(
            rows in prop::collection::vec(rows(), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = (HEADER.join(",") + "\n").into_bytes();
            let header = bytes.len();
            let mut ends = Vec::new();
            for row in &rows {
                append(row, &mut bytes);
                ends.push(bytes.len());
            }
            let cut = header + cut.index(bytes.len() - header + 1);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            let (read, torn) = read(file.path()).unwrap();
            prop_assert_eq!(&read[..], &rows[..whole]);
            prop_assert_eq!(torn.is_some(), !ends.contains(&cut) && cut != header);
        }
    }
}
