//! Reading CSV files strictly: by header, file, line and column.

use crate::RecordError;
use csv::StringRecord;
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Take},
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
pub(crate) struct Reader {
    path: PathBuf,
    csv: csv::Reader<BufReader<Take<File>>>,
    header: StringRecord,
    row: StringRecord,
    /// Whether the header is there: a kill can come before it is written.
    is_begun: bool,
    torn: Option<Torn>,
}

impl Reader {
    /// Opens a file, reads its header, and sets a torn tail aside.
    pub(crate) fn open(path: &Path) -> Result<Self, RecordError> {
        let mut file = File::open(path).map_err(RecordError::io(path, "open"))?;
        let (whole, length) = whole_lines(&mut file).map_err(RecordError::io(path, "read"))?;
        let mut csv = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(BufReader::with_capacity(1 << 16, file.take(whole)));
        let header = match csv.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(refuse(path, error)),
        };
        Ok(Self {
            path: path.to_owned(),
            csv,
            header,
            row: StringRecord::new(),
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
            let found = reader.header.get(column);
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

    pub(crate) fn header(&self) -> &StringRecord {
        &self.header
    }

    pub(crate) fn bad_header(&self, column: usize, expected: &str) -> RecordError {
        RecordError::Header {
            path: self.path.clone(),
            column: column + 1,
            found: self.header.get(column).unwrap_or_default().to_owned(),
            expected: format!("{expected:?}"),
        }
    }

    /// The next row, or none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Fields<'_>>, RecordError> {
        match self.csv.read_record(&mut self.row) {
            Ok(false) => Ok(None),
            Ok(true) if self.row.len() != self.header.len() => Err(RecordError::Width {
                path: self.path.clone(),
                line: line_of(&self.row),
                found: self.row.len(),
                expected: self.header.len(),
            }),
            Ok(true) => Ok(Some(Fields {
                path: &self.path,
                header: &self.header,
                row: &self.row,
            })),
            Err(error) => Err(refuse(&self.path, error)),
        }
    }

    pub(crate) fn torn(self) -> Option<Torn> {
        self.torn
    }
}

/// One row's fields.
pub(crate) struct Fields<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    row: &'a StringRecord,
}

impl<'a> Fields<'a> {
    pub(crate) fn text(&self, column: usize) -> &'a str {
        self.row.get(column).unwrap_or_default()
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
            line: line_of(self.row),
            column: column + 1,
            name: self.header.get(column).unwrap_or_default().to_owned(),
            value: self.text(column).to_owned(),
            expected,
        }
    }
}

fn line_of(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
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

fn refuse(path: &Path, error: csv::Error) -> RecordError {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => RecordError::io(path, "read")(source),
        csv::ErrorKind::Utf8 { pos, err } => RecordError::Field {
            path: path.to_owned(),
            line: pos.map_or(0, |pos| pos.line()),
            column: err.field() + 1,
            name: "the field".to_owned(),
            value: String::new(),
            expected: "UTF-8",
        },
        // The other kinds come from seeking, serde, and fixed row widths: none is used here.
        other => RecordError::io(path, "read")(std::io::Error::other(format!("{other:?}"))),
    }
}
