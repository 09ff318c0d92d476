//! NVMe admin commands by ioctl (include/uapi/linux/nvme_ioctl.h).

use super::parse_log;
use record::SmartLog;
use std::{fs::File, io, os::fd::AsRawFd, path::Path};

/// `struct nvme_admin_cmd`, the kernel's `nvme_passthru_cmd`.
#[repr(C)]
#[derive(Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    dword2: u32,
    dword3: u32,
    metadata: u64,
    address: u64,
    metadata_length: u32,
    data_length: u32,
    dword10: u32,
    dword11: u32,
    dword12: u32,
    dword13: u32,
    dword14: u32,
    dword15: u32,
    timeout_ms: u32,
    result: u32,
}

const _: () = assert!(size_of::<AdminCommand>() == 72);

nix::ioctl_readwrite!(nvme_admin, b'N', 0x41, AdminCommand);

/// Get Log Page (base specification, 5.16).
const GET_LOG_PAGE: u8 = 0x02;
/// SMART / Health Information.
const SMART: u32 = 0x02;
/// The log is the controller's, not one namespace's.
const WHOLE_CONTROLLER: u32 = u32::MAX;

pub(super) fn smart_log(controller: &Path) -> io::Result<SmartLog> {
    let file = File::open(controller)?;
    let mut page = [0; 512];
    // NUMDL counts dwords from 0, in the upper half of dword 10.
    let dwords = page.len() as u32 / 4 - 1;
    let mut command = AdminCommand {
        opcode: GET_LOG_PAGE,
        namespace: WHOLE_CONTROLLER,
        address: page.as_mut_ptr() as u64,
        data_length: page.len() as u32,
        dword10: dwords << 16 | SMART,
        timeout_ms: 1000,
        ..AdminCommand::default()
    };
    #[expect(unsafe_code, reason = "the kernel has no other call for the log")]
    // SAFETY: `command` is the kernel's struct by its size and layout, and `address` and
    // `data_length` name `page`, which lives past the call and is written by the kernel alone.
    let status = unsafe { nvme_admin(file.as_raw_fd(), &raw mut command) }?;
    if status != 0 {
        return Err(io::Error::other(format!(
            "the controller answered status {status:#x}"
        )));
    }
    Ok(parse_log(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_controller_is_refused() {
        assert!(smart_log(Path::new("/dev/null")).is_err());
        assert!(smart_log(Path::new("/dev/no-such-device")).is_err());
    }
}
