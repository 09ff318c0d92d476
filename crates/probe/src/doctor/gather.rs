//! Reading what is to be judged.

use super::{Facts, sysstat};
use crate::{
    Roots,
    block_latency::BlockLatency,
    device, gpu, host, nvme,
    parse::{self, Meminfo},
};
use std::{fs, path::Path};

/// Reads the facts of this host and of the device that holds `path`. Takes as long as the GPU's
/// driver and the drive need to answer.
pub fn gather(roots: &Roots, path: &Path) -> Facts {
    let device = device::resolve(roots, path);
    let name = device.name.as_deref();
    let disk = name.and_then(|name| device::disk_facts(roots, name));
    let is_nvme = disk.as_ref().is_some_and(|disk| disk.controller.is_some());
    Facts {
        host: host::facts(roots),
        settings: host::settings(roots),
        mem_available_bytes: mem_available_bytes(roots),
        mount: device::mount_facts(roots, path),
        has_temperature: name.is_some_and(|name| device::temperature::file(roots, name).is_some()),
        smart: name
            .filter(|_| is_nvme)
            .map(|name| nvme::read(roots, name).map_err(|error| error.to_string())),
        gpus: gpu::find().map_err(|error| error.to_string()),
        // They are taken off again at once.
        block_latency: BlockLatency::start(roots)
            .map(drop)
            .map_err(|error| error.to_string()),
        sysstat: name.and_then(|name| sysstat::beside(roots, name)),
        disk,
        device,
    }
}

fn mem_available_bytes(roots: &Roots) -> Option<u64> {
    let mut memory = Meminfo::default();
    let text = fs::read(roots.proc.join("meminfo")).ok()?;
    parse::meminfo(&text, &mut memory).ok()?;
    memory.available_bytes
}
