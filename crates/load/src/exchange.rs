//! One request's life after it was sent: bytes and their stamps in, a row out. Pure: it reads no
//! clock and no socket.

use crate::{
    dialect::{Api, Event, EventReader, Token, Usage, answer_text, server_words},
    wire::{BodyReader, ContentType, HeadReader, HeadStep, ResponseHead, SseReader, WireError},
};
use clock::MonoNs;
use record::{ChunkTime, Failure, StampSource};
use std::time::Duration;

/// When bytes arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When they reached this machine's socket, or, stamped in user space, when they were read.
    pub(crate) arrival: MonoNs,
    /// When this program read them.
    pub(crate) read: MonoNs,
    pub(crate) source: StampSource,
}

impl Stamp {
    /// The same, but of what only user space can tell.
    pub(crate) fn in_user_space(self) -> Self {
        Self {
            arrival: self.read,
            source: StampSource::User,
            ..self
        }
    }
}

/// A request that failed, and why, in the server's or the system's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) words: String,
}

impl Failed {
    pub(crate) fn new(failure: Failure, words: impl Into<String>) -> Self {
        Self {
            failure,
            words: words.into(),
        }
    }
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::new(Failure::Malformed, error.0)
    }
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not there yet.
    Waiting,
    /// The stream had its proper end; only the connection's framing is still open.
    Answered,
    /// The framing has ended too.
    Complete,
}

/// What was seen of the response so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: Option<u16>,
    pub(crate) server: Option<String>,
    pub(crate) ttfb: Option<Duration>,
    /// First chunk of the answer itself.
    pub(crate) ttfa: Option<Duration>,
    /// The token-bearing chunks.
    pub(crate) chunks: Vec<ChunkTime>,
    /// Tokens in the first of them, where it tells.
    pub(crate) first_chunk_tokens: Option<u32>,
    pub(crate) usage: Option<Usage>,
    /// The answer's text, where it is wanted.
    pub(crate) text: Option<String>,
    /// Any stamp was made in user space.
    pub(crate) user_stamped: bool,
    /// When the stream had its proper end.
    pub(crate) answered: Option<MonoNs>,
    reasoning: bool,
    finished: bool,
}

/// A response as it comes in.
#[derive(Debug)]
pub(crate) struct Exchange {
    api: Api,
    sent: MonoNs,
    /// When the newest bytes arrived.
    newest: MonoNs,
    state: State,
    keep_alive: bool,
    pub(crate) seen: Seen,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    Stream(BodyReader, SseReader, EventReader),
    /// A body that is no event stream: the server's words.
    Words(BodyReader, Vec<u8>),
    Over,
}

/// More of a refusal's body is not kept.
const MAX_WORDS_BYTES: usize = 64 << 10;

impl Exchange {
    pub(crate) fn new(api: Api, sent: MonoNs) -> Self {
        Self {
            api,
            sent,
            newest: sent,
            state: State::Head(HeadReader::default()),
            keep_alive: false,
            seen: Seen::default(),
        }
    }

    /// The same, but the answer's text is kept: it costs a copy a token.
    pub(crate) fn keeping_text(api: Api, sent: MonoNs) -> Self {
        let mut exchange = Self::new(api, sent);
        exchange.seen.text = Some(String::new());
        exchange
    }

    /// When the request was handed to its connection.
    pub(crate) fn sent(&self) -> MonoNs {
        self.sent
    }

