//! H1's step: bring the model's files into a state of the page cache, and start the server on them.

use crate::{LabError, ceiling, model_cache::ModelCache, restart, target::ReadyTarget};
use clock::{SessionClock, SessionNs};
use load::Stop;
use plan::CacheState;
use probe::Roots;
use record::{Column, Device, ModelLoad, Telemetry};

/// The least share of the model that must be read from the device for its end to be told by that.
const READ_SHARE_MIN: f64 = 0.5;

/// Stops the server, brings the files to `state`, starts it and waits for its first token.
pub(crate) fn reload(
    target: &mut ReadyTarget,
    cache: &ModelCache,
    state: CacheState,
    clock: SessionClock,
    roots: &Roots,
    stop: &Stop,
) -> Result<ModelLoad, LabError> {
    let Some(server) = &mut target.managed else {
        return Err(LabError::NotOurs);
    };
    let memory_back = server.stop_and_wait(stop);
    cache.bring_to(state)?;
    let mut load = ModelLoad {
        model_bytes: cache.bytes()?,
        resident_before_pct: cache.resident_pct()?,
        started_ns: clock.now(),
        process_up_ns: None,
        first_log_ns: None,
        weights_read_ns: None,
        healthy_ns: None,
        first_token_ns: None,
        device_read_bytes: None,
        server_read_bytes: None,
        ceiling_mb_s: None,
        memory_back,
    };
    server.start()?;
    load.process_up_ns = Some(clock.now());
    let up = restart::wait_up(server, &target.load, stop)?;
    load.healthy_ns = Some(clock.at(up.healthy));
    load.first_token_ns = Some(clock.at(up.first_token));
    load.first_log_ns = server.first_line().map(|at| clock.at(at));
    target.find_process(roots);
    // It was started just now: all that it has read, it read in this time.
    load.server_read_bytes = target.process.and_then(|server| server.read_bytes(roots));
    Ok(load)
}

/// The device's ceiling, by the largest of the model's files. Leaves them out of the page cache.
pub(crate) fn ceiling_of(cache: &ModelCache) -> Option<f64> {
    let size = |path: &&std::path::Path| std::fs::metadata(path).map(|it| it.len()).unwrap_or(0);
    ceiling::sequential_read_mb_s(cache.paths().max_by_key(size)?)
}

/// What the device's counters say of the load: bytes read, and when nearly all of them were.
pub(crate) fn add_device_reads(load: &mut ModelLoad, telemetry: &Telemetry, device: &str) {
    let Some(end) = load.first_token_ns else {
        return;
    };
    let column = Column::Device(device.to_owned(), Device::ReadBytes);
    let Some(series) = telemetry.series(&column) else {
        return;
    };
    let counted: Vec<(SessionNs, f64)> = telemetry
        .times()
        .iter()
        .copied()
        .zip(series.iter())
        .filter_map(|(at, value)| Some((at, value?)))
        .collect();
    let Some(&(_, before)) = counted.iter().rev().find(|(at, _)| *at <= load.started_ns) else {
        return;
    };
    let during = || counted.iter().filter(|(at, _)| *at > load.started_ns);
    // The first tick after the end has seen all of it.
    let Some(&(_, after)) = during().find(|(at, _)| *at >= end) else {
        return;
    };
    let read = after - before;
    load.device_read_bytes = Some(read as u64);
    if read >= READ_SHARE_MIN * load.model_bytes as f64 {
        let nearly = before + 0.99 * read;
        load.weights_read_ns = during()
            .find(|(_, value)| *value >= nearly)
            // A tick may come after the end that it tells of.
            .map(|(at, _)| (*at).min(end));
    }
}
