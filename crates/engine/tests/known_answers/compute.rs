//! Nothing but compute.

use crate::site::{Seen, Site};
use engine::{
    Config, Speed,
    profile::{Machine, Model},
    roofline::{Roofline, StepWork},
};
use std::time::Duration;

const PROMPT_TOKENS: u32 = 100;
const REPLY_TOKENS: u32 = 64;
const HALF: usize = REPLY_TOKENS as usize / 2;
const SPEED: f64 = 10.0;

fn site() -> Site {
    Site::start(Config {
        speed: Speed::new(SPEED).unwrap(),
        ..Config::default()
    })
}

/// A step in which each of a batch makes the token that follows so many.
fn step(batch: u32, context_tokens: u32) -> Duration {
    let roofline = Roofline::new(Machine::GB10, Model::default().profile(), SPEED);
    let work = StepWork {
        new_tokens: 1,
        context_tokens,
    };
    roofline.step_time((0..batch).map(|_| work))
}

/// By how many nanoseconds the second half of a reply runs behind the first, against the roofline.
///
/// A token comes when its step was due, or later. So the one of a half that is earliest, against
/// the roofline, was late by no more than that half's tokens are on average.
fn drift_ns(seen: &Seen) -> i64 {
    let tokens = &seen.truth.token_ns;
    assert_eq!(tokens.len(), REPLY_TOKENS as usize);
    assert_eq!(seen.tokens.chunks.len(), tokens.len());
    let mut modelled = Duration::ZERO;
    let mut behind = Vec::new();
    for (context, token) in (PROMPT_TOKENS..).zip(tokens) {
        if *token > tokens[0] {
            modelled += step(1, context);
        }
        let took = token.since(tokens[0]);
        behind.push(took.as_nanos() as i64 - modelled.as_nanos() as i64);
    }
    let (first, second) = behind.split_at(HALF);
    second.iter().min().unwrap() - first.iter().min().unwrap()
}

/// How late the engine says that steps ended in all, and by how much it began some of them late.
fn lateness(site: &Site) -> [Duration; 2] {
    let late = site.metric("spillpoint:step_lateness_seconds_total");
    let held_up = site.metric("spillpoint:step_held_up_seconds_total");
    [late, held_up].map(Duration::from_secs_f64)
}

fn used_no_storage(site: &Site, seen: &[Seen]) {
    for seen in seen {
        assert_eq!(seen.truth.storage_bytes, 0);
        assert_eq!(seen.truth.storage_wait_us, 0);
        assert_eq!(seen.truth.preemptions, 0);
    }
    let page = site.get("/metrics");
    for storage in ["kv_disk", "kv_host", "adapter_read"] {
        assert!(!page.contains(storage), "{storage} in {page}");
    }
    let paged = site.metric("spillpoint:weights_paged_bytes_total");
    assert_eq!(paged, 0.0);
}

#[test]
fn one_stream_is_as_fast_as_the_roofline() {
    let site = site();
    let workload = site.workload(PROMPT_TOKENS, REPLY_TOKENS, 1);
    let seen = site.ask(1, workload, 8);
    used_no_storage(&site, &seen);
    let planted: Duration = (1..REPLY_TOKENS)
        .map(|nth| step(1, PROMPT_TOKENS + nth))
        .sum();
    let [late, held_up] = lateness(&site);
    let bound = held_up + late / HALF as u32;
    let drifts: Vec<i64> = seen.iter().map(drift_ns).collect();
    println!("one stream: planted {planted:?}, found it off by {drifts:?} ns; bound {bound:?}");
    for drift in drifts {
        assert!(u128::from(drift.unsigned_abs()) <= bound.as_nanos());
    }
}

#[test]
fn a_batch_is_never_faster_than_the_roofline() {
    const USERS: u32 = 8;
    let site = site();
    let workload = site.workload(PROMPT_TOKENS, REPLY_TOKENS, 1);
    let seen = site.ask(USERS, workload, 32);
    used_no_storage(&site, &seen);
    let first = seen.iter().map(|seen| seen.truth.token_ns[0]).min();
    let last = seen
        .iter()
        .filter_map(|seen| seen.truth.token_ns.last())
        .max();
    let took = last.unwrap().since(first.unwrap());
    // A step makes one token for each user at most, and the first one's tokens came before `took`.
    let tokens = seen.len() as u32 * REPLY_TOKENS - USERS;
    let planted = step(USERS, PROMPT_TOKENS) * tokens / USERS;
    let rate = |span: Duration| f64::from(tokens) / span.as_secs_f64();
    let (most, found) = (rate(planted), rate(took));
    println!("a batch of {USERS}: at most {most:.0} tokens/s, found {found:.0}");
    let [late, _] = lateness(&site);
    assert!(took + late >= planted);
}
