//! NVIDIA GPUs, through NVML.
//!
//! The library is loaded at run time, so that a host without it loses nothing but these columns.
//! A driver can hang in any call, the first included: each GPU has a thread of its own, and what
//! a device does not support stays absent. On parts whose memory is the host's (GB10), that is
//! the memory; what the processes use there is still known.

use crate::background::{Background, Fill};
use nvml_wrapper::{
    Nvml,
    enum_wrappers::device::{Clock, TemperatureSensor},
    enums::device::UsedGpuMemory,
    error::NvmlError,
};
use record::{Gpu, Value};
use std::{io, sync::mpsc, thread, time::Duration};

/// The driver averages utilisation and power over up to a second: more often shows little more.
const INTERVAL: Duration = Duration::from_millis(500);
/// Memory is looked at in every so many readings: listing all processes is the dearest of the
/// calls, and a pool of memory moves slowly.
const MEMORY_EVERY: u32 = 2;
/// The first call may load the driver and wake the device. Longer, and it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// One GPU, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuFacts {
    /// Its number.
    pub number: u32,
    /// Its name: `NVIDIA GB10`.
    pub name: Option<String>,
    /// The driver's version.
    pub driver: Option<String>,
    /// Its own memory; absent where it uses the host's.
    pub memory_bytes: Option<u64>,
}

/// No GPU can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// There is no NVML, or it refuses.
    #[error(
        "NVML: {0}; install the NVIDIA driver, or mount its libnvidia-ml.so.1 into the container"
    )]
    Nvml(#[from] NvmlError),
    /// It does not answer.
    #[error("NVML has not answered for {PATIENCE:?}; see whether nvidia-smi hangs too")]
    Hangs,
    /// The thread that asks could not be started.
    #[error("cannot start a thread to ask NVML: {0}")]
    Thread(#[from] io::Error),
}

/// Looks for GPUs.
pub fn find() -> Result<Vec<GpuFacts>, GpuError> {
    let (send, answer) = mpsc::channel();
    thread::Builder::new()
        .name("gpu-find".to_owned())
        .spawn(move || {
            // Nobody may be left who waits.
            let _ = send.send(list());
        })?;
    match answer.recv_timeout(PATIENCE) {
        Ok(found) => Ok(found?),
        Err(_) => Err(GpuError::Hangs),
    }
}

fn list() -> Result<Vec<GpuFacts>, NvmlError> {
    let nvml = Nvml::init()?;
    let driver = nvml.sys_driver_version().ok();
    let facts = |number| {
        // A device that fell off the bus is counted, but can't be had.
        let device = nvml.device_by_index(number).ok()?;
        Some(GpuFacts {
            number,
            name: device.name().ok(),
            driver: driver.clone(),
            memory_bytes: own_memory(&device).map(|(_, total)| total),
        })
    };
    Ok((0..nvml.device_count()?).filter_map(facts).collect())
}

/// Used and total bytes of a device's own memory.
fn own_memory(device: &nvml_wrapper::Device<'_>) -> Option<(u64, u64)> {
    let memory = device.memory_info().ok()?;
    (memory.total > 0).then_some((memory.used, memory.total))
}

/// One reading of one GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GpuReading {
    util_pct: Option<u64>,
    sm_clock_mhz: Option<u64>,
    power_mw: Option<u64>,
    temp_c: Option<u64>,
    throttle_reasons: Option<u64>,
    mem_used_bytes: Option<u64>,
    mem_total_bytes: Option<u64>,
    process_bytes: Option<u64>,
}

impl GpuReading {
    fn of(device: &nvml_wrapper::Device<'_>, with_memory: bool) -> Self {
        let memory = with_memory.then(|| own_memory(device)).flatten();
        let util = device.utilization_rates().ok();
        let temp = device.temperature(TemperatureSensor::Gpu).ok();
        let throttle = device.current_throttle_reasons().ok();
        Self {
            util_pct: util.map(|rates| rates.gpu.into()),
            sm_clock_mhz: device.clock_info(Clock::SM).ok().map(u64::from),
            power_mw: device.power_usage().ok().map(u64::from),
            temp_c: temp.map(u64::from),
            throttle_reasons: throttle.map(|reasons| reasons.bits()),
            mem_used_bytes: memory.map(|(used, _)| used),
            mem_total_bytes: memory.map(|(_, total)| total),
            process_bytes: with_memory.then(|| process_bytes(device)).flatten(),
        }
    }

    fn lay(&self, values: &mut [Value]) {
        for &field in Gpu::ALL {
            let value = match field {
                Gpu::UtilPct => self.util_pct,
                Gpu::SmClockMhz => self.sm_clock_mhz,
                Gpu::PowerMw => self.power_mw,
                Gpu::TempC => self.temp_c,
                Gpu::ThrottleReasons => self.throttle_reasons,
                Gpu::MemUsedBytes => self.mem_used_bytes,
                Gpu::MemTotalBytes => self.mem_total_bytes,
                Gpu::ProcessBytes => self.process_bytes,
            };
            values[field as usize] = value.into();
        }
    }
}

/// The memory of all compute processes; absent if one process' is not told, since the sum of the
/// others would pass for all.
fn process_bytes(device: &nvml_wrapper::Device<'_>) -> Option<u64> {
    let processes = device.running_compute_processes().ok()?;
    let bytes = processes
        .iter()
        .map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        });
    bytes.sum()
}

/// Reads one GPU again and again into its columns.
pub(crate) fn watch(number: u32) -> io::Result<Box<dyn Fill + Send>> {
    let begin = move || {
        // Each thread has its own handle: NVML counts them, and a hung thread keeps only its own.
        let nvml = Nvml::init().ok()?;
        let mut reading = 0u32;
        Some(move || {
            let with_memory = reading.is_multiple_of(MEMORY_EVERY);
            reading = reading.wrapping_add(1);
            match nvml.device_by_index(number) {
                Ok(device) => GpuReading::of(&device, with_memory),
                Err(_) => GpuReading::default(),
            }
        })
    };
    let name = format!("gpu{number}");
    Ok(Box::new(Background::start(
        &name,
        INTERVAL,
        begin,
        GpuReading::lay,
    )?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_stays_absent() {
        let gb10 = GpuReading {
            util_pct: Some(0),
            power_mw: Some(11_170),
            temp_c: Some(35),
            process_bytes: Some(40_428_000_000),
            ..GpuReading::default()
        };
        let mut values = vec![Value::Absent; Gpu::ALL.len()];
        gb10.lay(&mut values);
        assert_eq!(values[Gpu::UtilPct as usize], Value::Int(0));
        assert_eq!(values[Gpu::MemUsedBytes as usize], Value::Absent);
        assert_eq!(
            values[Gpu::ProcessBytes as usize],
            Value::Int(40_428_000_000)
        );
    }

    #[test]
    fn a_host_with_or_without_a_driver_answers() {
        match find() {
            Ok(gpus) => assert!(gpus.iter().all(|gpu| gpu.name.is_some())),
            Err(error) => assert!(error.to_string().contains("NVML"), "{error}"),
        }
    }
}
