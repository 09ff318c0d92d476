//! More adapters than places.

use crate::site::Site;
use engine::{
    Config, Speed,
    profile::Model,
    storage::adapters::{self, AdapterLimits, NamedAdapter},
};
use load::{Adapter, AdapterPolicy, Adapters, LoraDialect};
use std::{collections::VecDeque, path::Path};

const ADAPTERS: usize = 16;
const PLACES: u32 = 4;
const REQUESTS: usize = 64;

fn site(folder: &Path) -> Site {
    let profile = Model::Llama31_8b.profile();
    let known = (0..ADAPTERS)
        .map(|n| {
            let path = folder.join(format!("adapter{n}"));
            adapters::create(&path, &profile, 1).unwrap();
            let name = format!("a{n}");
            NamedAdapter { name, path }
        })
        .collect();
    let limits = AdapterLimits {
        device_slots: PLACES,
        host_slots: PLACES,
    };
    Site::start(Config {
        speed: Speed::new(1000.0).unwrap(),
        adapters: Some(adapters::Adapters {
            known,
            limits,
            direct: false,
        }),
        ..Config::default()
    })
}

/// Which of the requests a cache of so many places misses that gives up the least recently used.
fn misses(asked: &[String], places: usize) -> Vec<bool> {
    let mut held: VecDeque<&String> = VecDeque::new();
    let mut miss = |name| {
        let place = held.iter().position(|held| *held == name);
        if let Some(place) = place {
            held.remove(place);
        }
        held.push_back(name);
        if held.len() > places {
            held.pop_front();
        }
        place.is_none()
    };
    asked.iter().map(&mut miss).collect()
}

/// One user asks, so that the order is known; the policy decides what the cache can keep.
fn as_planted(policy: AdapterPolicy) {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let mut workload = site.workload(20, 2, 1);
    let list = (0..ADAPTERS).map(|n| Adapter {
        name: format!("a{n}"),
        path: None,
    });
    let adapters = Adapters::new(list.collect(), LoraDialect::Model, policy, 1).unwrap();
    workload.adapters = Some(adapters);
    let seen = site.ask(1, workload, REQUESTS);
    let asked: Vec<String> = seen
        .iter()
        .map(|seen| seen.row.adapter.clone().unwrap())
        .collect();
    let planted = misses(&asked, PLACES as usize);
    let bytes = adapters::adapter_bytes(&Model::Llama31_8b.profile(), 1).0;
    for (seen, missed) in seen.iter().zip(&planted) {
        let wanted = if *missed { bytes } else { 0 };
        assert_eq!(seen.truth.storage_bytes, wanted, "{:?}", seen.row);
    }
    let planted = planted.iter().filter(|missed| **missed).count() as f64;
    let found = site
        .metric("spillpoint:adapter_requests_total{model_name=\"llama-3.1-8b\",found=\"disk\"}");
    let per_miss = site.metric("spillpoint:adapter_read_bytes_total") / found;
    println!("{policy:?}: planted {planted} misses of {bytes} bytes, found {found} of {per_miss}");
    // The request that was cut at the end may have been one more.
    assert!((planted..=planted + 1.0).contains(&found));
    assert!((per_miss / bytes as f64 - 1.0).abs() < 0.01);
}

#[test]
fn a_storm_misses_every_time() {
    as_planted(AdapterPolicy::Storm);
}

#[test]
fn random_adapters_miss_as_often_as_the_least_recently_used_rule_says() {
    as_planted(AdapterPolicy::Zipf { alpha: 1.0 });
}

#[test]
fn the_reference_gives_up_the_least_recently_used() {
    let asked: Vec<String> = "abcabdacb".chars().map(String::from).collect();
    // With three places: a b c miss, a b hit, d takes c's, a hits, c takes b's, b takes d's.
    let wanted = [true, true, true, false, false, true, false, true, true];
    assert_eq!(misses(&asked, 3), wanted);
}
