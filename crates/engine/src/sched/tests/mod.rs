mod storage;

use super::*;
use crate::{
    reply::{Reply, ReplyLimits},
    roofline::StepWork,
    storage::{
        adapters::AdapterLimits,
        tier::{TierLimits, WriteMode},
    },
    token::Token,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn limits(blocks: u32) -> Limits {
    Limits {
        max_batch: 4,
        step_tokens: 32,
        block_tokens: 4,
        blocks,
        prefix_cache: true,
        tier: None,
        adapters: None,
    }
}

fn submission(id: u64, prompt: &[u32], reply_tokens: u32) -> Submission {
    let prompt: Vec<Token> = prompt.iter().map(|&t| Token(t)).collect();
    let limits = ReplyLimits {
        max_tokens: reply_tokens,
        min_tokens: 0,
        ignore_eos: true,
        mean_tokens: 1,
    };
    Submission {
        id: RequestId(id),
        reply: Reply::to(&prompt, 0, limits),
        prompt,
        speaker: 0,
        adapter: 0,
    }
}

fn range(from: u32, len: u32) -> Vec<u32> {
    (from..from + len).collect()
}

fn work(new_tokens: u32, context_tokens: u32) -> StepWork {
    StepWork {
        new_tokens,
        context_tokens,
    }
}

fn slices(plan: &StepPlan) -> Vec<(u64, StepWork)> {
    plan.slices.iter().map(|s| (s.id.0, s.work)).collect()
}

/// Runs to the end; the tokens each request got.
fn drain(scheduler: &mut Scheduler) -> BTreeMap<u64, Vec<Token>> {
    let mut replies: BTreeMap<u64, Vec<Token>> = BTreeMap::new();
    for _ in 0..100_000 {
        let plan = scheduler.plan_step();
        if plan.slices.is_empty() && plan.preempted.is_empty() {
            break;
        }
        for emission in scheduler.finish_step(&plan) {
            let reply = replies.entry(emission.id.0).or_default();
            assert_eq!(emission.index as usize, reply.len());
            reply.push(emission.token);
        }
    }
    replies
}

#[test]
fn a_long_prompt_is_computed_in_chunks_beside_those_that_decode() {
    let mut scheduler = Scheduler::new(limits(100));
    scheduler.submit(submission(1, &range(0, 8), 5)).unwrap();
    let plan = scheduler.plan_step();
    assert_eq!(slices(&plan), [(1, work(8, 8))]);
    assert_eq!(scheduler.finish_step(&plan).len(), 1);

    scheduler
        .submit(submission(2, &range(1000, 50), 5))
        .unwrap();
    let plan = scheduler.plan_step();
    assert_eq!(slices(&plan), [(1, work(1, 9)), (2, work(31, 31))]);
    assert_eq!(
        scheduler.finish_step(&plan).len(),
        1,
        "no token before the whole prompt"
    );

    let plan = scheduler.plan_step();
    assert_eq!(slices(&plan), [(1, work(1, 10)), (2, work(19, 50))]);
    assert_eq!(scheduler.finish_step(&plan).len(), 2);
}

#[test]
fn the_batch_is_bounded_and_the_rest_waits_in_order() {
    let mut scheduler = Scheduler::new(limits(100));
    for id in 0..6 {
        scheduler
            .submit(submission(id, &range(id as u32 * 100, 3), 2))
            .unwrap();
    }
    let plan = scheduler.plan_step();
    assert_eq!(
        plan.admitted.iter().map(|a| a.id.0).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(
        (scheduler.tally().running, scheduler.tally().waiting),
        (4, 2)
    );
    scheduler.finish_step(&plan);
    let plan = scheduler.plan_step();
    assert_eq!(
        scheduler
            .finish_step(&plan)
            .iter()
            .filter(|e| e.finish.is_some())
            .count(),
        4
    );
    let plan = scheduler.plan_step();
    assert_eq!(
        plan.admitted.iter().map(|a| a.id.0).collect::<Vec<_>>(),
        [4, 5]
    );
}

#[test]
fn a_full_pool_preempts_the_youngest_which_then_gives_the_same_reply() {
    // 8 blocks of 4; two sequences that grow to 5 blocks each.
    let mut scheduler = Scheduler::new(limits(8));
    let first = submission(1, &range(0, 8), 12);
    let second = submission(2, &range(100, 8), 12);
    let wanted: Vec<Token> = (0..12).map(|i| second.reply.token(i)).collect();
    scheduler.submit(first).unwrap();
    scheduler.submit(second).unwrap();
    let replies = drain(&mut scheduler);
    assert!(scheduler.tally().preemptions > 0);
    assert_eq!(replies[&2], wanted);
    assert_eq!(scheduler.tally().blocks_used, 0);
}

#[test]
fn an_equal_prefix_is_not_computed_again() {
    let mut scheduler = Scheduler::new(limits(100));
    scheduler.submit(submission(1, &range(0, 16), 1)).unwrap();
    drain(&mut scheduler);
    scheduler.submit(submission(2, &range(0, 16), 1)).unwrap();
    let plan = scheduler.plan_step();
    // The last block is computed again: the reply's first token comes out of it.
    assert_eq!(plan.admitted[0].cached_tokens, 12);
    assert_eq!(slices(&plan), [(2, work(4, 16))]);
    let tally = scheduler.tally();
    assert_eq!(
        (tally.cache_queries_tokens, tally.cache_hits_tokens),
        (32, 12)
    );
}

#[test]
fn a_conversation_reuses_its_own_reply() {
    let mut scheduler = Scheduler::new(limits(100));
    let turn = submission(1, &range(0, 8), 9);
    let reply: Vec<u32> = (0..9).map(|i| turn.reply.token(i).0).collect();
    scheduler.submit(turn).unwrap();
    drain(&mut scheduler);
    let next: Vec<u32> = range(0, 8)
        .into_iter()
        .chain(reply)
        .chain(range(50, 4))
        .collect();
    scheduler.submit(submission(2, &next, 1)).unwrap();
    assert_eq!(scheduler.plan_step().admitted[0].cached_tokens, 16);
}

#[test]
fn what_can_never_fit_is_refused() {
    let mut scheduler = Scheduler::new(limits(2));
    assert_eq!(
        scheduler.submit(submission(1, &[], 1)),
        Err(Unschedulable::EmptyPrompt)
    );
    let refused = scheduler.submit(submission(1, &range(0, 6), 3));
    assert_eq!(
        refused,
        Err(Unschedulable::LargerThanPool {
            needed_tokens: 9,
            pool_tokens: 8
        })
    );
    assert!(scheduler.is_idle());
}

#[test]
fn a_cancelled_request_leaves_nothing_behind() {
    let mut scheduler = Scheduler::new(limits(100));
    for id in 0..6 {
        scheduler
            .submit(submission(id, &range(id as u32 * 100, 9), 50))
            .unwrap();
    }
    let plan = scheduler.plan_step();
    assert!(scheduler.cancel(RequestId(0)) && scheduler.cancel(RequestId(5)));
    assert!(!scheduler.cancel(RequestId(0)));
    let emitted: Vec<_> = scheduler
        .finish_step(&plan)
        .iter()
        .map(|e| e.id.0)
        .collect();
    assert_eq!(
        emitted,
        [1, 2, 3]
            .iter()
            .take(emitted.len())
            .copied()
            .collect::<Vec<_>>()
    );
    for id in 1..5 {
        scheduler.cancel(RequestId(id));
    }
    assert!(scheduler.is_idle());
    assert_eq!(scheduler.tally().blocks_used, 0);
}

#[derive(Clone, Debug)]
enum Event {
    Submit {
        prompt_from: u32,
        prompt: u32,
        reply: u32,
    },
    Cancel(usize),
    Step,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..3u32, 1..40u32, 1..20u32).prop_map(|(from, prompt, reply)| Event::Submit {
            prompt_from: from * 7, prompt, reply,
        }),
        1 => any::<usize>().prop_map(Event::Cancel),
        6 => Just(Event::Step),
    ]
}

