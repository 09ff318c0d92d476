//! Prompts from files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Prompts that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts(Arc<[String]>);

/// Why a path gives no prompts.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// It can't be read.
    #[error("{path}: can't be read ({source}); name a .txt or .jsonl file, or a folder of .txt files", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A line of a JSONL file is no prompt.
    #[error("{path}:{line}: not a prompt; each line is an object with \"prompt\" or \"text_input\", or a string", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// There is none.
    #[error("{path}: no prompt in it; write one at least", path = path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

impl Texts {
    /// A folder's `*.txt` in the order of their names, one `.txt` file, or a `.jsonl` file.
    pub fn read(path: &Path) -> Result<Self, TextError> {
        let failed = |source| TextError::Io {
            path: path.to_owned(),
            source,
        };
        let texts = if path.is_dir() {
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .map_err(failed)?;
            files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
            files.sort();
            let read = files.iter().map(std::fs::read_to_string);
            read.collect::<io::Result<Vec<_>>>().map_err(failed)?
        } else {
            let text = std::fs::read_to_string(path).map_err(failed)?;
            match path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                true => parse_jsonl(&text).map_err(|line| TextError::Line {
                    path: path.to_owned(),
                    line,
                })?,
                false => vec![text],
            }
        };
        let texts: Vec<String> = texts
            .into_iter()
            .filter(|text| !text.trim().is_empty())
            .collect();
        if texts.is_empty() {
            return Err(TextError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self(texts.into()))
    }

    /// The text for the n-th request.
    pub(crate) fn nth(&self, nth: u64) -> &str {
        // There is one at least, and the remainder is within the list.
        &self.0[(nth % self.0.len() as u64) as usize]
    }
}

fn parse_jsonl(text: &str) -> Result<Vec<String>, usize> {
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let value: serde_json::Value = serde_json::from_str(line).map_err(|_| number)?;
            let prompt = [&value, &value["prompt"], &value["text_input"]];
            let found = prompt.into_iter().find_map(|value| value.as_str());
            found.map(str::to_owned).ok_or(number)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jsonl_file_is_read_or_refused_by_line() {
        let good = "\"a\"\n{\"prompt\":\"b\"}\n\n{\"text_input\":\"c\"}\n";
        assert_eq!(parse_jsonl(good).unwrap(), ["a", "b", "c"]);
        assert_eq!(parse_jsonl("\"a\"\n\n{\"x\":1}"), Err(3));
        assert_eq!(parse_jsonl("nope"), Err(1));
    }

    #[test]
    fn texts_come_round_again() {
        let texts = Texts(["a".to_owned(), "b".to_owned()].into());
        assert_eq!([texts.nth(0), texts.nth(1), texts.nth(2)], ["a", "b", "a"]);
    }
}
