//! Reading CSV files strictly: by header, file, line and column.

use crate::{
    RecordError,
    digits::{whole_number, whole_numbers},
    lines::Lines,
};
use std::{
    fmt,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    str::{FromStr, Utf8Error},
};

/// A last row that a kill cut short, or a header that it cut short or forestalled. It was left
/// out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file.
    pub path: PathBuf,
    /// How many bytes were left out.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.bytes {
            0 => write!(f, "{name} is empty: not even its header was written"),
            bytes => write!(
                f,
                "the last row of {name} was cut off: {bytes} bytes are left out"
            ),
        }
    }
}

/// A CSV file whose header is known beforehand, or checked by the caller.
///
/// Every row is one line, as the writers keep it: so a line is read, and split where it lies.
pub(crate) struct Reader {
    path: PathBuf,
    lines: Lines,
    header: Vec<String>,
    row: Row,
    /// Whether the header is there: a kill can come before it is written.
    is_begun: bool,
    torn: Option<Torn>,
}

impl Reader {
    /// Opens a file, reads its header, and sets a torn tail aside.
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(RecordError::io(path, "open"))?;
        let lines = Lines::new(file).map_err(RecordError::io(path, "read"))?;
        let (whole, torn) = (lines.whole(), lines.torn());
        let mut reader = Self {
            path: path.to_owned(),
            lines,
            header: Vec::new(),
            row: Row::default(),
            is_begun: whole > 0,
            torn: (whole == 0 || torn > 0).then(|| Torn {
                path: path.to_owned(),
                bytes: torn,
            }),
        };
        if reader.line()?.is_some() {
            reader.split()?;
            let fields = reader.fields();
            reader.header = (0..fields.row.len())
                .map(|column| fields.text(column).to_owned())
                .collect();
        }
        Ok(reader)
    }

    /// Opens a file whose header must be exactly this.
    pub(crate) fn with_header(path: &Path, expected: &[&str]) -> Result<Self, RecordError> {
        let reader = Self::open(path)?;
        if !reader.is_begun {
            return Ok(reader);
        }
        let width = expected.len().max(reader.header.len());
        for column in 0..width {
            let found = reader.header.get(column).map(String::as_str);
            let wanted = expected.get(column).copied();
            if found != wanted {
                return Err(reader.bad_header(column, wanted.unwrap_or("no further column")));
            }
        }
        Ok(reader)
    }

    /// Whether the file has a header. One without has no rows.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    pub(crate) fn bad_header(&self, column: usize, expected: &str) -> RecordError {
        RecordError::Header {
            path: self.path.clone(),
            column: column + 1,
            found: self.header.get(column).cloned().unwrap_or_default(),
            expected: format!("{expected:?}"),
        }
    }

    /// The next row, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Fields<'_>>, RecordError> {
        match self.line()? {
            Some(_) => self.whole_row().map(Some),
            None => Ok(None),
        }
    }

    /// The next row of a file all of whose fields are whole numbers: by `fast` where they are, and
    /// it takes them, or else by `slow`.
    pub(crate) fn next_whole<const N: usize, T>(
        &mut self,
        fast: impl FnOnce([u64; N]) -> Option<T>,
        slow: impl FnOnce(&Fields) -> Result<T, RecordError>,
    ) -> Result<Option<T>, RecordError> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        if let Some(row) =
            whole_numbers(self.lines.and_beyond(line.start), line.len()).and_then(fast)
        {
            return Ok(Some(row));
        }
        self.whole_row().and_then(|fields| slow(&fields)).map(Some)
    }

    pub(crate) fn torn(self) -> Option<Torn> {
        self.torn
    }

    /// Goes on to the next line that is not empty.
    fn line(&mut self) -> Result<Option<Range<usize>>, RecordError> {
        loop {
            let line = self.lines.next();
            // Made only when there is one: this is the way of every line.
            let failed = |source| RecordError::io(&self.path, "read")(source);
            let Some(mut line) = line.map_err(failed)? else {
                return Ok(None);
            };
            self.row.number += 1;
            while line.end > line.start && self.lines.text(line.clone()).ends_with(b"\r") {
                line.end -= 1;
            }
            if !line.is_empty() {
                self.row.line = line.clone();
                return Ok(Some(line));
            }
        }
    }

    /// The line as a row, which must be as wide as the header.
    fn whole_row(&mut self) -> Result<Fields<'_>, RecordError> {
        self.split()?;
        if self.row.len() != self.header.len() {
            return Err(RecordError::Width {
                path: self.path.clone(),
                line: self.row.number,
                found: self.row.len(),
                expected: self.header.len(),
            });
        }
        Ok(self.fields())
    }

    fn split(&mut self) -> Result<(), RecordError> {
        let line = self.lines.text(self.row.line.clone());
        if !line.is_ascii() {
            std::str::from_utf8(line)
                .map_err(|error| not_utf8(&self.path, self.row.number, line, &error))?;
        }
        self.row.split(line);
        Ok(())
    }

    fn fields(&self) -> Fields<'_> {
        let line = self.lines.text(self.row.line.clone());
        Fields {
            path: &self.path,
            header: &self.header,
            text: if self.row.is_quoted {
                &self.row.unquoted
            } else {
                line
            },
            row: &self.row,
        }
    }
}

