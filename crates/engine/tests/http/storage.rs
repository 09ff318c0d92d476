//! Real storage under the engine.

use crate::{
    client::{Answer, connect, get, post, send},
    engine::{Engine, completion},
};
use engine::{
    Bytes, Config, Speed,
    profile::Model,
    serve,
    storage::{
        adapters::{self, AdapterLimits, Adapters, NamedAdapter},
        disk::{IoEngine, QueueConfig},
        tier::{DiskTier, KvTier, LeftOver, WriteMode},
        weights::{Weights, WeightsLoad, create},
    },
};
use serde_json::{Value, json};
use std::{
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

fn weights(load: WeightsLoad, path: &Path) -> Config {
    Config {
        weights: Some(Weights {
            path: path.to_owned(),
            load,
            size: None,
        }),
        speed: Speed::new(1000.0).unwrap(),
        model: Model::GptOss120b,
        ..Config::default()
    }
}

#[test]
fn weights_are_read_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    create(&path, Bytes(4 << 20)).unwrap();
    let engine = Engine::start(weights(WeightsLoad::Buffered, &path));
    assert_eq!(
        engine.metric("spillpoint:weights_loaded_bytes"),
        f64::from(4 << 20)
    );
}

#[test]
fn mapped_weights_that_change_stop_the_engine_and_end_its_streams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    create(&path, Bytes(4 << 20)).unwrap();
    let (ready, address) = mpsc::channel();
    let config = weights(WeightsLoad::Mapped, &path);
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let ready = move |address| ready.send(address).unwrap();
        runtime.block_on(serve(config, ready, std::future::pending()))
    });
    let address = address.recv().unwrap();
    let body = json!({"prompt": "x", "max_tokens": 120_000, "ignore_eos": true, "stream": true});
    let mut socket = connect(address);
    socket.write_all(completion("w", &body).as_bytes()).unwrap();
    assert!(socket.read(&mut [0; 64]).unwrap() > 0);
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let mut rest = Vec::new();
    // Whether the end is orderly or a reset, it is no [DONE].
    let _ = socket.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"data: [DONE]\n\n\r\n0\r\n\r\n"));
    let error = server.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("changed while the engine ran"), "{error}");
}

/// A device of 16 blocks of 2 MiB over a disk of 64.
fn tiered(path: &Path, io: IoEngine, left_over: LeftOver) -> Config {
    Config {
        kv: Bytes(32 << 20),
        speed: Speed::new(1000.0).unwrap(),
        kv_tier: Some(KvTier {
            host: Bytes(0),
            disk: Some(DiskTier {
                path: path.to_owned(),
                size: Bytes(144 << 20),
                left_over,
                queue: QueueConfig {
                    io,
                    depth: 8,
                    ..QueueConfig::default()
                },
            }),
            write: WriteMode::Through,
            min_uses: 1,
        }),
        ..Config::default()
    }
}

/// Ten blocks and a bit, different for each `n`.
fn prompt(n: u32) -> Value {
    let ids: Vec<u32> = (n * 1000..n * 1000 + 161).collect();
    json!({"prompt": ids, "max_tokens": 1})
}

fn cached(engine: &Engine, id: &str, n: u32) -> u64 {
    let answer = send(engine.address, &completion(id, &prompt(n))).json();
    answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        .as_u64()
        .unwrap()
}

