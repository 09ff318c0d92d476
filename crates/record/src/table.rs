//! Reading CSV files strictly: by header, file, line and column.

use crate::RecordError;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
    str::FromStr,
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

/// A CSV file whose header is known beforehand, or checked by the caller.
///
/// Every row is one line, as the writers keep it: so a line is read, and split where it lies.
pub(crate) struct Reader {
    path: PathBuf,
    input: BufReader<Take<File>>,
    header: Vec<String>,
    row: Row,
    /// Whether the header is there: a kill can come before it is written.
    is_begun: bool,
    torn: Option<Torn>,
}

impl Reader {
    /// Opens a file, reads its header, and sets a torn tail aside.
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let mut file = File::open(path).map_err(RecordError::io(path, "open"))?;
        let (whole, length) = whole_lines(&mut file).map_err(RecordError::io(path, "read"))?;
        let mut input = BufReader::with_capacity(1 << 16, file.take(whole));
        let mut row = Row::default();
        let has_header = row.read(&mut input, path)?;
        let columns = if has_header { row.len() } else { 0 };
        let header = (0..columns).map(|column| row.field(column).to_owned());
        Ok(Self {
            path: path.to_owned(),
            header: header.collect(),
            input,
            row,
            is_begun: whole > 0,
            torn: (whole == 0 || whole < length).then(|| Torn {
                path: path.to_owned(),
                bytes: length - whole,
            }),
        })
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
        if !self.row.read(&mut self.input, &self.path)? {
            return Ok(None);
        }
        if self.row.len() != self.header.len() {
            return Err(RecordError::Width {
                path: self.path.clone(),
                line: self.row.line,
                found: self.row.len(),
                expected: self.header.len(),
            });
        }
        Ok(Some(Fields {
            path: &self.path,
            header: &self.header,
            row: &self.row,
        }))
    }

    pub(crate) fn torn(self) -> Option<Torn> {
        self.torn
    }
}

/// One line, taken apart.
#[derive(Default)]
struct Row {
    /// The fields, a comma after each but the last; quotes are gone.
    text: String,
    /// Where each field ends.
    ends: Vec<usize>,
    /// The line's number, from 1.
    line: u64,
}

impl Row {
    /// Reads the next line that is not empty; whether there was one.
    fn read(&mut self, input: &mut impl BufRead, path: &Path) -> Result<bool, RecordError> {
        loop {
            let mut bytes = std::mem::take(&mut self.text).into_bytes();
            bytes.clear();
            let read = input.read_until(b'\n', &mut bytes);
            if read.map_err(RecordError::io(path, "read"))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            while bytes
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                bytes.pop();
            }
            if bytes.is_empty() {
                continue;
            }
            self.text =
                String::from_utf8(bytes).map_err(|error| not_utf8(path, self.line, &error))?;
            self.split();
            return Ok(true);
        }
    }

    fn split(&mut self) {
        self.ends.clear();
        let mut is_quoted = false;
        for (at, byte) in self.text.bytes().enumerate() {
            match byte {
                b',' => self.ends.push(at),
                b'"' => is_quoted = true,
                _ => {}
            }
        }
        self.ends.push(self.text.len());
        if is_quoted {
            self.unquote();
        }
    }

    /// Takes a line with quotes apart: rare, and so not fast.
    fn unquote(&mut self) {
        let line = std::mem::take(&mut self.text);
        self.ends.clear();
        let (mut is_inside, mut is_start) = (false, true);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if is_inside && chars.peek() == Some(&'"') => {
                    chars.next();
                    self.text.push('"');
                }
                '"' if is_inside => is_inside = false,
                '"' if is_start => is_inside = true,
                ',' if !is_inside => {
                    self.ends.push(self.text.len());
                    self.text.push(',');
                    is_start = true;
                    continue;
                }
                c => self.text.push(c),
            }
            is_start = false;
        }
        self.ends.push(self.text.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn field(&self, column: usize) -> &str {
        let Some(&end) = self.ends.get(column) else {
            return "";
        };
        let start = match column.checked_sub(1) {
            Some(before) => self.ends[before] + 1,
            None => 0,
        };
        &self.text[start..end]
    }
}

/// One row's fields.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    header: &'a [String],
    row: &'a Row,
}

impl<'a> Fields<'a> {
    pub(crate) fn text(&self, column: usize) -> &'a str {
        self.row.field(column)
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

    /// A whole number that must be there. Shorter ways of writing it than 20 digits cannot
    /// overflow, and are nearly all.
    pub(crate) fn whole(&self, column: usize, expected: &'static str) -> Result<u64, RecordError> {
        let text = self.text(column);
        if text.is_empty() || text.len() > 19 {
            return self.required(column, expected);
        }
        let mut value = 0;
        for byte in text.bytes() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return self.required(column, expected);
            }
            value = value * 10 + u64::from(digit);
        }
        Ok(value)
    }

    /// A field that may be empty.
    pub(crate) fn optional<T: FromStr>(
        &self,
        column: usize,
        expected: &'static str,
    ) -> Result<Option<T>, RecordError> {
        match self.text(column) {
            "" => Ok(None),
            _ => self.required(column, expected).map(Some),
        }
    }

    pub(crate) fn refuse(&self, column: usize, expected: &'static str) -> RecordError {
        RecordError::Field {
            path: self.path.to_owned(),
            line: self.row.line,
            column: column + 1,
            name: self.header.get(column).cloned().unwrap_or_default(),
            value: self.text(column).to_owned(),
            expected,
        }
    }
}

/// How many bytes the file's whole lines take, and how many it has.
fn whole_lines(file: &mut File) -> std::io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((end, length))
}

fn not_utf8(path: &Path, line: u64, error: &std::string::FromUtf8Error) -> RecordError {
    let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    RecordError::Field {
        path: path.to_owned(),
        line,
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
}