    /// Whether no byte of a response has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.is_untouched())
            && self.seen.status.is_none()
    }

    /// Whether the connection may carry another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep_alive && matches!(self.state, State::Over)
    }

    /// Takes bytes that arrived together.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], stamp: Stamp) -> Result<Progress, Failed> {
        self.seen.user_stamped |= stamp.source == StampSource::User;
        self.newest = stamp.arrival;
        if let State::Head(reader) = &mut self.state {
            match reader.feed(bytes)? {
                HeadStep::More => return Ok(Progress::Waiting),
                HeadStep::Whole { head, taken } => {
                    bytes = &bytes[taken..];
                    self.begin_body(head, stamp);
                }
            }
        }
        while !bytes.is_empty() {
            let end = match &mut self.state {
                State::Stream(body, sse, events) => {
                    let piece = body.next(bytes)?;
                    bytes = &bytes[piece.taken..];
                    let (seen, sent) = (&mut self.seen, self.sent);
                    sse.feed(piece.data, |data| match seen.answered {
                        Some(_) => Ok(()),
                        None => seen.event(events.read(data)?, data, stamp, sent),
                    })?;
                    piece.end
                }
                State::Words(body, words) => {
                    let piece = body.next(bytes)?;
                    bytes = &bytes[piece.taken..];
                    let room = MAX_WORDS_BYTES - words.len();
                    words.extend_from_slice(&piece.data[..piece.data.len().min(room)]);
                    piece.end
                }
                // Bytes that nobody asked for: the connection is out of step.
                State::Head(_) | State::Over => {
                    self.keep_alive = false;
                    return Ok(Progress::Complete);
                }
            };
            if end {
                self.end_body()?;
            }
        }
        self.end_empty_body()?;
        Ok(self.progress())
    }

    /// The peer closed the connection: the response ends here, whole or not.
    pub(crate) fn close(&mut self) -> Result<(), Failed> {
        self.keep_alive = false;
        match &self.state {
            State::Head(_) => Err(Failed::new(
                Failure::Truncated,
                "the server closed the connection without an answer",
            )),
            State::Stream(..) if self.seen.answered.is_some() => Ok(()),
            State::Stream(body, ..) | State::Words(body, _) if body.may_end_here() => {
                self.end_body()
            }
            State::Stream(..) => Err(Failed::new(
                Failure::Truncated,
                format!(
                    "the server closed the connection in the stream, after {} chunks",
                    self.seen.chunks.len()
                ),
            )),
            State::Words(_, words) => Err(refusal(&self.seen, words)),
            State::Over => Ok(()),
        }
    }

    fn begin_body(&mut self, head: ResponseHead, stamp: Stamp) {
        self.seen.status = Some(head.status);
        self.seen.server = head.server;
        self.seen.ttfb = Some(stamp.arrival.since(self.sent));
        self.keep_alive = head.keep_alive;
        self.state = if head.status == 200 && head.content_type == ContentType::EventStream {
            State::Stream(head.body, SseReader::default(), EventReader::default())
        } else {
            State::Words(head.body, Vec::new())
        };
    }

    /// A body of length 0 has no byte that could end it.
    fn end_empty_body(&mut self) -> Result<(), Failed> {
        match &self.state {
            State::Stream(body, ..) | State::Words(body, _) if body.is_at_end() => self.end_body(),
            _ => Ok(()),
        }
    }

    fn end_body(&mut self) -> Result<(), Failed> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Words(_, words) => Err(refusal(&self.seen, &words)),
            State::Stream(_, sse, _) if self.is_proper_end(&sse) => {
                self.seen.answered = Some(self.newest);
                Ok(())
            }
            State::Stream(_, sse, _) if self.seen.answered.is_none() => {
                let torn = if sse.is_inside_event() {
                    ", inside an event"
                } else {
                    ""
                };
                Err(Failed::new(
                    Failure::Truncated,
                    format!(
                        "the stream ended before its proper end{torn}, after {} chunks",
                        self.seen.chunks.len()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether the body's clean end is the stream's proper end, too.
    fn is_proper_end(&self, sse: &SseReader) -> bool {
        !self.api.ends_with_done() && !sse.is_inside_event() && !self.seen.chunks.is_empty()
    }

    fn progress(&self) -> Progress {
        match (&self.state, self.seen.answered) {
            (State::Over, _) => Progress::Complete,
            (_, Some(_)) => Progress::Answered,
            _ => Progress::Waiting,
        }
    }
}

impl Seen {
    /// An event and the data that it was read from.
    fn event(
        &mut self,
        event: Event,
        data: &[u8],
        stamp: Stamp,
        sent: MonoNs,
    ) -> Result<(), Failed> {
        if let Some(words) = event.error {
            return Err(Failed::new(Failure::Status, words));
        }
        if let Some(token) = event.token {
            if let Some(text) = &mut self.text {
                text.push_str(&answer_text(data));
            }
            self.token(token, &event, stamp, sent);
        }
        self.finished |= event.finished;
        self.usage = event.usage.or(self.usage);
        if !event.done {
            return Ok(());
        }
        if self.chunks.is_empty() && !self.finished {
            return Err(Failed::new(
                Failure::Malformed,
                "the stream ended with [DONE], but no chunk of it was of this API",
            ));
        }
        self.answered = Some(stamp.arrival);
        Ok(())
    }

    fn token(&mut self, token: Token, event: &Event, stamp: Stamp, sent: MonoNs) {
        let arrival = stamp.arrival.since(sent);
        let lag = (stamp.source == StampSource::Kernel).then(|| stamp.read.since(stamp.arrival));
        if self.chunks.is_empty() {
            self.first_chunk_tokens = event.token_count;
        }
        self.chunks.push(ChunkTime { arrival, lag });
        self.reasoning |= token == Token::Reasoning;
        // A token without text belongs to the answer unless the stream is reasoning.
        if token == Token::Answer || (token == Token::Silent && !self.reasoning) {
            self.ttfa.get_or_insert(arrival);
        }
    }

    /// The first token-bearing chunk.
    pub(crate) fn ttft(&self) -> Option<Duration> {
        self.chunks.first().map(|chunk| chunk.arrival)
    }

    /// The last token-bearing chunk.
    pub(crate) fn e2e(&self) -> Option<Duration> {
        self.chunks.last().map(|chunk| chunk.arrival)
    }

    /// How many tokens the server says it sent.
    pub(crate) fn output_tokens(&self) -> Option<u32> {
        self.usage?.completion_tokens
    }

    /// The mean distance of two tokens after the first chunk.
    pub(crate) fn tpot(&self) -> Option<Duration> {
        let rest = self
            .output_tokens()?
            .checked_sub(self.first_chunk_tokens.unwrap_or(1))?;
        self.e2e()?.checked_sub(self.ttft()?)?.checked_div(rest)
    }

    /// The greatest lag of any chunk.
    pub(crate) fn client_lag(&self) -> Option<Duration> {
        self.chunks.iter().filter_map(|chunk| chunk.lag).max()
    }
}

fn refusal(seen: &Seen, words: &[u8]) -> Failed {
    match seen.status {
        Some(200) => Failed::new(
            Failure::Malformed,
            format!(
                "the server answered a streamed request with no event stream: {}",
                server_words(words)
            ),
        ),
        _ => Failed::new(Failure::Status, server_words(words)),
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