/// Waits until that many blocks are on disk.
fn wait_for_writes(engine: &Engine, blocks: f64) {
    for _ in 0..2000 {
        if engine.metric("spillpoint:kv_disk_written_blocks_total") >= blocks {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the blocks were not written");
}

fn evict_and_come_back(io: IoEngine) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let engine = Engine::start(tiered(&path, io, LeftOver::Drop));
    for n in 0..3 {
        assert_eq!(cached(&engine, "first", n), 0);
    }
    wait_for_writes(&engine, 30.0);
    assert_eq!(cached(&engine, "again", 0), 160);
    // Each block is 16 tokens of 128 KiB and a header of 4 KiB.
    let bytes = 10 * ((2 << 20) + 4096);
    let read = engine.metric("spillpoint:kv_disk_read_bytes_total");
    assert_eq!(read, f64::from(bytes));
    let truth = engine.truth("again");
    assert_eq!(truth["storage_bytes"], bytes);
    assert_eq!(truth["cached_tokens"], 160);
    assert_eq!(
        engine.metric("vllm:external_prefix_cache_hits_total"),
        160.0
    );
}

#[test]
fn evicted_blocks_come_back_from_disk_byte_for_byte() {
    evict_and_come_back(IoEngine::Auto);
}

#[test]
fn evicted_blocks_come_back_by_threads_too() {
    evict_and_come_back(IoEngine::Threads);
}

#[test]
fn a_planted_delay_of_the_disk_is_in_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let mut config = tiered(&path, IoEngine::Auto, LeftOver::Drop);
    let delay = Duration::from_millis(30);
    if let Some(disk) = config.kv_tier.as_mut().and_then(|tier| tier.disk.as_mut()) {
        disk.queue.read_delay = delay;
    }
    let engine = Engine::start(config);
    for n in 0..3 {
        cached(&engine, "first", n);
    }
    wait_for_writes(&engine, 30.0);
    assert_eq!(cached(&engine, "again", 0), 160);
    let truth = engine.truth("again");
    // Ten blocks, eight at a time.
    let waited = Duration::from_micros(truth["storage_wait_us"].as_u64().unwrap());
    assert!(waited >= 2 * delay, "{truth}");
    let ns = |name: &str| truth[name].as_u64().unwrap();
    assert!(Duration::from_nanos(ns("scheduled_ns") - ns("arrival_ns")) >= 2 * delay);
}

#[test]
fn a_memory_tier_serves_without_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let mut config = tiered(&path, IoEngine::Auto, LeftOver::Drop);
    config.kv_tier = Some(KvTier {
        host: Bytes(80 << 20),
        disk: None,
        write: WriteMode::Back,
        min_uses: 1,
    });
    let engine = Engine::start(config);
    for n in 0..3 {
        cached(&engine, "first", n);
    }
    assert_eq!(cached(&engine, "again", 0), 160);
    assert_eq!(engine.metric("spillpoint:kv_host_read_blocks_total"), 10.0);
    assert_eq!(engine.truth("again")["storage_bytes"], 0);
}

#[test]
fn a_damaged_block_is_computed_again_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let engine = Engine::start(tiered(&path, IoEngine::Auto, LeftOver::Drop));
    for n in 0..3 {
        cached(&engine, "first", n);
    }
    wait_for_writes(&engine, 30.0);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for slot in 0..30 {
        let at = 4096 + slot * ((2 << 20) + 4096) + 8192;
        file.write_all_at(b"damage", at).unwrap();
    }
    assert_eq!(cached(&engine, "again", 0), 0);
    assert_eq!(engine.metric("spillpoint:kv_bad_blocks_total"), 10.0);
    let whole = send(engine.address, &completion("last", &prompt(0)));
    assert_eq!(whole.status, 200);
}

#[test]
fn a_tier_that_an_earlier_engine_left_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let engine = Engine::start(tiered(&path, IoEngine::Auto, LeftOver::Drop));
    cached(&engine, "first", 0);
    wait_for_writes(&engine, 10.0);
    drop(engine);
    let engine = Engine::start(tiered(&path, IoEngine::Auto, LeftOver::Reuse));
    assert_eq!(cached(&engine, "again", 0), 160);
    let counted = post(engine.address, "/tokenize", r#"{"prompt":"x"}"#).json();
    assert_eq!(counted["count"], 1);
}

#[test]
fn a_tier_left_by_a_kill_is_checked_before_it_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tier");
    let engine = Engine::start(tiered(&path, IoEngine::Auto, LeftOver::Drop));
    cached(&engine, "first", 0);
    wait_for_writes(&engine, 10.0);
    drop(engine);
    // A kill in the midst of writing: the headers are whole, the keys and values are not.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for slot in 0..10 {
        let end = 4096 + (slot + 1) * ((2 << 20) + 4096);
        file.write_all_at(&[0; 8192], end - 8192).unwrap();
    }
    let engine = Engine::start(tiered(&path, IoEngine::Auto, LeftOver::Reuse));
    assert_eq!(cached(&engine, "again", 0), 0);
    assert_eq!(engine.metric("spillpoint:kv_bad_blocks_total"), 10.0);
    // Computed anew, and whole from then on.
    assert_eq!(cached(&engine, "after", 0), 160);
    assert_eq!(engine.metric("spillpoint:kv_bad_blocks_total"), 10.0);
}

