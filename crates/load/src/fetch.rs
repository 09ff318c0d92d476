//! A whole answer to a small request, for preflight: nothing here is measured.

use crate::{
    connection::{Connection, Endpoint, Got, Reader},
    tls,
    wire::{BodyReader, HeadReader, HeadStep, WireError},
};
use std::io;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) server: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum FetchError {
    Connect(io::Error),
    Broken(io::Error),
    NotHttp(WireError),
    /// The reason why TLS is not spoken, or the server not trusted.
    Tls(String),
}

impl From<WireError> for FetchError {
    fn from(error: WireError) -> Self {
        Self::NotHttp(error)
    }
}

fn not_opened(error: io::Error) -> FetchError {
    match tls::reason(&error) {
        Some(reason) => FetchError::Tls(reason),
        None => FetchError::Connect(error),
    }
}

const MAX_BODY_BYTES: usize = 8 << 20;

/// Sends the request (head and body as they are) and collects the answer.
pub(crate) async fn fetch(
    endpoint: Endpoint<'_>,
    head: &[u8],
    body: &[u8],
) -> Result<Answer, FetchError> {
    let mut connection = Connection::open(endpoint).await.map_err(not_opened)?;
    let sent = connection.send(head, body, |_| {}).await;
    sent.map_err(FetchError::Broken)?;
    let reader = Reader::new();
    let mut collector = Collector::default();
    loop {
        let got = connection.read(&reader, |bytes, _| collector.feed(bytes));
        match got.await.map_err(FetchError::Broken)? {
            Got::Bytes(done) => {
                if done? {
                    break;
                }
            }
            Got::Closed if collector.may_end_here() => break,
            Got::Closed => return Err(FetchError::Broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }
    collector
        .answer
        .ok_or_else(|| FetchError::Broken(io::ErrorKind::UnexpectedEof.into()))
}

#[derive(Default)]
struct Collector {
    head: HeadReader,
    answer: Option<Answer>,
    framing: Option<BodyReader>,
}

impl Collector {
    /// Takes bytes; true when the answer is whole.
    fn feed(&mut self, mut bytes: &[u8]) -> Result<bool, WireError> {
        if self.answer.is_none() {
            match self.head.feed(bytes)? {
                HeadStep::More => return Ok(false),
                HeadStep::Whole { head, taken } => {
                    bytes = &bytes[taken..];
                    self.framing = Some(head.body);
                    self.answer = Some(Answer {
                        status: head.status,
                        server: head.server,
                        body: Vec::new(),
                    });
                }
            }
        }
        let (Some(framing), Some(answer)) = (&mut self.framing, &mut self.answer) else {
            return Ok(false);
        };
        while !bytes.is_empty() && !framing.is_at_end() {
            let piece = framing.next(bytes)?;
            answer.body.extend_from_slice(piece.data);
            bytes = &bytes[piece.taken..];
            if answer.body.len() > MAX_BODY_BYTES {
                return Err(WireError(format!(
                    "the answer is longer than {MAX_BODY_BYTES} bytes"
                )));
            }
        }
        Ok(framing.is_at_end())
    }

    fn may_end_here(&self) -> bool {
        self.framing.as_ref().is_some_and(BodyReader::may_end_here)
    }
}
