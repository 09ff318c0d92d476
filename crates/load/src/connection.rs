//! The only code that touches a socket.
//!
//! Reads go through `recvmsg`, because only that tells when the kernel received the bytes
//! (SO_TIMESTAMPING, software; Documentation/networking/timestamping.rst). One read has one stamp,
//! that of its newest segment: so it is read eagerly, a read for every wake-up. Should this thread be
//! kept from running for longer than the distance of two tokens, they come in one read, and the
//! earlier one bears the later one's stamp; `client_lag` is high then, and says so.
//!
//! Acknowledgements are left as the kernel makes them, one a read. Delaying them would save a third
//! of a token's cost, but a server that leaves Nagle's algorithm on would then send later.

use crate::{
    exchange::Stamp,
    kernel_time::{KernelTime, read_pair},
    tls::{Session, Tls},
};
use clock::MonoNs;
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, RecvMsg, TimestampingFlag, Timestamps, recv, recvmsg,
        setsockopt, sockopt,
    },
};
use record::StampSource;
use std::{
    cell::RefCell,
    io::{self, IoSlice, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};
use tokio::{io::Interest, net::TcpStream};

/// Bytes taken by one read at most. One buffer serves all connections of a thread.
const BUFFER_BYTES: usize = 64 << 10;

/// What all connections of a thread share: the read buffer and the way from the kernel's
/// CLOCK_REALTIME to CLOCK_MONOTONIC.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Box<[u8]>,
    control: Vec<u8>,
    kernel: KernelTime,
}

impl Reader {
    pub(crate) fn new() -> RefCell<Self> {
        RefCell::new(Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            control: cmsg_space!(Timestamps),
            kernel: KernelTime::new(read_pair()),
        })
    }

    /// One `recvmsg`: how many bytes lie in the buffer, and their stamp.
    fn receive(&mut self, fd: i32) -> io::Result<(usize, Stamp)> {
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        self.control.clear();
        self.control.resize(self.control.capacity(), 0);
        let message = recvmsg::<()>(
            fd,
            &mut slices,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let (bytes, utc_ns) = (message.bytes, kernel_stamp(&message));
        Ok((bytes, self.stamp(utc_ns)))
    }

    /// The stamp of bytes read now, which the kernel received at that real time, if it says so.
    fn stamp(&mut self, utc_ns: Option<u64>) -> Stamp {
        let read = MonoNs::now();
        let user = Stamp {
            arrival: read,
            read,
            source: StampSource::User,
        };
        let Some(utc_ns) = utc_ns else {
            return user;
        };
        let Some(arrival) = self.kernel.arrival(utc_ns, read, read_pair) else {
            return user;
        };
        Stamp {
            arrival,
            source: StampSource::Kernel,
            ..user
        }
    }
}

/// Keeps the kernel stamping while it lives.
///
/// The kernel stamps packets only while some socket asks for it, and begins a moment after the first
/// one asks (net_enable_timestamp defers to a work queue). This socket asks first, and is known to
/// have got a stamp, so that the first packets of a measurement have theirs.
#[derive(Debug)]
pub(crate) struct Stamping {
    _socket: Option<UdpSocket>,
}

const STAMPING_TRIES: u32 = 100;

impl Stamping {
    /// Waits until stamps come. Where none do, rows say that user space stamped.
    pub(crate) fn begin() -> Self {
        Self {
            _socket: begin_stamping().ok(),
        }
    }
}

fn begin_stamping() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(socket.local_addr()?)?;
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    setsockopt(&socket, sockopt::Timestamping, &stamping_flags())?;
    let mut control = cmsg_space!(Timestamps);
    for _ in 0..STAMPING_TRIES {
        socket.send(&[0])?;
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::empty();
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
        if kernel_stamp(&message).is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(socket)
}

fn stamping_flags() -> TimestampingFlag {
    TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
}

/// When the kernel received the newest bytes of a message, in nanoseconds of CLOCK_REALTIME.
fn kernel_stamp(message: &RecvMsg<()>) -> Option<u64> {
    let stamps = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampsns(stamps) => Some(stamps.system),
        _ => None,
    })?;
    // The kernel stamps with times after 1970; 0 is no stamp.
    let utc_ns = stamps.tv_sec() as u64 * 1_000_000_000 + stamps.tv_nsec() as u64;
    (utc_ns != 0).then_some(utc_ns)
}

/// Where a server is, and whether TLS is spoken there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<&'a Tls>,
}

/// An open connection to the server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    tls: Option<Box<Session>>,
    /// Requests that it has carried.
    pub(crate) carried: u32,
}