#[test]
fn a_tier_without_room_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = tiered(&folder.path().join("tier"), IoEngine::Auto, LeftOver::Drop);
    if let Some(disk) = config.kv_tier.as_mut().and_then(|tier| tier.disk.as_mut()) {
        disk.size = Bytes(1 << 50);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(serve(config, |_| (), std::future::pending()));
    let error = served.unwrap_err().to_string();
    assert!(error.contains("make it smaller"), "{error}");
}

/// An engine with places for four adapters, of sixteen that exist.
fn with_adapters(folder: &Path) -> Engine {
    let profile = Model::Llama31_8b.profile();
    let known = (0..16)
        .map(|n| {
            let path = folder.join(format!("adapter{n}"));
            adapters::create(&path, &profile, 1).unwrap();
            NamedAdapter {
                name: format!("a{n}"),
                path,
            }
        })
        .collect();
    Engine::start(Config {
        speed: Speed::new(1000.0).unwrap(),
        adapters: Some(Adapters {
            known,
            limits: AdapterLimits {
                device_slots: 4,
                host_slots: 4,
            },
            direct: false,
        }),
        ..Config::default()
    })
}

fn ask(engine: &Engine, adapter: &str) -> Answer {
    let body = json!({"model": adapter, "prompt": "x", "max_tokens": 2, "ignore_eos": true});
    send(engine.address, &completion(adapter, &body))
}

#[test]
fn a_storm_over_sixteen_adapters_reads_one_file_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let engine = with_adapters(folder.path());
    let mut answers = std::collections::BTreeSet::new();
    for n in 0..32 {
        let answer = ask(&engine, &format!("a{}", n % 16)).json();
        answers.insert(answer["choices"][0]["text"].to_string());
    }
    assert_eq!(answers.len(), 16, "each adapter has its own answer");
    let misses = engine
        .metric("spillpoint:adapter_requests_total{model_name=\"llama-3.1-8b\",found=\"disk\"}");
    assert_eq!(misses, 32.0);
    let bytes = adapters::adapter_bytes(&Model::Llama31_8b.profile(), 1).0;
    let read = engine.metric("spillpoint:adapter_read_bytes_total");
    assert_eq!(read, (32 * bytes) as f64);
    assert_eq!(engine.truth("a3")["storage_bytes"], bytes);
    assert!(engine.metric("vllm:lora_requests_info") > 0.0);
    // One that is still there is not read again.
    ask(&engine, "a15");
    let read = engine.metric("spillpoint:adapter_read_bytes_total");
    assert_eq!(read, (32 * bytes) as f64);
}

#[test]
fn adapters_come_and_go_at_run_time() {
    let folder = tempfile::tempdir().unwrap();
    let engine = with_adapters(folder.path());
    let path = folder.path().join("adapter0");
    let load = json!({"lora_name": "new", "lora_path": path}).to_string();
    let answer = post(engine.address, "/v1/load_lora_adapter", &load);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        "Success: LoRA adapter 'new' added successfully."
    );
    assert_eq!(
        post(engine.address, "/v1/load_lora_adapter", &load).status,
        400
    );
    let models = get(engine.address, "/v1/models").json();
    let cards = models["data"].as_array().unwrap();
    assert_eq!(cards.len(), 18);
    assert_eq!(cards[17]["parent"], "llama-3.1-8b");
    assert_eq!(ask(&engine, "new").status, 200);
    let unload = json!({"lora_name": "new"}).to_string();
    let answer = post(engine.address, "/v1/unload_lora_adapter", &unload);
    assert_eq!(
        answer.body,
        "Success: LoRA adapter 'new' removed successfully."
    );
    assert_eq!(ask(&engine, "new").status, 404);
    assert_eq!(
        post(engine.address, "/v1/unload_lora_adapter", &unload).status,
        404
    );
    let nowhere = json!({"lora_name": "n", "lora_path": "/nowhere"}).to_string();
    assert_eq!(
        post(engine.address, "/v1/load_lora_adapter", &nowhere).status,
        404
    );
}

#[test]
fn an_adapter_that_vanished_fails_its_requests_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let engine = with_adapters(folder.path());
    std::fs::remove_file(folder.path().join("adapter2")).unwrap();
    let answer = ask(&engine, "a2");
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("adapter2"), "{}", answer.body);
    let body = json!({"model": "a2", "prompt": "x", "max_tokens": 2, "stream": true});
    let stream = send(engine.address, &completion("s", &body));
    assert!(stream.body.starts_with("data: {\"error\"") && !stream.body.contains("[DONE]"));
    assert_eq!(ask(&engine, "a1").status, 200);
}
