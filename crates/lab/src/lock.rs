//! One session at a time on one target: two would measure each other.

use crate::LabError;
use load::BaseUrl;
use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// The lock. The kernel frees it with the process, however that ends (unix(7), abstract names).
pub(crate) struct TargetLock(#[expect(dead_code, reason = "held, not used")] Option<UnixListener>);

impl TargetLock {
    pub(crate) fn take(url: &BaseUrl) -> Result<Self, LabError> {
        let name = format!("spillpoint {}", place(url));
        // A name of at most 107 bytes.
        let name = &name.as_bytes()[..name.len().min(107)];
        let taken = SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixListener::bind_addr(&address));
        match taken {
            Ok(listener) => Ok(Self(Some(listener))),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                Err(LabError::TargetBusy { url: url.clone() })
            }
            // A kernel without such sockets is no reason not to measure.
            Err(_) => Ok(Self(None)),
        }
    }
}

/// One name for what is one server: `localhost` and 127.0.0.1 are.
fn place(url: &BaseUrl) -> String {
    match url.addresses().unwrap_or_default().first() {
        Some(address) if address.ip().is_loopback() => format!("loopback:{}", address.port()),
        Some(address) => address.to_string(),
        None => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_once_and_free_again() {
        let url: BaseUrl = "http://127.0.0.1:1/lock-test".parse().unwrap();
        let lock = TargetLock::take(&url).unwrap();
        for same in [
            "http://127.0.0.1:1/lock-test",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert!(matches!(
                TargetLock::take(&same.parse().unwrap()),
                Err(LabError::TargetBusy { .. })
            ));
        }
        drop(lock);
        TargetLock::take(&url).unwrap();
    }
}
