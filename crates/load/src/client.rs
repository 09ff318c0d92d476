//! One request over one connection: the step between the socket and the pure exchange.

use crate::{
    connection::{Connection, Endpoint, Got, Reader},
    dialect::Api,
    exchange::{Exchange, Failed, Progress},
    live::Live,
    target::{ApiKey, Target},
    tls::Tls,
};
use record::Failure;
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    task::{Poll, Waker},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// How long a stream that had its proper end may take to end its framing too.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// A user's way to the server: at most one connection, opened anew when it is gone.
#[derive(Debug, Default)]
pub(crate) struct Link {
    connection: Option<Connection>,
}

impl Link {
    /// Opens the connection ahead of the first request. A failure shows when it is used.
    pub(crate) async fn open(&mut self, endpoint: Endpoint<'_>) {
        self.connection = Connection::open(endpoint).await.ok();
    }

    /// The connection if it can still be used, else a fresh one.
    async fn take(&mut self, endpoint: Endpoint<'_>) -> Result<Connection, Failed> {
        if let Some(mut open) = self.connection.take()
            && open.is_idle_and_open()
        {
            return Ok(open);
        }
        Connection::open(endpoint).await.map_err(|error| {
            Failed::new(
                Failure::Refused,
                format!("no connection to {}: {error}", endpoint.address),
            )
        })
    }
}

/// What a thread's requests have in common.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Tls>,
    api: Api,
    /// The part of the request head that is the same for all.
    head: Vec<u8>,
    reader: RefCell<Reader>,
    live: Live,
    /// What no words of a failure may show.
    api_key: Option<ApiKey>,
}

/// A request to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: &'a str,
    pub(crate) body: &'a [u8],
    /// From here to the stream's proper end.
    pub(crate) limit: Duration,
    /// Whether the answer's text is wanted.
    pub(crate) keep_text: bool,
}

/// How a call went besides its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallNote {
    /// The idle connection died under it, and it was sent again on a fresh one.
    pub(crate) resent: bool,
}

impl Client {
    pub(crate) fn new(target: &Target, live: Live) -> Self {
        Self {
            address: target.address,
            tls: target.tls.clone(),
            api: target.api,
            head: target.request_head(),
            reader: Reader::new(),
            live,
            api_key: target.api_key.clone(),
        }
    }

    /// Where its requests go.
    pub(crate) fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            address: self.address,
            tls: self.tls.as_ref(),
        }
    }

    /// Sends the request and reads its answer. `exchange` holds what is known of it at any time,
    /// also if this future is dropped; it is None until the request is handed to a connection.
    pub(crate) async fn call(
        &self,
        link: &mut Link,
        call: Call<'_>,
        exchange: &mut Option<Exchange>,
        note: &mut CallNote,
    ) -> Result<(), Failed> {
        match within(call.limit, self.call_unlimited(link, call, exchange, note)).await {
            Some(done) => done.map_err(|failed| Failed {
                words: ApiKey::hide(self.api_key.as_ref(), failed.words),
                ..failed
            }),
            None => {
                // The answer may still come: this connection can carry no other request.
                link.connection = None;
                let chunks = exchange.as_ref().map_or(0, |it| it.seen.chunks.len());
                Err(Failed::new(
                    Failure::Timeout,
                    format!("not done after {:?}; {chunks} chunks had come", call.limit),
                ))
            }
        }
    }

    async fn call_unlimited(
        &self,
        link: &mut Link,
        call: Call<'_>,
        exchange: &mut Option<Exchange>,
        note: &mut CallNote,
    ) -> Result<(), Failed> {
        loop {
            let mut connection = link.take(self.endpoint()).await?;
            let reused = connection.carried > 0;
            let done = self.carry(&mut connection, call, exchange).await;
            let untouched = exchange.as_ref().is_none_or(Exchange::is_untouched);
            if done.is_err() && reused && untouched {
                note.resent = true;
                *exchange = None;
                continue;
            }
            if exchange.as_ref().is_some_and(Exchange::is_reusable) {
                link.connection = Some(connection);
            }
            return done;
        }
    }

    async fn carry(
        &self,
        connection: &mut Connection,
        call: Call<'_>,
        slot: &mut Option<Exchange>,
    ) -> Result<(), Failed> {
        let head = self.head_of(call);
        let handed_over = connection.send(&head, call.body, |now| {
            *slot = Some(match call.keep_text {
                true => Exchange::keeping_text(self.api, now),
                false => Exchange::new(self.api, now),
            });
        });
        let sent = handed_over.await;
        let Some(exchange) = slot else {
            return Err(broken(sent.err(), "before the request was sent"));
        };
        // A server that refuses a long request may answer and close before it has read all of it.
        let write_error = sent.err().filter(|_| exchange.is_untouched());
        loop {
            let got = connection.read(&self.reader, |bytes, stamp| {
                let before = exchange.seen.chunks.len();
                let progress = exchange.feed(bytes, stamp);
                self.live.add_chunks(exchange.seen.chunks.len() - before);
                progress
            });
            match got.await {
                Ok(Got::Bytes(progress)) => match progress? {
                    Progress::Waiting => {}
                    Progress::Complete => return Ok(()),
                    Progress::Answered => {
                        self.settle(connection, exchange).await;
                        return Ok(());
                    }
                },
                Ok(Got::Closed) if write_error.is_some() && exchange.is_untouched() => {
                    return Err(broken(write_error, "while the request was sent"));
                }
                Ok(Got::Closed) => return exchange.close(),
                Err(error) => return Err(broken(Some(error), "before the answer's end")),
            }
        }
    }

    /// Reads what is left of the framing, so that the connection can be used again.
    async fn settle(&self, connection: &mut Connection, exchange: &mut Exchange) {
        let rest = async {
            loop {
                let got = connection.read(&self.reader, |bytes, stamp| exchange.feed(bytes, stamp));
                match got.await {
                    Ok(Got::Bytes(Ok(Progress::Answered | Progress::Waiting))) => {}
                    _ => return,
                }
            }
        };
        // If it does not come, the exchange is not reusable, and that is all.
        let _ = timeout(SETTLE_LIMIT, rest).await;
    }

    fn head_of(&self, call: Call) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.head.len() + 96);
        head.extend_from_slice(&self.head);
        head.extend_from_slice(b"x-request-id: ");
        head.extend_from_slice(call.id.as_bytes());
        head.extend_from_slice(b"\r\ncontent-length: ");
        head.extend_from_slice(itoa::Buffer::new().format(call.body.len()).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

/// What the future gives, or None after the limit.
///
/// A stream wakes its task for every token. So, unlike tokio's `timeout`, this looks at the timer only
/// where it has run out, or does not know the task yet.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut timer) = (pin!(future), pin!(sleep(limit)));
    let mut known: Option<Waker> = None;
    poll_fn(|context| {
        if let Poll::Ready(done) = future.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        let waker = context.waker();
        let armed = known.as_ref().is_some_and(|known| known.will_wake(waker));
        if armed && !timer.is_elapsed() {
            return Poll::Pending;
        }
        known = Some(waker.clone());
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

fn broken(error: Option<io::Error>, when: &str) -> Failed {
    let error = error.map_or_else(|| "unknown error".to_owned(), |error| error.to_string());
    Failed::new(
        Failure::Truncated,
        format!("the connection broke {when}: {error}"),
    )
}
