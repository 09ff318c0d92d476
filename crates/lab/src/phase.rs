//! From a plan's run to the load generator's phase: pure.

use crate::LoraTarget;
use load::{AdapterPolicy, Adapters, Arrivals, ExactLengths, LengthModel, Phase, Timing, Workload};
use plan::{AdapterUse, PhaseName, Plan, PromptCount, RunSpec};
use record::{RunId, WorkloadFacts};
use std::num::NonZeroU32;

/// What is known of the server's ways, and in which words it is asked.
pub(crate) struct Prompts {
    /// Makes every prompt of the session new to the server.
    pub(crate) salt: u64,
    /// Makes prompts exactly as long as they are meant to be, where that can be had.
    pub(crate) exact: ExactLengths,
    pub(crate) adapters: Option<LoraTarget>,
}

/// The name of a run's phase.
pub(crate) fn name(plan: &Plan, spec: RunSpec) -> &PhaseName {
    plan.phase(spec).map_or(&plan.name, |phase| &phase.name)
}

/// The name of a run.
pub(crate) fn run_id(plan: &Plan, spec: RunSpec) -> RunId {
    let (phase, users) = (name(plan, spec).as_str(), spec.users.get());
    match plan.arm(spec) {
        Some(arm) => RunId::of_arm(phase, users, arm.name.as_str(), spec.repeat),
        None => RunId::new(phase, users, spec.repeat),
    }
}

/// What a run's requests look like.
pub(crate) fn workload_facts(plan: &Plan, spec: RunSpec, salt: u64) -> WorkloadFacts {
    let own = plan.arm(spec).and_then(|arm| arm.prompt_tokens);
    WorkloadFacts {
        prompt_tokens: own.unwrap_or(plan.workload.prompt_tokens).get(),
        output_tokens: plan.workload.output_tokens.get(),
        seed: plan.seed,
        nonce_salt: salted(salt, &run_id(plan, first_asked(plan, spec))),
    }
}

/// The run whose prompts this one asks for: its own, or an earlier phase's again.
fn first_asked(plan: &Plan, spec: RunSpec) -> RunSpec {
    let again = plan.phase(spec).and_then(|phase| phase.again.as_ref());
    match again {
        Some(again) => RunSpec {
            phase: plan.phases.iter().position(|phase| phase.name == *again),
            ..spec
        },
        None => spec,
    }
}

/// Whether its prompts come again by design: how much of them is cached is then what is measured.
pub(crate) fn asks_again(plan: &Plan, spec: RunSpec) -> bool {
    let again = plan.phase(spec).is_some_and(|phase| phase.again.is_some());
    again || plan.workload.own_prompts.is_some()
}

/// The requests that a phase is over after; absent where time ends it.
pub(crate) fn requests_asked(phase: &Phase) -> Option<u64> {
    let each = phase.each?.get();
    match phase.arrivals {
        Arrivals::Closed { users, .. } => Some(u64::from(users.get()) * u64::from(each)),
        Arrivals::Open(_) => None,
    }
}

/// The phase of a run.
pub(crate) fn of_run(
    plan: &Plan,
    spec: RunSpec,
    facts: &WorkloadFacts,
    prompts: &Prompts,
    lengths: LengthModel,
) -> Phase {
    let mut workload = Workload::new(
        facts.prompt_tokens,
        facts.output_tokens,
        facts.seed,
        facts.nonce_salt,
    );
    workload.temperature = plan.workload.temperature.get();
    workload.make_exact(prompts.exact.clone());
    workload.adapters = adapters(plan, spec, prompts);
    workload.own_prompts = plan.workload.own_prompts.and_then(count);
    let timing = Timing {
        ramp: plan.timing.ramp.0,
        warmup: plan.timing.warmup.0,
        measure: plan.timing.duration.0,
        drain_limit: plan.timing.drain_limit.0,
        request_deadline: plan.timing.request_timeout.0,
    };
    let users = NonZeroU32::new(spec.users.get()).unwrap_or(NonZeroU32::MIN);
    let mut phase = Phase::closed(users, plan.timing.think.0, timing, workload, lengths);
    phase.each = plan.phase(spec).and_then(|phase| count(phase.prompts));
    phase
}

fn count(prompts: PromptCount) -> Option<NonZeroU32> {
    NonZeroU32::new(prompts.get())
}

fn adapters(plan: &Plan, spec: RunSpec, prompts: &Prompts) -> Option<Adapters> {
    let policy = match plan.arm(spec)?.adapters? {
        AdapterUse::None => return None,
        AdapterUse::Sticky => AdapterPolicy::Sticky,
        AdapterUse::RoundRobin => AdapterPolicy::RoundRobin,
        AdapterUse::Uniform => AdapterPolicy::Uniform,
        AdapterUse::Storm => AdapterPolicy::Storm,
    };
    let lora = prompts.adapters.as_ref()?;
    // An empty list was refused before the session began.
    Adapters::new(lora.list.clone(), lora.dialect, policy, plan.seed).ok()
}

/// A salt for this run: FNV-1a of its name over the session's.
fn salted(session: u64, run: &RunId) -> u64 {
    run.as_str()
        .bytes()
        .fold(session ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Builtin;
    use std::collections::HashSet;

    #[test]
    fn runs_have_names_and_salts_of_their_own_and_the_same_words() {
        let plan = Builtin::find("h6").unwrap().plan().unwrap();
        let specs = plan.schedule();
        let names: HashSet<_> = specs.iter().map(|&spec| run_id(&plan, spec)).collect();
        assert_eq!(names.len(), specs.len());
        let facts = |spec| workload_facts(&plan, spec, 7);
        let salts: HashSet<_> = specs.iter().map(|&spec| facts(spec).nonce_salt).collect();
        assert_eq!(salts.len(), specs.len());
        assert!(specs.iter().all(|&spec| facts(spec).seed == plan.seed));
        assert_eq!(run_id(&plan, specs[2]).as_str(), "h6-u008-storm-r1");
    }

    #[test]
    fn a_replay_asks_for_the_prompts_of_its_populate_again() {
        let plan = Builtin::find("tiers").unwrap().plan().unwrap();
        let specs = plan.schedule();
        let salt = |spec| workload_facts(&plan, spec, 7).nonce_salt;
        let [populate, pressure, replay, next] = [0, 1, 2, 3].map(|nth| salt(specs[nth]));
        assert_eq!(populate, replay);
        assert!(populate != pressure && populate != next);
        assert_eq!(run_id(&plan, specs[2]).as_str(), "replay-u008-none-r1");
    }

    #[test]
    fn an_arm_may_have_prompts_of_its_own_length() {
        let plan = Builtin::find("h5").unwrap().plan().unwrap();
        let lengths: Vec<_> = plan.schedule()[..4]
            .iter()
            .map(|&spec| workload_facts(&plan, spec, 0).prompt_tokens)
            .collect();
        assert_eq!(lengths, [1024, 4096, 16384, 65536]);
    }
}
