//! `telemetry.csv`: a row a tick, all probes on one line.

use crate::{
    Column, RecordError, Torn,
    table::{Fields, Reader},
};
use clock::SessionNs;
use std::path::Path;

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Not to be had: never 0.
    Absent,
    /// A count.
    Int(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Int(value)
    }
}

impl From<Option<u64>> for Value {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Value::Absent, Value::Int)
    }
}

impl From<Option<f64>> for Value {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Value::Absent, Value::Real)
    }
}

/// One tick, its values in the order of the file's columns.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryRow {
    /// The tick's number on the schedule: a gap is a missed tick.
    pub tick: u64,
    /// When the tick began.
    pub t: SessionNs,
    /// One value a column.
    pub values: Vec<Value>,
}

/// The whole file, by column.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    columns: Vec<Column>,
    ticks: Vec<u64>,
    t: Vec<SessionNs>,
    /// One series a column; NaN where absent, which no probe can write.
    series: Vec<Vec<f64>>,
}

impl Telemetry {
    /// How many ticks were recorded.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// The file's columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The number of each tick on the schedule.
    pub fn ticks(&self) -> &[u64] {
        &self.ticks
    }

    /// When each tick began.
    pub fn times(&self) -> &[SessionNs] {
        &self.t
    }

    /// One column's values, a value a tick; absent if the file lacks the column.
    pub fn series(&self, column: &Column) -> Option<Series<'_>> {
        let index = self.columns.iter().position(|other| other == column)?;
        Some(Series(&self.series[index]))
    }
}

/// One column's values.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a>(&'a [f64]);

impl Series<'_> {
    /// The value at the tick with this index; absent if the probe had none.
    pub fn get(&self, index: usize) -> Option<f64> {
        self.0.get(index).copied().filter(|value| !value.is_nan())
    }

    /// All values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<f64>> {
        self.0
            .iter()
            .map(|&value| Some(value).filter(|value| !value.is_nan()))
    }
}

const TICK: &str = "tick";
const TIME: &str = "t_ns";

/// The header of a file with these columns.
pub(crate) fn header(columns: &[Column]) -> Vec<u8> {
    let mut line = format!("{TICK},{TIME}");
    for column in columns {
        line.push(',');
        line.push_str(&column.to_string());
    }
    line.push('\n');
    line.into_bytes()
}

/// The row as one line of CSV.
pub(crate) fn append(row: &TelemetryRow, line: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    line.extend_from_slice(number.format(row.tick).as_bytes());
    line.push(b',');
    line.extend_from_slice(number.format(row.t.0).as_bytes());
    for value in &row.values {
        line.push(b',');
        match *value {
            Value::Int(value) => line.extend_from_slice(number.format(value).as_bytes()),
            Value::Real(value) if value.is_finite() => {
                // Writing to a Vec can't fail.
                let _ = std::io::Write::write_fmt(line, format_args!("{value:.4}"));
            }
            Value::Absent | Value::Real(_) => {}
        }
    }
    line.push(b'\n');
}

/// Reads `telemetry.csv`.
pub(crate) fn read(path: &Path) -> Result<(Telemetry, Option<Torn>), RecordError> {
    let mut reader = Reader::open(path)?;
    let columns = if reader.is_begun() {
        columns(&reader)?
    } else {
        Vec::new()
    };
    let mut telemetry = Telemetry {
        series: vec![Vec::new(); columns.len()],
        columns,
        ..Telemetry::default()
    };
    while let Some(fields) = reader.next()? {
        push(&mut telemetry, &fields)?;
    }
    Ok((telemetry, reader.torn()))
}

fn columns(reader: &Reader) -> Result<Vec<Column>, RecordError> {
    for (index, expected) in [TICK, TIME].into_iter().enumerate() {
        if reader.header().get(index).map(String::as_str) != Some(expected) {
            return Err(reader.bad_header(index, expected));
        }
    }
    let names = reader.header().iter().enumerate().skip(2);
    names
        .map(|(index, name)| {
            name.parse()
                .map_err(|_| reader.bad_header(index, "a column of this version"))
        })
        .collect()
}

fn push(telemetry: &mut Telemetry, fields: &Fields) -> Result<(), RecordError> {
    const NUMBER: &str = "a finite number";
    telemetry.ticks.push(fields.whole(0)?);
    telemetry.t.push(SessionNs(fields.signed(1)?));
    for (index, series) in telemetry.series.iter_mut().enumerate() {
        let value = match fields.bytes(index + 2) {
            [] => f64::NAN,
            text => number(text).ok_or_else(|| fields.refuse(index + 2, NUMBER))?,
        };
        series.push(value);
    }
    Ok(())
}

