//! The loop: accept, read, and send what is due.

use super::{
    TruthConfig, TruthError,
    agenda::Agenda,
    canned::{self, Canned, STREAM_HEAD},
    connection::{Connection, Received, Sent},
    http::{self, Ask, Reply},
    process::{pin, thread_cpu_us},
    report::{RequestTimes, SLOW_SEND_NS, TruthReport},
};
use crate::{descriptors::raise_file_limit, pace};
use clock::MonoNs;
use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    socket::{Backlog, listen},
    time::{TimeSpec, TimeValLike as _},
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering},
};

/// Which client, by its place in the table.
type Place = usize;

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const READ_BYTES: usize = 256 << 10;
/// Room for connections that arrive while the loop is busy.
const BACKLOG: i32 = 4096;
/// How often `stop` is looked at when nothing happens.
const IDLE_MS: u16 = 100;

/// One client.
struct Client {
    connection: Connection,
    inbox: Vec<u8>,
    /// When the newest bytes of `inbox` came.
    heard_ns: Option<MonoNs>,
    requests: u32,
    stream: Option<Stream>,
}

/// A reply in progress.
struct Stream {
    /// Tells the agenda's entries for this reply from older ones of the same place.
    serial: u64,
    reply: Reply,
    streamed: bool,
    sent_tokens: u32,
    times: RequestTimes,
}

pub(super) struct Server {
    listener: TcpListener,
    config: TruthConfig,
    epoll: Epoll,
    timer: TimerFd,
    canned: Canned,
    agenda: Agenda<(u64, Place)>,
    clients: Vec<Option<Client>>,
    vacant: Vec<Place>,
    next_serial: u64,
    recorded_tokens: usize,
    report: TruthReport,
    buffer: Vec<u8>,
}

