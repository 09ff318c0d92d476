//! The engine over a real socket: protocol, queueing, cancellation and truth. No test asserts how
//! long anything took, only in which order it happened.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod engine;
mod storage;

use ::engine::{Bytes, Config, Speed};
use client::{connect, get, post, send};
use engine::{Engine, completion};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    thread,
};

#[test]
fn a_completion_streams_one_chunk_a_token_and_counts_them() {
    let engine = Engine::fast();
    let body = json!({
        "prompt": "the quick brown fox", "max_tokens": 6, "ignore_eos": true, "temperature": 0,
        "stream": true, "stream_options": {"include_usage": true},
    });
    let answer = send(engine.address, &completion("one", &body));
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/event-stream"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("x-request-id: one"), "{}", answer.head);
    let events = answer.events();
    assert_eq!(events.len(), 7);
    assert_eq!(answer.chunks, 8, "each event and [DONE] in its own chunk");
    let text: String = events
        .iter()
        .filter_map(|e| e["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(events[5]["choices"][0]["finish_reason"], "length");
    let usage = &events[6]["usage"];
    assert_eq!(events[6]["choices"], json!([]));
    // "quick" and "brown" have five letters, hence two tokens each.
    assert_eq!(
        *usage,
        json!({"prompt_tokens": 6, "completion_tokens": 6, "total_tokens": 12,
               "prompt_tokens_details": {"cached_tokens": 0}})
    );
    let counted = post(
        engine.address,
        "/tokenize",
        &json!({"prompt": text}).to_string(),
    )
    .json();
    assert_eq!(counted["count"], 6);
    let back = json!({"tokens": counted["tokens"]}).to_string();
    assert_eq!(
        post(engine.address, "/detokenize", &back).json()["prompt"],
        text
    );
}

#[test]
fn chat_opens_with_the_role_and_agrees_with_its_whole_answer() {
    let engine = Engine::fast();
    let mut body = json!({
        "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 5,
        "ignore_eos": true,
    });
    let whole = post(engine.address, "/v1/chat/completions", &body.to_string()).json();
    assert_eq!(whole["object"], "chat.completion");
    let content = whole["choices"][0]["message"]["content"].as_str().unwrap();
    body["stream"] = json!(true);
    let events = post(engine.address, "/v1/chat/completions", &body.to_string()).events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    let streamed: String = events[1..]
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(streamed, content);
    assert_eq!(events.len(), 6, "no usage was asked for");
    let messages = json!({"messages": body["messages"]}).to_string();
    let counted = post(engine.address, "/tokenize", &messages).json();
    assert_eq!(counted["count"], whole["usage"]["prompt_tokens"]);
}

#[test]
fn an_equal_prompt_is_answered_from_the_prefix_cache() {
    let engine = Engine::fast();
    let body = json!({"prompt": (0..64).collect::<Vec<u32>>(), "max_tokens": 1}).to_string();
    let cached = || {
        let answer = post(engine.address, "/v1/completions", &body).json();
        answer["usage"]["prompt_tokens_details"]["cached_tokens"].clone()
    };
    assert_eq!(cached(), 0);
    assert_eq!(cached(), 48);
    assert_eq!(engine.metric("vllm:prefix_cache_hits_total"), 48.0);
}

#[test]
fn the_truth_is_ordered_and_given_once() {
    let engine = Engine::fast();
    let body = json!({"prompt": "hello", "max_tokens": 4, "ignore_eos": true, "stream": true});
    send(engine.address, &completion("t", &body));
    let truth = engine.truth("t");
    let ns = |value: &Value| value.as_u64().unwrap();
    let times: Vec<u64> = [&truth["arrival_ns"], &truth["scheduled_ns"]]
        .into_iter()
        .chain(truth["token_ns"].as_array().unwrap())
        .map(ns)
        .collect();
    assert!(times.is_sorted(), "{truth}");
    assert_eq!(truth["prefill_done_ns"], truth["token_ns"][0]);
    let sent = truth["sent_ns"].as_array().unwrap();
    assert_eq!(sent.len(), 4);
    let tokens = truth["token_ns"].as_array().unwrap();
    assert!(
        sent.iter()
            .zip(tokens)
            .all(|(sent, made)| ns(sent) >= ns(made))
    );
    assert_eq!(truth["outcome"], "length");
    assert_eq!(truth["storage_bytes"], 0);

    let drained = get(engine.address, "/truth").json();
    assert_eq!(drained["requests"].as_array().unwrap().len(), 1);
    assert_eq!(get(engine.address, "/truth").json()["requests"], json!([]));
}

#[test]
fn a_batch_of_one_serves_in_order_of_arrival() {
    let engine = Engine::start(Config {
        max_batch: 1,
        speed: Speed::new(100.0).unwrap(),
        ..Config::default()
    });
    let address = engine.address;
    let body = json!({"prompt": "x", "max_tokens": 20, "ignore_eos": true, "stream": true});
    let clients: Vec<_> = (0..3)
        .map(|n| {
            let request = completion(&format!("q{n}"), &body);
            thread::spawn(move || send(address, &request).events().len())
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 20);
    }
    let mut spans: Vec<(u64, u64)> = (0..3)
        .map(|n| {
            let truth = engine.truth(&format!("q{n}"));
            let last = truth["token_ns"][19].as_u64().unwrap();
            (truth["scheduled_ns"].as_u64().unwrap(), last)
        })
        .collect();
    spans.sort_unstable();
    assert!(
        spans.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "{spans:?}"
    );
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let engine = Engine::start(Config {
        max_batch: 1,
        ..Config::default()
    });
    let body = json!({"prompt": "x", "max_tokens": 100_000, "ignore_eos": true, "stream": true});
    let mut gone = connect(engine.address);
    gone.write_all(completion("gone", &body).as_bytes())
        .unwrap();
    let mut first = [0; 512];
    assert!(gone.read(&mut first).unwrap() > 0);
    drop(gone);
    // It has the only place in the batch, so this would not be answered for half an hour.
    let next = json!({"prompt": "y", "max_tokens": 1});
    assert_eq!(send(engine.address, &completion("next", &next)).status, 200);
    assert_eq!(engine.truth("gone")["outcome"], "aborted");
    assert_eq!(engine.metric("vllm:kv_cache_usage_perc"), 0.0);
}

#[test]
fn a_small_pool_preempts_and_still_answers_all() {
    let engine = Engine::start(Config {
        kv: Bytes(16 << 20),
        speed: Speed::new(1000.0).unwrap(),
        ..Config::default()
    });
    let address = engine.address;
    let clients: Vec<_> = (0..4u32)
        .map(|n| {
            let prompt: Vec<u32> = (n * 100..n * 100 + 30).collect();
            let body = json!({"prompt": prompt, "max_tokens": 60, "ignore_eos": true});
            let request = completion(&format!("p{n}"), &body);
            thread::spawn(move || {
                send(address, &request).json()["usage"]["completion_tokens"].clone()
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 60);
    }
    assert!(engine.metric("vllm:num_preemptions_total") > 0.0);
}

#[test]
fn refusals_have_vllms_shape() {
    let engine = Engine::start(Config {
        max_model_tokens: 64,
        ..Config::default()
    });
    let completions = "/v1/completions";
    let table = [
        (completions, r#"{"model":"#, 400),
        (completions, r#"{"prompt":"a","max_tokens":"x"}"#, 400),
        (completions, r#"{"max_tokens":1}"#, 400),
        (completions, r#"{"model":"nosuch","prompt":"a"}"#, 404),
        (completions, r#"{"prompt":"a","max_tokens":64}"#, 400),
        (completions, r#"{"prompt":"a","n":2}"#, 400),
        (completions, r#"{"prompt":"a","stream_options":{}}"#, 400),
        ("/v1/chat/completions", r#"{"messages":[]}"#, 400),
        ("/nowhere", "{}", 404),
        ("/health", "{}", 405),
    ];
    let mut seen = String::new();
    for (path, body, status) in table {
        let answer = post(engine.address, path, body);
        assert_eq!(answer.status, status, "{path} {body} {}", answer.body);
        seen += &format!("{}\n", answer.body);
    }
    insta::assert_snapshot!(seen);
    assert_eq!(engine.metric("vllm:num_requests_running"), 0.0);
}

#[test]
fn the_model_says_that_its_compute_is_modelled() {
    let engine = Engine::fast();
    let models = get(engine.address, "/v1/models").json();
    let card = &models["data"][0];
    assert_eq!(card["owned_by"], "spillpoint");
    assert_eq!(card["compute"], "modelled");
    assert_eq!(card["id"], "llama-3.1-8b");
    assert_eq!(get(engine.address, "/health").status, 200);
    let version = get(engine.address, "/version").json();
    assert!(
        version["version"]
            .as_str()
            .unwrap()
            .starts_with("spillpoint-")
    );
}

#[test]
fn metrics_are_prometheus_text_under_vllms_names() {
    let engine = Engine::fast();
    let body = json!({"prompt": "one two three", "max_tokens": 3, "ignore_eos": true}).to_string();
    post(engine.address, "/v1/completions", &body);
    let page = get(engine.address, "/metrics").body;
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
    assert_eq!(engine.metric("vllm:generation_tokens_total"), 3.0);
    assert_eq!(engine.metric("vllm:prompt_tokens_total"), 4.0);
    assert_eq!(engine.metric("vllm:time_to_first_token_seconds_count"), 1.0);
}
