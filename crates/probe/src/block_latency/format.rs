//! Where a tracepoint's record has its fields: `events/block/*/format` of tracefs.

use super::BlockLatencyError;
use crate::Roots;
use std::{fs, path::PathBuf};

/// The offsets of the fields that both programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) dev: i16,
    pub(super) sector: i16,
    pub(super) rwbs: i16,
}

/// A field that is not as it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no field `{field}` of {size} bytes")]
pub struct FormatError {
    /// Its name.
    pub field: &'static str,
    /// The size that it should have, or the least.
    pub size: u32,
}

/// Reads a tracepoint's description.
pub(super) fn read(roots: &Roots, tracepoint: &str) -> Result<Fields, BlockLatencyError> {
    let path = file(roots, tracepoint);
    let text = fs::read_to_string(&path).map_err(|source| BlockLatencyError::NoTracepoint {
        path: path.clone(),
        source,
    })?;
    fields(&text).map_err(|source| BlockLatencyError::Format { path, source })
}

/// tracefs has a place of its own since Linux 4.1; before, and on some hosts still, it is debugfs'.
fn file(roots: &Roots, tracepoint: &str) -> PathBuf {
    let below = |folder: &str| {
        let events = roots.sys.join("kernel").join(folder).join("events/block");
        events.join(tracepoint).join("format")
    };
    let old = below("debug/tracing");
    if old.exists() && !below("tracing").exists() {
        return old;
    }
    below("tracing")
}

fn fields(text: &str) -> Result<Fields, FormatError> {
    Ok(Fields {
        dev: field(text, "dev", 4)?,
        sector: field(text, "sector", 8)?,
        // It has grown from 8 bytes to 10.
        rwbs: field(text, "rwbs", 2)?,
    })
}

/// `\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;`
fn field(text: &str, name: &'static str, least: u32) -> Result<i16, FormatError> {
    let offset = |line: &str| {
        let mut parts = line.trim().split(';').map(str::trim);
        let declared = parts.next()?.strip_prefix("field:")?;
        let declared = declared.split('[').next()?;
        let offset = parts.next()?.strip_prefix("offset:")?.parse().ok()?;
        let size: u32 = parts.next()?.strip_prefix("size:")?.parse().ok()?;
        let fits = size == least || (name == "rwbs" && size > least);
        (declared.split_whitespace().last()? == name && fits).then_some(offset)
    };
    let found = text.lines().find_map(offset);
    found.ok_or(FormatError {
        field: name,
        size: least,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: block_rq_issue\nID: 2104\nformat:\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;\n\
        \tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;\n\
        \tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;\n\
        \tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;\n\
        \nprint fmt: \"%d,%d %s\", REC->rwbs\n";

    #[test]
    fn the_places_are_the_kernels_own() {
        let fields = fields(TEXT).unwrap();
        assert_eq!((fields.dev, fields.sector, fields.rwbs), (8, 16, 34));
    }

    #[test]
    fn a_field_of_another_size_is_another_field() {
        let text = TEXT.replace("sector;\toffset:16;\tsize:8", "sector;\toffset:16;\tsize:4");
        let error = fields(&text).unwrap_err();
        assert_eq!(error.to_string(), "no field `sector` of 8 bytes");
    }
}
