//! What was corrected, and what was refused.

use std::fmt;

/// What became of a part of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is in the session, but not as the files call it.
    Corrected,
    /// It is not in the session.
    Refused,
}

/// One thing that was corrected or refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// What it is, and why.
    pub text: String,
    /// The runs that it is about, by the harness's own names.
    pub runs: Vec<String>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Corrected => "corrected",
            Fate::Refused => "refused",
        };
        write!(f, "{fate}: {}", self.text)?;
        match &self.runs[..] {
            [] => Ok(()),
            [run] => write!(f, " ({run})"),
            runs => write!(f, " ({} runs)", runs.len()),
        }
    }
}

/// Notes as they gather: the same words about several runs are one note.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<Note>);

impl Notes {
    pub(crate) fn corrected(&mut self, run: &str, text: impl Into<String>) {
        self.push(Fate::Corrected, run, text.into());
    }

    pub(crate) fn refused(&mut self, run: &str, text: impl Into<String>) {
        self.push(Fate::Refused, run, text.into());
    }

    fn push(&mut self, fate: Fate, run: &str, text: String) {
        let same = |note: &&mut Note| note.fate == fate && note.text == text;
        match self.0.iter_mut().find(same) {
            Some(note) => note.runs.push(run.to_owned()),
            None => self.0.push(Note {
                fate,
                text,
                runs: vec![run.to_owned()],
            }),
        }
    }

    pub(crate) fn into_sorted(mut self) -> Vec<Note> {
        self.0.sort_by_key(|note| note.fate);
        self.0
    }
}
