//! TLS: bytes of a socket ↔ bytes of HTTP. No socket is touched here.
//!
//! Under TLS a token's bytes can be told only once its whole record is there and deciphered, so the
//! arrival is stamped in user space, and every row says so.

#[cfg(feature = "tls")]
mod session;
#[cfg(not(feature = "tls"))]
#[path = "none.rs"]
mod session;

pub(crate) use session::Session;
pub use session::Tls;

use std::{io, path::PathBuf};

/// Why no TLS could be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificates can't be used.
    #[error(
        "{}: no certificates can be read from it ({reason}); name a PEM file with the certificate \
         of the authority that signed the server's", path.display()
    )]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The host can't stand in a certificate.
    #[error(
        "{0:?} is no name that a certificate can have; use the server's name or its IP address"
    )]
    ServerName(String),
    /// The library refuses its configuration, or there is none.
    #[error("TLS can't be set up: {0}; use the server's plain http port")]
    Setup(String),
}

/// The words of an error that TLS made, rather than the socket.
pub(crate) fn reason(error: &io::Error) -> Option<String> {
    session::reason(error)
}
