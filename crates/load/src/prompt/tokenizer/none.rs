//! A build without tokenizers: there is none, so none of its methods can be called.

use super::TokenizerError;
use crate::{prompt::LengthModel, workload::Shape};
use std::path::Path;

/// A model's tokenizer, from a local file, and what the server adds to its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokenizer {}

impl Tokenizer {
    /// Reads a `tokenizer.json`, as Hugging Face models have it.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        Err(TokenizerError::Unreadable {
            path: path.to_owned(),
            reason: "this program was built without tokenizers".to_owned(),
        })
    }

    pub(crate) fn with_surplus(&self, _surplus: i64) -> Self {
        match *self {}
    }

    pub(crate) fn count(&self, _text: &str) -> u32 {
        match *self {}
    }

    pub(crate) fn write(&self, _shape: &Shape, _lengths: &LengthModel) -> String {
        match *self {}
    }
}
