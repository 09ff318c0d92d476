//! KV blocks that leave the device, and what it costs to have them back.

use crate::site::{Seen, Site};
use engine::{
    Bytes, Config, Speed,
    profile::Model,
    storage::{
        disk::QueueConfig,
        tier::{DiskTier, KvTier, LeftOver, WriteMode},
    },
};
use load::{Reuse, Texts, Workload};
use std::{num::NonZeroU32, path::Path, time::Duration};

const BLOCK_TOKENS: u32 = 2;
/// The part of a prompt that comes back: ten blocks.
const CONTEXT_TOKENS: u32 = 20;
const CONTEXT_BLOCKS: u64 = (CONTEXT_TOKENS / BLOCK_TOKENS) as u64;
/// Four more blocks are new in every request, and so is the reply.
const PROMPT_TOKENS: u32 = 28;
const REPLY_TOKENS: u32 = 4;
/// What a block is on disk: 72 KiB a token, and a header of 4 KiB.
const FRAME_BYTES: u64 = 2 * 73_728 + 4096;

/// An engine whose device holds so many blocks.
fn config(folder: &Path, blocks: u64, queue: QueueConfig) -> Config {
    let small = Config {
        model: Model::GptOss120b,
        block_tokens: BLOCK_TOKENS,
        // Slow enough for the disk to keep pace with what is evicted.
        speed: Speed::new(4.0).unwrap(),
        max_batch: 8,
        ..Config::default()
    };
    Config {
        kv: Bytes(blocks * small.block_bytes().0),
        kv_tier: Some(KvTier {
            host: Bytes(0),
            disk: Some(DiskTier {
                path: folder.join("tier"),
                size: Bytes(1 << 30),
                left_over: LeftOver::Drop,
                queue,
            }),
            write: WriteMode::Back,
            // What never comes back is not written.
            min_uses: 2,
        }),
        ..small
    }
}

fn storage_bytes(seen: &[Seen]) -> u64 {
    seen.iter().map(|seen| seen.truth.storage_bytes).sum()
}

#[test]
fn spilling_starts_where_the_pool_is_full() {
    const PLANTED: u32 = 24;
    const SWEEP: [u32; 5] = [8, 16, 24, 32, 40];
    let folder = tempfile::tempdir().unwrap();
    // The prompts of all 24 fit exactly, which leaves nothing for replies.
    let blocks = u64::from(PLANTED * PROMPT_TOKENS / BLOCK_TOKENS);
    let site = Site::start(config(folder.path(), blocks, QueueConfig::default()));
    let read = || site.metric("spillpoint:kv_disk_read_bytes_total");
    let mut found = None;
    for users in SWEEP {
        let mut workload = site.workload(PROMPT_TOKENS, REPLY_TOKENS, users.into());
        workload.reuse = Reuse::Groups {
            groups: NonZeroU32::new(users).unwrap(),
            tokens: CONTEXT_TOKENS,
        };
        let before = read();
        let seen = site.ask(users, workload, 6 * users as usize);
        let bytes = storage_bytes(&seen);
        let metric = read() - before;
        println!("{users} users: {bytes} bytes read back, by /metrics {metric}");
        // The metric also has what was read for requests that were cut at the end.
        assert!(metric >= bytes as f64);
        assert_eq!(bytes % FRAME_BYTES, 0);
        assert!(seen.iter().all(|seen| seen.truth.preemptions == 0));
        if bytes > 0 {
            found = found.or(Some(users));
        } else {
            assert_eq!(metric, 0.0);
        }
    }
    println!("spilling starts: planted {PLANTED} users, found {found:?}");
    let step = |users| SWEEP.iter().position(|at| Some(*at) == users).unwrap();
    assert!(step(found).abs_diff(step(Some(PLANTED))) <= 1);
    for fault in ["bad_blocks", "failed_ios"] {
        assert_eq!(site.metric(&format!("spillpoint:kv_{fault}_total")), 0.0);
    }
    // What is still being read may be among the one and not yet among the other.
    let per_block = read() / site.metric("spillpoint:kv_disk_read_blocks_total");
    println!("a block: planted {FRAME_BYTES} bytes, found {per_block}");
    assert!((per_block / FRAME_BYTES as f64 - 1.0).abs() < 0.01);
}

/// Folder of eight texts of 22 tokens each: short words, one token each with the space before it.
fn texts(folder: &Path) -> Texts {
    for text in 0..8u8 {
        let first = char::from(b'a' + text);
        let words: Vec<String> = (0..22).map(|nth| format!("{first}{nth}")).collect();
        let path = folder.join(format!("{text}.txt"));
        std::fs::write(path, words.join(" ")).unwrap();
    }
    Texts::read(folder).unwrap()
}

#[test]
fn a_slow_disk_is_waited_for_as_long_as_planted() {
    const DELAY: Duration = Duration::from_millis(25);
    const DEPTH: u32 = 4;
    let folder = tempfile::tempdir().unwrap();
    let queue = QueueConfig {
        depth: DEPTH,
        read_delay: DELAY,
        ..QueueConfig::default()
    };
    // Room for three of the eight prompts: each is gone when its turn comes again.
    let site = Site::start(config(folder.path(), 40, queue));
    let mut workload = Workload::new(22, REPLY_TOKENS, 1, 1);
    workload.texts = Some(texts(folder.path()));
    let seen = site.ask(1, workload, 48);
    let mut whole = Vec::new();
    for seen in &seen {
        let truth = &seen.truth;
        assert_eq!(truth.storage_bytes % FRAME_BYTES, 0);
        let blocks = truth.storage_bytes / FRAME_BYTES;
        let planted = DELAY * u32::try_from(blocks).unwrap().div_ceil(DEPTH);
        let wait = Duration::from_micros(truth.storage_wait_us);
        let ttft = seen.row.ttft.unwrap();
        // Each span lies within the next: planted, waited, scheduled, and what the client saw.
        assert!(
            wait >= planted && (blocks > 0 || wait.is_zero()),
            "{truth:?}"
        );
        let scheduled = truth.scheduled_ns.unwrap();
        assert!(scheduled.since(truth.arrival_ns) >= wait, "{truth:?}");
        assert!(seen.sent(site.clock) <= truth.arrival_ns);
        assert!(truth.token_ns[0] >= scheduled);
        assert!(seen.sent(site.clock).plus(ttft + STAMP_ERROR) >= truth.token_ns[0]);
        if blocks == CONTEXT_BLOCKS {
            assert_eq!(truth.cached_tokens, CONTEXT_TOKENS);
            whole.push((planted, wait, ttft));
        }
    }
    // Computed once, and once more before it is worth the disk: from then on, read every time.
    assert!(whole.len() >= 16, "{} were read back whole", whole.len());
    whole.sort();
    for (place, at) in [("least", 0), ("median", whole.len() / 2)] {
        let (planted, wait, ttft) = whole[at];
        println!(
            "a slow disk, {place}: planted {planted:?}, waited {wait:?} of a TTFT of {ttft:?}"
        );
    }
}

/// The kernel stamps arrivals by CLOCK_REALTIME, which is mapped onto CLOCK_MONOTONIC by a pair of
/// readings, which errs by no more than their distance: a microsecond, unless the thread is put off
/// the CPU between the two.
const STAMP_ERROR: Duration = Duration::from_millis(1);