/// A finite number. Short ones, as nearly all are, by way of a whole number, which a double holds
/// exactly, and at most one division, which rounds as the long way would.
fn number(text: &[u8]) -> Option<f64> {
    const SHORT: usize = 15;
    const TENS: [f64; 5] = [1.0, 1e1, 1e2, 1e3, 1e4];
    let long = || {
        let value = std::str::from_utf8(text).ok()?.parse();
        value.ok().filter(|value: &f64| value.is_finite())
    };
    let (mut value, mut decimals) = (0u64, None);
    for &byte in text {
        match (byte.wrapping_sub(b'0'), &mut decimals) {
            // What overflows is too long to be used.
            (digit @ ..=9, decimals) => {
                value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
                *decimals = decimals.map(|count| count + 1);
            }
            (_, None) if byte == b'.' => decimals = Some(0),
            _ => return long(),
        }
    }
    match TENS.get(decimals.unwrap_or(0)) {
        Some(tens) if text.len() <= SHORT && text.first().is_some_and(u8::is_ascii_digit) => {
            Some(value as f64 / tens)
        }
        _ => long(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Host};

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_row_reads_back_and_absent_stays_absent() {
        let columns = vec![
            Column::Host(Host::CpuUsrMs),
            Column::Device("nvme0n1".into(), Device::RAwaitMs),
            Column::Device("nvme0n1".into(), Device::UtilPct),
        ];
        let mut bytes = header(&columns);
        let row = TelemetryRow {
            tick: 3,
            t: SessionNs(-5),
            values: vec![Value::Int(u64::MAX >> 12), Value::Absent, Value::Real(0.25)],
        };
        append(&row, &mut bytes);
        let (read, torn) = read(file(std::str::from_utf8(&bytes).unwrap()).path()).unwrap();
        assert_eq!(torn, None);
        assert_eq!(read.columns(), columns);
        assert_eq!(
            (read.ticks(), read.times()),
            (&[3][..], &[SessionNs(-5)][..])
        );
        let value = |index: usize| read.series(&columns[index]).unwrap().get(0);
        assert_eq!(value(0), Some((u64::MAX >> 12) as f64));
        assert_eq!(value(1), None);
        assert_eq!(value(2), Some(0.25));
    }

    #[test]
    fn a_foreign_or_damaged_file_is_refused_by_line_and_column() {
        let message = |text: &str| {
            let file = file(text);
            let name = file.path().display().to_string();
            read(file.path())
                .unwrap_err()
                .to_string()
                .replace(&name, "F")
        };
        assert_eq!(
            message("time,r/s\n1,2\n"),
            r#"F:1:1: header field "time" where "tick" was expected; the file is damaged or not Spillpoint's"#
        );
        assert_eq!(
            message("tick,t_ns,cpu_usr\n"),
            r#"F:1:3: header field "cpu_usr" where "a column of this version" was expected; the file is damaged or not Spillpoint's"#
        );
        assert_eq!(
            message("tick,t_ns,cpu_usr_ms\n0,1,2\n1,2,N/A\n"),
            r#"F:3:3: cpu_usr_ms is "N/A", which is not a finite number"#
        );
        assert_eq!(
            message("tick,t_ns,cpu_usr_ms\n0,1,NaN\n"),
            r#"F:2:3: cpu_usr_ms is "NaN", which is not a finite number"#
        );
        assert_eq!(
            message("tick,t_ns,cpu_usr_ms\n0,1\n"),
            "F:2:2: the row has 2 fields, the header 3"
        );
    }

    #[test]
    fn a_number_is_what_the_long_way_makes_of_it() {
        for text in [
            "0",
            "0.25",
            "91.2000",
            "1.28",
            "123456789012345",
            "12345678901234567890",
            "33.3333",
            "0.1",
            "1e3",
            "-4",
            ".5",
            "0.00001",
        ] {
            assert_eq!(number(text.as_bytes()), text.parse().ok(), "{text}");
        }
        for text in ["", ".", "-", "1.2.3", "inf", "NaN", "1,5", "x"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_torn_row_is_left_out_and_said() {
        let file = file("tick,t_ns,cpu_usr_ms\n0,1,2\n1,2,");
        let (read, torn) = read(file.path()).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(torn.unwrap().bytes, 4);
    }

    #[test]
    fn a_file_killed_before_its_header_has_no_rows() {
        for begun in ["", "tick,t_"] {
            let file = file(begun);
            let (telemetry, torn) = read(file.path()).unwrap();
            assert!(telemetry.is_empty() && telemetry.columns().is_empty());
            assert_eq!(torn.unwrap().bytes, begun.len() as u64);
            let ((), torn) = crate::cpu::visit(file.path(), |row| panic!("{row:?}")).unwrap();
            assert!(torn.is_some());
        }
    }
}
