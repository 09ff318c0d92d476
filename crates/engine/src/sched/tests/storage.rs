//! The scheduler over KV tiers and adapters.

use super::*;

fn tiered(blocks: u32, disk_blocks: u32, write: WriteMode) -> Scheduler {
    Scheduler::new(Limits {
        tier: Some(TierLimits {
            host_blocks: 0,
            disk_blocks,
            write,
            min_uses: 1,
        }),
        ..limits(blocks)
    })
}

/// Runs to the end with a tier that does everything at once and well; the blocks it read.
fn drain_tiered(scheduler: &mut Scheduler) -> usize {
    let mut fetched = 0;
    for _ in 0..100_000 {
        if scheduler.is_idle() {
            break;
        }
        let plan = scheduler.plan_step();
        for fetch in &plan.fetches {
            fetched += fetch.blocks.len();
            scheduler.fetched(fetch.id, fetch.blocks.len() as u32, &[]);
        }
        scheduler.finish_step(&plan);
        for store in scheduler.take_stores() {
            if let Store::Disk { hash, .. } = store {
                scheduler.stored(hash, true);
            }
        }
    }
    fetched
}

#[test]
fn what_the_device_evicted_comes_back_from_the_tier() {
    for write in [WriteMode::Through, WriteMode::Back] {
        let mut scheduler = tiered(8, 100, write);
        for (id, from) in [(1, 0), (2, 1000), (3, 2000)] {
            scheduler
                .submit(submission(id, &range(from, 24), 1))
                .unwrap();
            assert_eq!(drain_tiered(&mut scheduler), 0);
        }
        // The first prompt's six blocks are long gone from the device's eight.
        scheduler.submit(submission(4, &range(0, 24), 1)).unwrap();
        let plan = scheduler.plan_step();
        assert_eq!((plan.slices.len(), plan.fetches.len()), (0, 1), "{write:?}");
        let fetch = &plan.fetches[0];
        assert_eq!(fetch.blocks.len(), 5);
        scheduler.finish_step(&plan);
        scheduler.fetched(fetch.id, 5, &[]);
        let plan = scheduler.plan_step();
        assert_eq!(plan.admitted[0].cached_tokens, 20);
        assert_eq!(slices(&plan), [(4, work(4, 24))]);
        let tally = scheduler.tally();
        assert_eq!((tally.tier_hits_tokens, tally.cache_hits_tokens), (20, 0));
    }
}

#[test]
fn a_bad_block_and_all_behind_it_are_computed_again() {
    let mut scheduler = tiered(8, 100, WriteMode::Through);
    for (id, from) in [(1, 0), (2, 1000), (3, 2000)] {
        scheduler
            .submit(submission(id, &range(from, 24), 1))
            .unwrap();
        drain_tiered(&mut scheduler);
    }
    scheduler.submit(submission(4, &range(0, 24), 1)).unwrap();
    let fetch = scheduler.plan_step().fetches.remove(0);
    scheduler.fetched(fetch.id, 2, &[fetch.blocks[2].0]);
    let plan = scheduler.plan_step();
    assert_eq!(slices(&plan), [(4, work(16, 24))]);
    drain_tiered(&mut scheduler);
    assert!(scheduler.is_idle());
}

/// `users` in turn repeat their own prompt of four blocks, each round in the same order; the share
/// of the last round's prompt blocks that had to come from the tier.
fn spilled_share(users: u32, pool_blocks: u32) -> f64 {
    let mut scheduler = tiered(pool_blocks, 10_000, WriteMode::Back);
    let mut fetched = 0;
    for round in 0..3 {
        fetched = 0;
        for user in 0..users {
            let id = u64::from(round * users + user);
            scheduler
                .submit(submission(id, &range(user * 1000, 17), 3))
                .unwrap();
            fetched += drain_tiered(&mut scheduler);
        }
    }
    fetched as f64 / f64::from(users * 4)
}

#[test]
fn spilling_starts_at_the_planted_number_of_users() {
    // A user's prompt keeps four full blocks; the one in service needs a fifth.
    let pool_blocks = 24 * 4 + 1;
    for users in [1, 8, 16, 24] {
        assert_eq!(spilled_share(users, pool_blocks), 0.0, "{users}");
    }
    // One more, and the least recently used is always the next to be asked for.
    for users in [25, 32, 64] {
        assert!(spilled_share(users, pool_blocks) > 0.9, "{users}");
    }
}

