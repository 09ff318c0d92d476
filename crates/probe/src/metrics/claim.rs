//! One poller for each URL.

use super::MetricsUrl;
use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

static CLAIMED: LazyLock<Mutex<HashSet<MetricsUrl>>> = LazyLock::new(Mutex::default);

/// Somebody polls this URL already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is polled already; TensorRT-LLM's metrics leave the server with the first answer, so \
     that a second poller would take the first one's"
)]
pub struct AlreadyPolled(pub MetricsUrl);

/// The right to poll a URL, until it is dropped. It holds within this process.
#[derive(Debug)]
pub(super) struct Claim(MetricsUrl);

impl Claim {
    pub(super) fn on(url: &MetricsUrl) -> Result<Self, AlreadyPolled> {
        // The set is whole whenever the lock is free, also after a panic.
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.insert(url.clone()) {
            Ok(Self(url.clone()))
        } else {
            Err(AlreadyPolled(url.clone()))
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_poller_at_a_time() {
        let url: MetricsUrl = "http://claim.test/metrics".parse().unwrap();
        let claim = Claim::on(&url).unwrap();
        assert_eq!(Claim::on(&url).unwrap_err(), AlreadyPolled(url.clone()));
        drop(claim);
        assert!(Claim::on(&url).is_ok());
    }
}
