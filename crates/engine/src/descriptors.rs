//! Room for many connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Thousands of clients need thousands of descriptors; the soft limit is often 1,024.
pub(crate) fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