fn with_adapters(device_slots: u32, host_slots: u32) -> Scheduler {
    Scheduler::new(Limits {
        adapters: Some(AdapterLimits {
            device_slots,
            host_slots,
        }),
        ..limits(100)
    })
}

fn for_adapter(adapter: u64, id: u64) -> Submission {
    Submission {
        adapter,
        speaker: adapter,
        ..submission(id, &range(id as u32 * 100, 5), 3)
    }
}

#[test]
fn a_sequence_waits_for_its_adapter_and_others_do_not() {
    let mut scheduler = with_adapters(2, 2);
    for (id, adapter) in [(1, 7), (2, 0), (3, 7)] {
        scheduler.submit(for_adapter(adapter, id)).unwrap();
    }
    let plan = scheduler.plan_step();
    assert_eq!(
        plan.adapter_loads
            .iter()
            .map(|l| l.id.0)
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(plan.slices.iter().map(|s| s.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(scheduler.tally().waiting, 2);
    scheduler.finish_step(&plan);
    let outcome = scheduler.adapter_loaded(7, true);
    assert_eq!(outcome.resumed, [RequestId(1), RequestId(3)]);
    let plan = scheduler.plan_step();
    assert_eq!(
        plan.admitted.iter().map(|a| a.id.0).collect::<Vec<_>>(),
        [1, 3]
    );
    assert!(plan.adapter_loads.is_empty());
}

#[test]
fn a_sequence_whose_adapter_has_no_place_is_overtaken() {
    let mut scheduler = with_adapters(1, 1);
    scheduler.submit(for_adapter(1, 1)).unwrap();
    scheduler.plan_step();
    scheduler.adapter_loaded(1, true);
    scheduler.submit(for_adapter(2, 2)).unwrap();
    scheduler.submit(for_adapter(1, 3)).unwrap();
    let plan = scheduler.plan_step();
    assert_eq!(
        plan.admitted.iter().map(|a| a.id.0).collect::<Vec<_>>(),
        [1, 3]
    );
    let mut loads = Vec::new();
    for _ in 0..20 {
        let plan = scheduler.plan_step();
        loads.extend(plan.adapter_loads.iter().copied());
        scheduler.finish_step(&plan);
    }
    let evicted = Some(1);
    assert_eq!(
        loads,
        [AdapterLoad {
            id: RequestId(2),
            evicted
        }]
    );
}

#[test]
fn requests_for_an_adapter_that_cannot_be_read_fail_and_others_go_on() {
    let mut scheduler = with_adapters(1, 1);
    scheduler.submit(for_adapter(1, 1)).unwrap();
    scheduler.submit(for_adapter(1, 2)).unwrap();
    scheduler.plan_step();
    scheduler.cancel(RequestId(2));
    assert_eq!(scheduler.adapter_loaded(1, false).failed, [RequestId(1)]);
    assert!(scheduler.is_idle());
    scheduler.submit(for_adapter(2, 3)).unwrap();
    let plan = scheduler.plan_step();
    let evicted = None;
    assert_eq!(
        plan.adapter_loads,
        [AdapterLoad {
            id: RequestId(3),
            evicted
        }]
    );
}

proptest! {
    /// Adapters that take their time, more of them than fit, in a pool that preempts.
    #[test]
    fn with_any_adapters_every_request_gets_its_whole_reply(
        events in prop::collection::vec((event(), any::<u8>()), 0..150),
        device_slots in 1..4u32, more in 0..3u32, blocks in 10..24u32, tier_blocks in 0..20u32,
    ) {
        let adapters = AdapterLimits { device_slots, host_slots: device_slots + more };
        let tier = (tier_blocks > 9).then_some(TierLimits {
            host_blocks: 0, disk_blocks: tier_blocks, write: WriteMode::Through, min_uses: 1,
        });
        let mut scheduler = Scheduler::new(Limits {
            adapters: Some(adapters), tier, max_batch: 3, ..limits(blocks)
        });
        let mut wanted: BTreeMap<u64, u32> = BTreeMap::new();
        let mut got: BTreeMap<u64, u32> = BTreeMap::new();
        let mut adapter_of: BTreeMap<u64, u64> = BTreeMap::new();
        let mut loads: Vec<u64> = Vec::new();
        let end = std::iter::repeat_n((Event::Step, 7), 5_000);
        for (id, (event, dice)) in events.into_iter().chain(end).enumerate() {
            let id = id as u64;
            if dice % 3 == 1 && !loads.is_empty() {
                let adapter = loads.swap_remove(dice as usize % loads.len());
                let outcome = scheduler.adapter_loaded(adapter, dice % 5 > 0);
                for id in outcome.failed {
                    wanted.remove(&id.0);
                    got.remove(&id.0);
                }
            }
            match event {
                Event::Submit { prompt_from, prompt, reply } => {
                    let adapter = u64::from(dice % 6);
                    let submission = Submission {
                        adapter, speaker: adapter, ..submission(id, &range(prompt_from, prompt), reply)
                    };
                    let tokens = submission.reply.len();
                    if scheduler.submit(submission).is_ok() {
                        wanted.insert(id, tokens);
                        adapter_of.insert(id, adapter);
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
                    for fetch in &plan.fetches {
                        scheduler.fetched(fetch.id, fetch.blocks.len() as u32, &[]);
                    }
                    for load in &plan.adapter_loads {
                        let adapter = adapter_of[&load.id.0];
                        prop_assert!(!loads.contains(&adapter), "read twice");
                        loads.push(adapter);
                    }
                    let in_use: BTreeSet<u64> = plan
                        .slices
                        .iter()
                        .map(|slice| adapter_of[&slice.id.0])
                        .filter(|adapter| *adapter > 0)
                        .collect();
                    prop_assert!(in_use.len() <= device_slots as usize);
                    prop_assert!(in_use.iter().all(|adapter| !loads.contains(adapter)));
                    for emission in scheduler.finish_step(&plan) {
                        *got.entry(emission.id.0).or_default() += 1;
                    }
                    for store in scheduler.take_stores() {
                        if let Store::Disk { hash, .. } = store {
                            scheduler.stored(hash, true);
                        }
                    }
                }
            }
        }
        prop_assert_eq!(got, wanted);
        prop_assert!(scheduler.is_idle());
        prop_assert_eq!(scheduler.tally().blocks_used, 0);
    }

    /// A tier that takes its time, fails at random, and is outlived by requests that are cancelled.
    #[test]
    fn with_a_slow_and_failing_tier_every_request_still_gets_its_whole_reply(
        events in prop::collection::vec((event(), any::<u8>()), 0..150),
        blocks in 10..24u32, host_blocks in 0..6u32, disk_blocks in 0..40u32,
        through in any::<bool>(), min_uses in 1..3u8,
    ) {
        let write = if through { WriteMode::Through } else { WriteMode::Back };
        let tier = TierLimits { host_blocks, disk_blocks, write, min_uses };
        let mut scheduler = Scheduler::new(Limits { tier: Some(tier), max_batch: 3, ..limits(blocks) });
        let mut wanted: BTreeMap<u64, Reply> = BTreeMap::new();
        let mut got: BTreeMap<u64, u32> = BTreeMap::new();
        let mut fetches: Vec<Fetch> = Vec::new();
        let mut stores: Vec<BlockHash> = Vec::new();
        let end = std::iter::repeat_n((Event::Step, 7), 20_000);
        for (id, (event, dice)) in events.into_iter().chain(end).enumerate() {
            let id = id as u64;
            if dice % 3 == 1 && !fetches.is_empty() {
                let fetch = fetches.swap_remove(dice as usize % fetches.len());
                let good = dice as usize % (fetch.blocks.len() + 1);
                let bad: Vec<_> = fetch.blocks.get(good).map(|(hash, _)| *hash).into_iter().collect();
                scheduler.fetched(fetch.id, good as u32, &bad);
            }
            if dice % 2 == 1 && !stores.is_empty() {
                let hash = stores.swap_remove(dice as usize % stores.len());
                scheduler.stored(hash, dice % 5 > 0);
            }
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
                    if scheduler.is_idle() && fetches.is_empty() {
                        continue;
                    }
                    let plan = scheduler.plan_step();
                    fetches.extend(plan.fetches.iter().cloned());
                    for emission in scheduler.finish_step(&plan) {
                        *got.entry(emission.id.0).or_default() += 1;
                    }
                    stores.extend(scheduler.take_stores().iter().filter_map(|store| match store {
                        Store::Disk { hash, .. } => Some(*hash),
                        Store::Host { .. } => None,
                    }));
                }
            }
        }
        let all: BTreeMap<u64, u32> = wanted.iter().map(|(id, reply)| (*id, reply.len())).collect();
        prop_assert_eq!(got, all);
        prop_assert_eq!(scheduler.tally().blocks_used, 0);
    }
}
