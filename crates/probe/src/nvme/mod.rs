//! The SMART log of an NVMe controller: what it has counted over its life.
//!
//! The log is read by admin command where the process may, else through `smartctl`. Both are for
//! the moments before and after a run, not for the sampler.

mod admin;
mod log;
mod smartctl;

pub use log::{CrossCheck, DATA_UNIT_BYTES, SmartDelta, cross_check, parse_log};
pub use record::{SmartLog, SmartSource};
pub use smartctl::parse_smartctl;

use crate::{Roots, device};
use std::{
    io,
    path::{Path, PathBuf},
};

/// No SMART log could be had.
#[derive(Debug, thiserror::Error)]
pub enum SmartError {
    /// The device is no NVMe namespace.
    #[error("{0} is no NVMe device: there is no SMART log that counts its bytes")]
    NotNvme(String),
    /// Both ways failed.
    #[error(
        "{}: the SMART log can't be read: {ioctl}; and by smartctl: {smartctl}; run as root, or \
         give the binary CAP_SYS_ADMIN and read access to the device", path.display()
    )]
    Unreadable {
        /// The controller's device file.
        path: PathBuf,
        /// Why the admin command failed.
        ioctl: io::Error,
        /// Why smartctl gave nothing.
        smartctl: SmartctlError,
    },
}

/// Why `smartctl` gave no log.
#[derive(Debug, thiserror::Error)]
pub enum SmartctlError {
    /// It could not be run.
    #[error("cannot run it: {0}; install smartmontools")]
    Run(#[from] io::Error),
    /// What it printed is no JSON.
    #[error("its answer is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It says why, or the log lacks this field.
    #[error("{0}")]
    NoLog(String),
}

/// Reads the SMART log of the controller behind a whole device such as `nvme0n1`.
pub fn read(roots: &Roots, disk: &str) -> Result<SmartLog, SmartError> {
    let controller = device::disk_facts(roots, disk).and_then(|facts| facts.controller);
    let controller = controller.ok_or_else(|| SmartError::NotNvme(disk.to_owned()))?;
    let path = Path::new("/dev").join(controller);
    match admin::smart_log(&path) {
        Ok(log) => Ok(log),
        Err(ioctl) => smartctl::read(&path).map_err(|smartctl| SmartError::Unreadable {
            path,
            ioctl,
            smartctl,
        }),
    }
}
