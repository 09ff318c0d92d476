//! Streams of each server, as recorded from it or, where none could be run, written in the shapes
//! that its source gives; and what is read of them.
//!
//! Recorded: `llamacpp-*` (llama.cpp's HTTP server, SmolLM2-135M), `vllm-*` (vLLM 0.32 on CPU, a tiny
//! model with a byte-level tokenizer). Written: all others.

use crate::{
    dialect::Api,
    exchange::{Exchange, Failed, Seen, Stamp},
};
use clock::MonoNs;
use record::{Failure, StampSource};
use std::time::Duration;

/// Reads the events, each arriving a millisecond after the one before.
fn read(api: Api, transcript: &str) -> Result<Seen, Failed> {
    let mut exchange = Exchange::new(api, MonoNs(0));
    let stamp = |ms: u64| Stamp {
        arrival: MonoNs(ms * 1_000_000),
        read: MonoNs(ms * 1_000_000),
        source: StampSource::Kernel,
    };
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    exchange.feed(head, stamp(0))?;
    for (ms, event) in (1..).zip(transcript.split_inclusive("\n\n")) {
        exchange.feed(event.as_bytes(), stamp(ms))?;
    }
    exchange.close()?;
    assert!(exchange.seen.answered.is_some());
    Ok(exchange.seen)
}

/// What a stream amounts to: token-bearing chunks; the events of the first, of the first of the
/// answer, and of the last of them; tokens out, in and cached.
type Gist = (usize, [u128; 3], [Option<u32>; 3]);

fn gist(api: Api, transcript: &str) -> Gist {
    let seen = read(api, transcript).unwrap();
    let event = |time: Option<Duration>| time.unwrap().as_millis();
    let times = [seen.ttft(), seen.ttfa, seen.e2e()].map(event);
    let usage = seen.usage.unwrap();
    let counts = [
        usage.completion_tokens,
        usage.prompt_tokens,
        usage.cached_tokens(),
    ];
    (seen.chunks.len(), times, counts)
}

#[test]
fn llama_cpp_closes_with_a_chunk_that_is_no_token() {
    assert_eq!(
        gist(Api::Completions, include_str!("llamacpp-completions.sse")),
        (3, [1, 1, 3], [Some(3), Some(5), Some(3)])
    );
    assert_eq!(
        gist(Api::Chat, include_str!("llamacpp-chat.sse")),
        (4, [2, 2, 5], [Some(4), Some(33), Some(32)])
    );
}

#[test]
fn vllm_sends_a_chunk_a_token_also_without_text() {
    assert_eq!(
        gist(Api::Completions, include_str!("vllm-completions.sse")),
        (6, [1, 1, 6], [Some(6), Some(2), None])
    );
    assert_eq!(
        gist(Api::Chat, include_str!("vllm-chat.sse")),
        (6, [2, 2, 7], [Some(6), Some(19), None])
    );
}

#[test]
fn trtllm_sends_a_chunk_a_step_and_may_leave_the_text_out() {
    assert_eq!(
        gist(Api::Completions, include_str!("trtllm-completions.sse")),
        (4, [1, 1, 4], [Some(4), Some(5), Some(3)])
    );
    let ids = include_str!("trtllm-token-ids.sse");
    assert_eq!(
        gist(Api::Completions, ids),
        (3, [1, 1, 3], [Some(4), Some(5), None])
    );
    assert_eq!(
        read(Api::Completions, ids).unwrap().first_chunk_tokens,
        Some(1)
    );
}

#[test]
fn harmony_reasons_before_it_answers() {
    assert_eq!(
        gist(Api::Chat, include_str!("trtllm-harmony-chat.sse")),
        (4, [2, 4, 5], [Some(11), Some(70), None])
    );
}

#[test]
fn a_tool_call_is_an_answer() {
    assert_eq!(
        gist(Api::Chat, include_str!("openai-tool-call.sse")),
        (3, [2, 2, 4], [Some(14), Some(40), None])
    );
}

#[test]
fn sglang_gives_its_reason_with_the_last_token() {
    assert_eq!(
        gist(Api::Completions, include_str!("sglang-completions.sse")),
        (2, [1, 1, 2], [Some(2), Some(5), None])
    );
}

#[test]
fn triton_ends_with_the_body() {
    assert_eq!(
        gist(Api::Triton, include_str!("triton.sse")),
        (3, [1, 1, 3], [Some(3), Some(5), None])
    );
}

#[test]
fn triton_may_fail_under_status_200() {
    let failed = read(Api::Triton, include_str!("triton-error.sse")).unwrap_err();
    assert_eq!(failed.failure, Failure::Status);
    assert!(failed.words.contains("LoRA task 7"));
}

#[test]
fn a_stream_that_is_cut_is_truncated_in_every_dialect_but_tritons() {
    let cut = |api, text: &str| {
        let events = text.trim_end().rfind("\n\n").unwrap();
        read(api, &text[..events + 2])
    };
    let failure = |api, text| cut(api, text).unwrap_err().failure;
    let text = include_str!("trtllm-completions.sse");
    assert_eq!(failure(Api::Completions, text), Failure::Truncated);
    assert_eq!(
        failure(Api::Chat, include_str!("vllm-chat.sse")),
        Failure::Truncated
    );
    // It has no mark of its end: only the missing end of the HTTP framing can tell.
    assert!(cut(Api::Triton, include_str!("triton.sse")).is_ok());
}
