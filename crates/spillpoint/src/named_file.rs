//! Files that a person names: small ones that are read (a key, a plan, a target), and those that a
//! device is found by.

use crate::exit::{OrExit, Result};
use anyhow::Context;
use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

/// None of them is longer. A device or a pipe would have no end.
const MOST_BYTES: u64 = 1 << 20;

/// The whole text; refused where it has no end in reasonable time.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "it is longer than 1 MiB: not the file that is meant",
        )),
        false => Ok(text),
    }
}

/// Refuses a path that is not there: its device would be that of the nearest folder that is, and a
/// mistyped name would watch another drive.
pub(crate) fn is_there(path: &Path) -> Result<()> {
    std::fs::metadata(path)
        .with_context(|| {
            format!(
                "cannot look at {}; name a path on the drive",
                path.display()
            )
        })
        .map(|_| ())
        .or_usage()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = read_text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert!(read_text(Path::new("/dev/null")).unwrap().is_empty());
    }
}
