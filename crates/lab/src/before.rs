//! What comes before a run's load: the server as its arm has it, the page cache as the arm wants it,
//! a quiet machine; and what is told of it.

use crate::{
    Event, LabError,
    measure::Bench,
    memory_back, model_load,
    prepare::settle::{self, Settled},
    restart::restart_as,
    run_log::RunLog,
};
use plan::{CacheState, RunSpec};
use record::{RecordError, RunManifest};

impl Bench<'_> {
    /// Starts the server anew, as the run's arm has it, where arms differ in that.
    pub(crate) fn start_anew(&mut self, spec: RunSpec, log: &mut RunLog) -> Result<(), LabError> {
        if !self.plan.starts_anew(spec) {
            return Ok(());
        }
        let name = self.plan.arm(spec).and_then(|arm| arm.variant.as_ref());
        let (roots, stop) = (self.roots, self.stop);
        restart_as(&mut self.target, self.variants, name, roots, stop, log)
    }

    /// All that comes before the load, in this order. Gives the share of the model's files in the page
    /// cache, where the arm wants a state of it.
    pub(crate) fn prepare(
        &mut self,
        wanted: Option<CacheState>,
        manifest: &mut RunManifest,
        log: &mut RunLog,
    ) -> Result<Option<f64>, LabError> {
        if let Err(error) = self.preparation.before_run() {
            log.tell(format_args!("the page cache was not dropped: {error}"))?;
        }
        let resident_pct = match wanted {
            Some(state) => self.bring_cache_to(state, manifest)?,
            None => None,
        };
        self.settle(log)?;
        Ok(resident_pct)
    }

    /// Waits until the machine is quiet, if the plan wants that.
    fn settle(&self, log: &mut RunLog) -> Result<(), LabError> {
        let Some(settle) = self.plan.prepare.settle else {
            return Ok(());
        };
        let device = self.device.name.as_deref();
        match settle::wait(settle, self.roots, device, self.stop) {
            Settled::After(waited) => {
                let seconds = waited.as_secs_f64();
                log.tell(format_args!("the machine was quiet after {seconds:.1} s"))?;
            }
            Settled::Not(_) if self.stop.is_stopped() => return Err(LabError::Interrupted),
            Settled::Not(busy) => {
                let error = LabError::NotQuiet {
                    limit: settle.limit.0,
                    cpu_pct: busy.map_or(f64::NAN, |busy| busy.cpu_pct),
                    device_pct: busy.and_then(|busy| busy.device_pct).unwrap_or(f64::NAN),
                };
                if self.plan.prepare.required {
                    return Err(error);
                }
                log.tell(format_args!("measured all the same: {error}"))?;
            }
        }
        Ok(())
    }

    /// Brings the model's files to the wanted state, with a restart where the server is ours.
    /// Gives their share in the page cache before the server was started.
    fn bring_cache_to(
        &mut self,
        state: CacheState,
        manifest: &mut RunManifest,
    ) -> Result<Option<f64>, LabError> {
        let Some(cache) = &self.cache else {
            return Err(LabError::NoModelFiles);
        };
        if self.target.managed.is_none() {
            cache.bring_to(state)?;
            return cache.resident_pct();
        }
        let (clock, roots) = (self.clock, self.roots);
        let mut load = model_load::reload(&mut self.target, cache, state, clock, roots, self.stop)?;
        load.ceiling_mb_s = self.ceiling_mb_s;
        let resident = load.resident_before_pct;
        manifest.model_load = Some(load);
        Ok(resident)
    }

    /// What the page cache holds after a run whose server was not restarted: what was evicted
    /// under it and is there again was read by someone.
    pub(crate) fn tell_what_came_back(
        &self,
        manifest: &RunManifest,
        wanted: Option<CacheState>,
        log: &mut RunLog,
    ) -> Result<(), LabError> {
        let (None, Some(_), Some(cache)) = (&manifest.model_load, wanted, &self.cache) else {
            return Ok(());
        };
        if let Some(pct) = cache.resident_pct()? {
            log.tell(format_args!(
                "after the run, {pct:.1} % of the model's files are in the page cache"
            ))?;
        }
        Ok(())
    }
}

/// Says it where a stopped server's memory did not come back.
pub(crate) fn tell_missing_memory(
    manifest: &RunManifest,
    log: &mut RunLog,
    observer: &mut dyn FnMut(Event),
) -> Result<(), RecordError> {
    let load = manifest.model_load.as_ref();
    let memory = load.and_then(|load| load.memory_back.as_ref());
    if let Some(words) = memory.and_then(memory_back::complaint) {
        log.tell(&words)?;
        observer(Event::Warning(format!("{}: {words}", manifest.run)));
    }
    Ok(())
}
