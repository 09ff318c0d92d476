//! Bytes of a connection → the events of a response. Pure and incremental: any split of the same
//! bytes gives the same events.
//!
//! [`HeadReader`] takes bytes until the response head is whole; [`BodyReader`] strips the framing
//! that the head announced; [`SseReader`] cuts what remains into events.

mod body;
mod head;
mod sse;

pub(crate) use body::BodyReader;
pub(crate) use head::{ContentType, HeadReader, HeadStep, ResponseHead};
pub(crate) use sse::SseReader;

/// Bytes that are not the protocol they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WireError(pub(crate) String);

impl WireError {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
