//! Parquet, laid out so that many hosts' sessions are read in place as one table.
//!
//! `TABLE/host=HOST/date=YYYY-MM-DD/SESSION.parquet`, the partitioning by folder names that Hive began
//! and DuckDB, Spark, Trino and pandas know. Exporting another session into the same folder adds to
//! it; exporting the same one again replaces it.

mod tables;

use crate::{ExportError, Run, wall};
use ::parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use clock::SessionNs;
use jiff::{Timestamp, tz::TimeZone};
use record::Session;
use std::{
    collections::HashMap,
    fmt::Write,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};
use tables::Built;

pub(crate) fn write(
    session: &Session,
    runs: &[Run],
    folder: &Path,
) -> Result<Vec<PathBuf>, ExportError> {
    let tables = [
        ("runs", tables::runs(session, runs)),
        ("requests", tables::requests(session, runs)),
        ("tokens", tables::tokens(session, runs)),
        ("telemetry", tables::telemetry(session, runs)),
    ];
    let mut written = Vec::new();
    for (table, columns) in tables {
        let partition = folder.join(table).join(partition(session));
        fs::create_dir_all(&partition).map_err(ExportError::io(&partition))?;
        let name = format!("{}.parquet", as_a_value(&session.manifest.session));
        let path = partition.join(name);
        write_file(&path, columns)?;
        written.push(path);
    }
    Ok(written)
}

/// `host=spark-1/date=2026-11-24`: the day in UTC on which the session began.
fn partition(session: &Session) -> PathBuf {
    let began = Timestamp::from_nanosecond(wall(session, SessionNs(0)).into());
    // Nanoseconds of 64 bits end in the year 2262, a timestamp in the year 9999.
    let began = began.unwrap_or(Timestamp::UNIX_EPOCH);
    let date = TimeZone::UTC.to_datetime(began).date();
    let host = as_a_value(&session.manifest.host.hostname);
    PathBuf::from(format!("host={host}")).join(format!("date={date}"))
}

/// A value as it stands in a path: what could end it, or lead out of it, is written as Hive does, by
/// its bytes in hexadecimal.
fn as_a_value(text: &str) -> String {
    let mut value = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => value.push(char::from(byte)),
            b'.' if !value.is_empty() => value.push('.'),
            // Writing to a String does not fail.
            _ => drop(write!(value, "%{byte:02X}")),
        }
    }
    match value.is_empty() {
        // Hive's word for none.
        true => "__HIVE_DEFAULT_PARTITION__".to_owned(),
        false => value,
    }
}

fn write_file(path: &Path, columns: Vec<Built>) -> Result<(), ExportError> {
    let field = |column: &Built| {
        let field = Field::new(&column.name, column.values.data_type().clone(), true);
        match column.unit {
            "" => field,
            unit => field.with_metadata(HashMap::from([("unit".to_owned(), unit.to_owned())])),
        }
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let arrays = columns.into_iter().map(|column| column.values).collect();
    let parquet = |source| ExportError::Parquet {
        path: path.to_owned(),
        source,
    };
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|error| parquet(::parquet::errors::ParquetError::from(error)))?;
    let file = File::create(path).map_err(ExportError::io(path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(parquet)?;
    writer.write(&batch).map_err(parquet)?;
    writer.close().map_err(parquet)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_name_stays_one_folder() {
        assert_eq!(as_a_value("spark-1.lab"), "spark-1.lab");
        assert_eq!(as_a_value("../../etc"), "%2E.%2F..%2Fetc");
        assert_eq!(as_a_value("a=b c"), "a%3Db%20c");
        assert_eq!(as_a_value(""), "__HIVE_DEFAULT_PARTITION__");
    }
}