/// What a read brought.
pub(crate) enum Got<T> {
    /// Bytes, and what was made of them.
    Bytes(T),
    /// The peer closed its side.
    Closed,
}

impl Connection {
    pub(crate) async fn open(endpoint: Endpoint<'_>) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint.address).await?;
        stream.set_nodelay(true)?;
        // Where it is refused, stamps come from user space, and every row says so.
        let _ = setsockopt(&stream, sockopt::Timestamping, &stamping_flags());
        let mut connection = Self {
            stream,
            tls: None,
            carried: 0,
        };
        if let Some(tls) = endpoint.tls {
            connection.tls = Some(Box::new(connection.shake_hands(tls).await?));
        }
        Ok(connection)
    }

    async fn shake_hands(&self, tls: &Tls) -> io::Result<Session> {
        let mut session = Session::new(tls)?;
        let mut buffer = [0; 4 << 10];
        loop {
            self.flush(&mut session).await?;
            if !session.is_handshaking() {
                return Ok(session);
            }
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => session.feed(&buffer[..bytes])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
        }
    }

    async fn flush(&self, session: &mut Session) -> io::Result<()> {
        loop {
            let outgoing = session.outgoing()?;
            if outgoing.is_empty() {
                return Ok(());
            }
            match self.stream.try_write(outgoing) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => session.sent(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an idle connection can still carry a request: the peer has neither closed it nor
    /// sent anything that nobody asked for.
    pub(crate) fn is_idle_and_open(&mut self) -> bool {
        let mut bytes = [0; 4 << 10];
        let fd = self.stream.as_raw_fd();
        let Some(session) = &mut self.tls else {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            return recv(fd, &mut bytes[..1], flags) == Err(Errno::EAGAIN);
        };
        // TLS has things of its own to say, such as tickets.
        loop {
            let count = match recv(fd, &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) => return error == Errno::EAGAIN,
            };
            let said = session.feed(&bytes[..count]);
            if !said.is_ok_and(<[u8]>::is_empty) || session.is_over() {
                return false;
            }
        }
    }

    /// Sends head and body. `sending` is called with the time just before the first byte is handed
    /// to the kernel.
    pub(crate) async fn send(
        &mut self,
        head: &[u8],
        body: &[u8],
        sending: impl FnOnce(MonoNs),
    ) -> io::Result<()> {
        self.stream.writable().await?;
        self.carried += 1;
        if let Some(mut session) = self.tls.take() {
            session.encrypt(&[head, body])?;
            sending(MonoNs::now());
            let flushed = self.flush(&mut session).await;
            self.tls = Some(session);
            return flushed;
        }
        sending(MonoNs::now());
        let mut done = 0;
        while done < head.len() + body.len() {
            let head_rest = &head[done.min(head.len())..];
            let body_rest = &body[done.saturating_sub(head.len())..];
            let slices = [IoSlice::new(head_rest), IoSlice::new(body_rest)];
            match self.stream.try_write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => done += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes and hands them to `take` where they lie.
    pub(crate) async fn read<T>(
        &mut self,
        reader: &RefCell<Reader>,
        take: impl FnOnce(&[u8], Stamp) -> T,
    ) -> io::Result<Got<T>> {
        loop {
            if self.tls.as_ref().is_some_and(|session| session.is_over()) {
                return Ok(Got::Closed);
            }
            self.stream.readable().await?;
            // The buffer is borrowed between two awaits only, so never twice.
            let mut reader = reader.borrow_mut();
            let received = self.receive(&mut reader);
            let (bytes, stamp) = match received {
                Ok((0, _)) => return Ok(Got::Closed),
                Ok((bytes, stamp)) => (&reader.buffer[..bytes], stamp),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            let Some(session) = &mut self.tls else {
                return Ok(Got::Bytes(take(bytes, stamp)));
            };
            let plain = session.feed(bytes)?;
            if !plain.is_empty() {
                return Ok(Got::Bytes(take(plain, stamp.in_user_space())));
            }
        }
    }

    fn receive(&self, reader: &mut Reader) -> io::Result<(usize, Stamp)> {
        let mut received = None;
        let tried = self.stream.try_io(Interest::READABLE, || {
            let (bytes, stamp) = reader.receive(self.stream.as_raw_fd())?;
            received = Some((bytes, stamp));
            if (1..BUFFER_BYTES).contains(&bytes) {
                // A short read took all there was. Told "would block", tokio clears the readiness
                // and no system call is spent on finding out; new bytes set it again (epoll is
                // edge-triggered), and so does an end of file.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match (received, tried) {
            (Some(received), _) => Ok(received),
            (None, tried) => Err(tried.err().unwrap_or(io::ErrorKind::WouldBlock.into())),
        }
    }
}
