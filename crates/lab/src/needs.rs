//! What a plan needs of its target: checked before anything starts.

use crate::{Event, Job, LabError, Whose, model_cache::ModelCache, restart};
use plan::AdapterUse;

/// What the plan needs and the job may lack; and the model's files, if they are named.
pub(crate) fn check(
    job: &Job,
    observer: &mut dyn FnMut(Event),
) -> Result<Option<ModelCache>, LabError> {
    let arms = &job.plan.arms;
    let asks = |arm: &plan::Arm| arm.adapters.is_some_and(|use_| use_ != AdapterUse::None);
    if arms.iter().any(asks) && job.target.adapters.is_none() {
        return Err(LabError::NoAdapters);
    }
    variants(job)?;
    let wanted = arms.iter().any(|arm| arm.cache.is_some());
    if job.target.model_files.is_empty() {
        return match wanted {
            true => Err(LabError::NoModelFiles),
            false => Ok(None),
        };
    }
    match ModelCache::open(&job.target.model_files) {
        // Only how much of them is cached is lost.
        Err(error) if !wanted => {
            observer(Event::Warning(format!(
                "the model's files are not watched: {error}"
            )));
            Ok(None)
        }
        cache => cache.map(Some),
    }
}

/// Arms that differ in the server's configuration need a server that can be started in each.
fn variants(job: &Job) -> Result<(), LabError> {
    let target = &job.target;
    for name in job.plan.arms.iter().filter_map(|arm| arm.variant.as_ref()) {
        if matches!(target.whose, Whose::Attached) {
            return Err(LabError::NotOursToVary);
        }
        if !target.variants.contains_key(name) {
            return Err(restart::no_variant(name, &target.variants));
        }
    }
    Ok(())
}