/// One line, taken apart.
#[derive(Default)]
struct Row {
    /// Where the line lies in the buffer.
    line: Range<usize>,
    /// The line's number, from 1.
    number: u64,
    /// Where each field ends, in the line or in `unquoted`.
    ends: Vec<usize>,
    is_quoted: bool,
    /// A line with quotes, the quotes gone and a comma after each field but the last.
    unquoted: Vec<u8>,
}

impl Row {
    fn split(&mut self, line: &[u8]) {
        self.ends.clear();
        self.is_quoted = memchr::memchr(b'"', line).is_some();
        if self.is_quoted {
            self.unquote(line);
        } else {
            self.ends.extend(memchr::memchr_iter(b',', line));
            self.ends.push(line.len());
        }
    }

    /// Takes a line with quotes apart: rare, and so not fast.
    fn unquote(&mut self, line: &[u8]) {
        self.unquoted.clear();
        let (mut is_inside, mut is_start) = (false, true);
        let mut bytes = line.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' if is_inside && bytes.peek() == Some(&b'"') => {
                    bytes.next();
                    self.unquoted.push(b'"');
                }
                b'"' if is_inside => is_inside = false,
                b'"' if is_start => is_inside = true,
                b',' if !is_inside => {
                    self.ends.push(self.unquoted.len());
                    self.unquoted.push(b',');
                    is_start = true;
                    continue;
                }
                byte => self.unquoted.push(byte),
            }
            is_start = false;
        }
        self.ends.push(self.unquoted.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

/// One row's fields.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    header: &'a [String],
    /// The fields, a byte between each two.
    text: &'a [u8],
    row: &'a Row,
}

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&self, column: usize) -> &'a [u8] {
        let Some(&end) = self.row.ends.get(column) else {
            return &[];
        };
        let start = match column.checked_sub(1) {
            Some(before) => self.row.ends[before] + 1,
            None => 0,
        };
        &self.text[start..end]
    }

    pub(crate) fn text(&self, column: usize) -> &'a str {
        // The whole line has been found to be UTF-8, and fields end at commas.
        std::str::from_utf8(self.bytes(column)).unwrap_or_default()
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromStr>(
        &self,
        column: usize,
        expected: &'static str,
    ) -> Result<T, RecordError> {
        self.text(column)
            .parse()
            .map_err(|_| self.refuse(column, expected))
    }

    /// A whole number that must be there.
    pub(crate) fn whole<T: TryFrom<u64>>(&self, column: usize) -> Result<T, RecordError> {
        let value = whole_number(self.bytes(column)).and_then(|value| value.try_into().ok());
        value.ok_or_else(|| self.refuse(column, WHOLE))
    }

    /// A whole number, or nothing.
    pub(crate) fn maybe_whole<T: TryFrom<u64>>(
        &self,
        column: usize,
    ) -> Result<Option<T>, RecordError> {
        match self.bytes(column) {
            [] => Ok(None),
            _ => self.whole(column).map(Some),
        }
    }

    /// A whole number that may be below zero.
    pub(crate) fn signed(&self, column: usize) -> Result<i64, RecordError> {
        let value = whole_number(self.bytes(column)).and_then(|value| value.try_into().ok());
        value.map_or_else(|| self.required(column, WHOLE), Ok)
    }

    pub(crate) fn refuse(&self, column: usize, expected: &'static str) -> RecordError {
        RecordError::Field {
            path: self.path.to_owned(),
            line: self.row.number,
            column: column + 1,
            name: self.header.get(column).cloned().unwrap_or_default(),
            value: self.text(column).to_owned(),
            expected,
        }
    }
}

const WHOLE: &str = "a whole number";

fn not_utf8(path: &Path, number: u64, line: &[u8], error: &Utf8Error) -> RecordError {
    let sound = &line[..error.valid_up_to()];
    RecordError::Field {
        path: path.to_owned(),
        line: number,
        column: 1 + sound.iter().filter(|byte| **byte == b',').count(),
        name: "the field".to_owned(),
        value: String::new(),
        expected: "UTF-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Result<Vec<Vec<String>>, RecordError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut reader = Reader::open(file.path())?;
        let mut rows = Vec::new();
        while let Some(fields) = reader.next()? {
            rows.push(
                (0..fields.row.len())
                    .map(|it| fields.text(it).to_owned())
                    .collect(),
            );
        }
        Ok(rows)
    }

    #[test]
    fn quotes_hold_commas_and_quotes() {
        let read = rows(b"a,b,c\n\"x, y\",\"say \"\"no\"\"\",3\n1,\"\",\r\n").unwrap();
        assert_eq!(read, [["x, y", "say \"no\"", "3"], ["1", "", ""]]);
    }

    #[test]
    fn empty_lines_are_no_rows_but_count_as_lines() {
        let error = rows(b"a,b\n\n1,2\n3\n").unwrap_err().to_string();
        assert!(error.contains(":4:1: the row has 1 fields"), "{error}");
    }

    #[test]
    fn what_is_no_text_is_refused_by_line_and_column() {
        let error = rows(b"a,b\n1,\xff\n").unwrap_err().to_string();
        assert!(error.contains(":2:2: the field is"), "{error}");
    }

    #[test]
    fn lines_longer_than_the_buffer_are_read_whole() {
        let long = "x".repeat(1 << 20);
        let read = rows(format!("a,b\n1,{long}\n2,y\n").as_bytes()).unwrap();
        assert_eq!(read, [["1", long.as_str()], ["2", "y"]]);
    }
}