proptest! {
    #[test]
    fn every_request_gets_its_whole_reply_and_every_block_comes_back(
        events in prop::collection::vec(event(), 0..150),
        blocks in 4..40u32,
        step_tokens in 1..40u32,
        prefix_cache in any::<bool>(),
    ) {
        let limits = Limits { max_batch: 3, step_tokens, block_tokens: 4, blocks, prefix_cache, tier: None, adapters: None };
        let mut scheduler = Scheduler::new(limits.clone());
        let mut wanted: BTreeMap<u64, Reply> = BTreeMap::new();
        let mut got: BTreeMap<u64, u32> = BTreeMap::new();
        for (id, event) in events.into_iter().enumerate() {
            let id = id as u64;
            match event {
                Event::Submit { prompt_from, prompt, reply } => {
                    let submission = submission(id, &range(prompt_from, prompt), reply);
                    let reply = submission.reply;
                    if scheduler.submit(submission).is_ok() {
                        wanted.insert(id, reply);
                    }
                }
                Event::Cancel(pick) if !wanted.is_empty() => {
                    let id = *wanted.keys().nth(pick % wanted.len()).unwrap();
                    scheduler.cancel(RequestId(id));
                    wanted.remove(&id);
                    got.remove(&id);
                }
                Event::Cancel(_) => {}
                Event::Step => {
                    let plan = scheduler.plan_step();
                    let tokens: u32 = plan.slices.iter().map(|s| s.work.new_tokens).sum();
                    prop_assert!(tokens <= limits.step_tokens);
                    prop_assert!(plan.slices.len() <= limits.max_batch);
                    prop_assert!(plan.slices.iter().all(|s| s.work.new_tokens > 0));
                    for emission in scheduler.finish_step(&plan) {
                        let count = got.entry(emission.id.0).or_default();
                        prop_assert_eq!(emission.index, *count);
                        prop_assert_eq!(emission.token, wanted[&emission.id.0].token(*count));
                        *count += 1;
                    }
                    let tally = scheduler.tally();
                    prop_assert!(tally.blocks_used <= limits.blocks);
                }
            }
        }
        for (id, tokens) in drain_counts(&mut scheduler) {
            *got.entry(id).or_default() += tokens;
        }
        let all: BTreeMap<u64, u32> = wanted.iter().map(|(id, reply)| (*id, reply.len())).collect();
        prop_assert_eq!(got, all);
        prop_assert!(scheduler.is_idle());
        prop_assert_eq!(scheduler.tally().blocks_used, 0);
    }
}

fn drain_counts(scheduler: &mut Scheduler) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..100_000 {
        if scheduler.is_idle() {
            break;
        }
        let plan = scheduler.plan_step();
        for emission in scheduler.finish_step(&plan) {
            *counts.entry(emission.id.0).or_default() += 1;
        }
    }
    counts
}