impl Server {
    pub(super) fn listen(config: &TruthConfig) -> Result<Self, TruthError> {
        let address = SocketAddr::new(config.host, config.port);
        let refused = |source| TruthError::Listen { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Backlog::new(BACKLOG)
            .and_then(|backlog| listen(&listener, backlog))
            .map_err(|errno| refused(errno.into()))?;
        raise_file_limit();
        let poll = |errno: nix::Error| TruthError::Poll(errno.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(poll)?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(poll)?;
        let readable = |data| EpollEvent::new(EpollFlags::EPOLLIN, data);
        epoll.add(&listener, readable(LISTENER)).map_err(poll)?;
        epoll.add(timer.as_fd(), readable(TIMER)).map_err(poll)?;
        Ok(Self {
            listener,
            config: config.clone(),
            epoll,
            timer,
            canned: Canned::new(),
            agenda: Agenda::new(),
            clients: Vec::new(),
            vacant: Vec::new(),
            next_serial: 0,
            recorded_tokens: 0,
            report: TruthReport::default(),
            buffer: vec![0; READ_BYTES],
        })
    }

    pub(super) fn run(
        mut self,
        ready: impl FnOnce(SocketAddr),
        stop: &AtomicBool,
    ) -> Result<TruthReport, TruthError> {
        if let Some(cpu) = self.config.cpu {
            pin(cpu)?;
        }
        pace::wake_exactly();
        ready(self.listener.local_addr().map_err(TruthError::Poll)?);
        let mut events = [EpollEvent::empty(); 256];
        while !stop.load(Ordering::Relaxed) {
            self.send_due();
            self.arm_timer().map_err(TruthError::Poll)?;
            let timeout = EpollTimeout::from(IDLE_MS);
            let count = match self.epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => continue,
                Err(errno) => return Err(TruthError::Poll(errno.into())),
            };
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept(),
                    // Only wakes the loop; arming it anew clears it.
                    TIMER => {}
                    place => self.attend(place as Place),
                }
            }
        }
        Ok(self.take_report())
    }

    fn arm_timer(&self) -> io::Result<()> {
        let Some(due) = self.agenda.next_due() else {
            return Ok(self.timer.unset()?);
        };
        // Zero would disarm it.
        let at = TimeSpec::nanoseconds(due.0.max(1) as i64);
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
        Ok(self.timer.set(Expiration::OneShot(at), flags)?)
    }

    fn accept(&mut self) {
        loop {
            let (stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    return;
                }
            };
            if let Err(error) = self.add(stream, peer) {
                tracing::warn!(%error, %peer, "a connection could not be set up");
            }
        }
    }

    fn add(&mut self, stream: std::net::TcpStream, peer: SocketAddr) -> io::Result<()> {
        let connection = Connection::new(stream, peer.port())?;
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
        if let Err(errno) = self.epoll.add(&connection, event) {
            self.vacant.push(place);
            return Err(errno.into());
        }
        self.clients[place] = Some(Client {
            connection,
            inbox: Vec::new(),
            heard_ns: None,
            requests: 0,
            stream: None,
        });
        Ok(())
    }

    /// Reads from, and if need be writes to, a client that epoll named.
    fn attend(&mut self, place: Place) {
        let Some(client) = self.clients.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        if client.connection.is_blocked() {
            match client.connection.flush() {
                Sent::All => self.watch(place, EpollFlags::EPOLLIN),
                Sent::Blocked => {}
                Sent::End => return self.remove(place),
            }
        }
        let Some(client) = self.clients[place].as_mut() else {
            return;
        };
        match client.connection.receive(&mut self.buffer) {
            Received::Nothing => {}
            Received::End => self.remove(place),
            Received::Bytes { len, at } => {
                client.inbox.extend_from_slice(&self.buffer[..len]);
                client.heard_ns = at;
                self.take_request(place);
            }
        }
    }

    /// Answers the next request in the inbox, unless a reply is still in progress.
    fn take_request(&mut self, place: Place) {
        let Some(client) = self.clients[place].as_mut() else {
            return;
        };
        if client.stream.is_some() {
            return;
        }
        let request = match http::read(&client.inbox) {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(http::Malformed(why)) => {
                client.connection.send(&canned::malformed(why));
                return self.remove(place);
            }
        };
        client.inbox.drain(..request.len);
        let sent = match request.ask {
            Ask::Stream(reply) => return self.begin(place, reply, true),
            Ask::Whole(reply) => return self.begin(place, reply, false),
            Ask::Models => client.connection.send(&canned::models()),
            Ask::Health => client.connection.send(&canned::answer("200 OK", "")),
            Ask::Unknown => client.connection.send(&canned::unknown()),
            Ask::Truth => {
                let report = self.take_report();
                // A struct of numbers and strings always serializes.
                let text = serde_json::to_string(&report).unwrap_or_default();
                let Some(client) = self.clients[place].as_mut() else {
                    return;
                };
                // Long, and no token: that it finds the socket full says nothing of the client.
                let sent = client.connection.send(&canned::answer("200 OK", &text));
                self.after_send(place, sent);
                self.report.blocked_sends = 0;
                return;
            }
        };
        self.after_send(place, sent);
    }

    fn begin(&mut self, place: Place, reply: Reply, streamed: bool) {
        let Some(client) = self.clients[place].as_mut() else {
            return;
        };
        let read_ns = MonoNs::now();
        if client.heard_ns.is_none() {
            self.report.unstamped_requests += 1;
        }
        let arrival_ns = client.heard_ns.unwrap_or(read_ns);
        let room = self.config.capacity_tokens - self.recorded_tokens;
        let kept = room.min(reply.tokens as usize);
        self.recorded_tokens += kept;
        self.report.unrecorded_tokens += u64::from(reply.tokens) - kept as u64;
        let times = RequestTimes {
            id: reply.id.clone(),
            peer_port: client.connection.peer_port(),
            nth: client.requests,
            arrival_ns,
            read_ns,
            token_ns: Vec::with_capacity(kept),
            complete: false,
        };
        client.requests += 1;
        let serial = self.next_serial;
        self.next_serial += 1;
        let first = arrival_ns.plus(self.config.first_token);
        // An answer that is not streamed leaves with its last token.
        let due = match streamed {
            true => first,
            false => first.plus(self.config.token_gap * (reply.tokens - 1)),
        };
        self.agenda.add(due, (serial, place));
        client.stream = Some(Stream {
            serial,
            reply,
            streamed,
            sent_tokens: 0,
            times,
        });
        if streamed {
            let sent = client.connection.send(STREAM_HEAD);
            self.after_send(place, sent);
        }
    }

    fn send_due(&mut self) {
        let now = MonoNs::now();
        while let Some((due, (serial, place))) = self.agenda.take_due(now) {
            self.send_token(place, serial, due);
        }
    }

    fn send_token(&mut self, place: Place, serial: u64, due: MonoNs) {
        let Some(client) = self.clients[place].as_mut() else {
            return;
        };
        let Some(stream) = client.stream.as_mut().filter(|s| s.serial == serial) else {
            return;
        };
        let index = stream.sent_tokens;
        let is_last = !stream.streamed || index + 1 == stream.reply.tokens;
        let at = MonoNs::now();
        let sent = if !stream.streamed {
            client.connection.send(&canned::whole(&stream.reply))
        } else if is_last {
            client.connection.send(&self.canned.last(&stream.reply))
        } else {
            client.connection.send(self.canned.token(index))
        };
        let took_ns = MonoNs::now().0.saturating_sub(at.0);
        self.report.max_send_ns = self.report.max_send_ns.max(took_ns);
        self.report.slow_sends += u64::from(took_ns > SLOW_SEND_NS);
        stream.sent_tokens += 1;
        if stream.times.token_ns.len() < stream.times.token_ns.capacity() {
            stream.times.token_ns.push(at);
        }
        self.report.tokens += 1;
        self.report.max_late_ns = self.report.max_late_ns.max(at.0.saturating_sub(due.0));
        if !is_last {
            self.agenda
                .add(due.plus(self.config.token_gap), (serial, place));
        } else if let Some(mut stream) = client.stream.take() {
            stream.times.complete = true;
            self.report.requests.push(stream.times);
        }
        if self.after_send(place, sent) && is_last {
            // The client may have sent its next request already.
            self.take_request(place);
        }
    }

    /// Deals with what a send came to; false if the client is gone.
    fn after_send(&mut self, place: Place, sent: Sent) -> bool {
        match sent {
            Sent::All => true,
            Sent::Blocked => {
                self.report.blocked_sends += 1;
                self.watch(place, EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT);
                true
            }
            Sent::End => {
                self.remove(place);
                false
            }
        }
    }

    fn watch(&mut self, place: Place, flags: EpollFlags) {
        let Some(client) = self.clients[place].as_ref() else {
            return;
        };
        let mut event = EpollEvent::new(flags, place as u64);
        if let Err(error) = self.epoll.modify(&client.connection, &mut event) {
            tracing::warn!(%error, "a connection can't be watched any more; closing it");
            self.remove(place);
        }
    }

    fn remove(&mut self, place: Place) {
        // Closing the socket takes it out of epoll.
        if let Some(client) = self.clients[place].take() {
            self.vacant.push(place);
            if let Some(stream) = client.stream {
                self.report.requests.push(stream.times);
            }
        }
    }

    fn take_report(&mut self) -> TruthReport {
        self.recorded_tokens = 0;
        let mut report = std::mem::take(&mut self.report);
        report.cpu_us = thread_cpu_us();
        report
    }
}
