//! What a reader of the report must know about its records.

use record::RunId;
use std::fmt;

/// Something that was missing, torn, damaged or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The run that it concerns; absent where it is the whole session.
    pub run: Option<RunId>,
    /// What, and what became of it.
    pub text: String,
}

impl Note {
    pub(crate) fn session(text: impl Into<String>) -> Self {
        Self {
            run: None,
            text: text.into(),
        }
    }

    pub(crate) fn run(run: &RunId, text: impl Into<String>) -> Self {
        Self {
            run: Some(run.clone()),
            text: text.into(),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(run) => write!(f, "{run}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
