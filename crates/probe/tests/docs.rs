//! The documentation names every column.

use record::{Cache, Device, Gpu, Host, Server};

#[test]
fn every_column_is_documented() {
    let text = include_str!("../docs/probe.md");
    let named = |name: &str| text.contains(&format!("`{name}`"));
    let host = Host::ALL.iter().map(|field| field.name().to_owned());
    let device = Device::ALL.iter().map(|field| field.name().to_owned());
    let gpu = Gpu::ALL.iter().map(|field| field.name().to_owned());
    let server = Server::ALL.iter().map(|field| field.name().to_owned());
    let cache = Cache::ALL
        .iter()
        .map(|field| format!("cache_{}", field.name()));
    let all = host.chain(device).chain(gpu).chain(server).chain(cache);
    let missing: Vec<_> = all.filter(|name| !named(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
