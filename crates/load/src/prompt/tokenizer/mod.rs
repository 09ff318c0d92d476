//! Prompts as long as wanted by a tokenizer of our own, the model's `tokenizer.json`.

#[cfg(feature = "tokenizer")]
mod local;
#[cfg(not(feature = "tokenizer"))]
#[path = "none.rs"]
mod local;

pub use local::Tokenizer;

use std::path::PathBuf;

/// Why a tokenizer can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file is not there, or no tokenizer.
    #[error(
        "{}: no tokenizer can be read from it ({reason}); name the tokenizer.json that lies beside \
         the model's weights", path.display()
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
