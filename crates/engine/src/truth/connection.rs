//! One client's socket: reads with the kernel's receive timestamps, sends without blocking.

use clock::{ClockPair, MonoNs};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{self, ControlMessageOwned, MsgFlags, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use std::{
    io::{self, IoSliceMut},
    net::TcpStream,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Bytes, and when the kernel got the last of them, if it says so.
    Bytes { len: usize, at: Option<MonoNs> },
    /// None for now.
    Nothing,
    /// The client is gone.
    End,
}

/// What sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Everything was taken.
    All,
    /// The socket is full; the rest is kept and sent when it has room.
    Blocked,
    /// The client is gone.
    End,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer_port: u16,
    /// Bytes the socket did not take.
    unsent: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer_port: u16) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::ReceiveTimestampns, &true)?;
        Ok(Self {
            stream,
            peer_port,
            unsent: Vec::new(),
        })
    }

    pub(super) fn peer_port(&self) -> u16 {
        self.peer_port
    }

    /// Whether something waits for room in the socket.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let mut control = cmsg_space!(TimeSpec);
        let mut iov = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = self.stream.as_raw_fd();
        let message = match socket::recvmsg::<()>(fd, &mut iov, Some(&mut control), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Received::Nothing,
            Err(_) => return Received::End,
        };
        if message.bytes == 0 {
            return Received::End;
        }
        // The stamp is CLOCK_REALTIME of the newest segment read.
        let stamp = message.cmsgs().ok().and_then(|mut control| {
            control.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                _ => None,
            })
        });
        let at = stamp.map(|stamp| {
            let utc_ns = stamp.tv_sec() as u64 * 1_000_000_000 + stamp.tv_nsec() as u64;
            ClockPair::read().mono_of_utc(utc_ns)
        });
        Received::Bytes {
            len: message.bytes,
            at,
        }
    }

    /// Sends `bytes`, behind what is still unsent.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Sent {
        if self.is_blocked() {
            self.unsent.extend_from_slice(bytes);
            return Sent::Blocked;
        }
        match self.send_now(bytes) {
            Ok(len) if len == bytes.len() => Sent::All,
            Ok(len) => {
                self.unsent.extend_from_slice(&bytes[len..]);
                Sent::Blocked
            }
            Err(_) => Sent::End,
        }
    }

    /// Sends what is unsent, as far as there is room.
    pub(super) fn flush(&mut self) -> Sent {
        let unsent = std::mem::take(&mut self.unsent);
        match self.send_now(&unsent) {
            Ok(len) if len == unsent.len() => Sent::All,
            Ok(len) => {
                self.unsent.extend_from_slice(&unsent[len..]);
                Sent::Blocked
            }
            Err(_) => Sent::End,
        }
    }

    fn send_now(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match socket::send(self.stream.as_raw_fd(), bytes, flags) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            other => other,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
