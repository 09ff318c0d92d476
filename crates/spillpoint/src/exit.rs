//! How the program ends: the exit status is a contract with scripts.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Exit {
    /// Status 0: done.
    Done,
    /// Status 1: the work failed.
    Failed(anyhow::Error),
    /// Status 2: wrong usage or configuration.
    Usage(anyhow::Error),
    /// Status 3: done, but a gate failed and the result is INVALID.
    Invalid,
}

impl Exit {
    /// Whether it failed.
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Exit::Failed(_) | Exit::Usage(_))
    }

    /// Tells a person what went wrong, and the shell how it ended.
    pub(crate) fn report(self) -> ExitCode {
        let (status, error) = match self {
            Exit::Done => (0, None),
            Exit::Failed(error) => (1, Some(error)),
            Exit::Usage(error) => (2, Some(error)),
            Exit::Invalid => (3, None),
        };
        if let Some(error) = error {
            // A closed standard error is no reason to fail otherwise.
            let _ = writeln!(io::stderr(), "spillpoint: {}", words(&error));
        }
        ExitCode::from(status)
    }
}

/// The error and its causes; a cause that is told already is not told again.
fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Failing to print is failing, except into a pipe whose reader has left.
impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Failed(error.into()),
        }
    }
}

/// What a command returns: its end, or what ended it early.
pub(crate) type Result<T = Exit> = std::result::Result<T, Exit>;

/// Turns errors into ends.
pub(crate) trait OrExit<T> {
    /// An error means that the work failed.
    fn or_failed(self) -> Result<T>;
    /// An error means that what was asked for is wrong.
    fn or_usage(self) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for std::result::Result<T, E> {
    fn or_failed(self) -> Result<T> {
        self.map_err(|error| Exit::Failed(error.into()))
    }

    fn or_usage(self) -> Result<T> {
        self.map_err(|error| Exit::Usage(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("connection refused");
        let error = error.context("no server (connection refused); start it");
        assert_eq!(words(&error), "no server (connection refused); start it");
        let error = anyhow!("no such file").context("my.toml: cannot read the plan");
        assert_eq!(words(&error), "my.toml: cannot read the plan: no such file");
    }
}
