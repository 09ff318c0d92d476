//! What a whole run moved: bytes read, and what the server's KV tiers counted.

use record::{Column, Device, Metric, Server, ServerRow, Telemetry};
use std::collections::BTreeMap;

/// Differences between the first and the last that was recorded of a run, its ramp and drain
/// included. What was not recorded is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Bytes read from the device under test, by whomever.
    pub device_read_bytes: Option<f64>,
    /// Bytes that the server's processes, or else its control group, caused to be read from storage.
    pub server_read_bytes: Option<f64>,
    /// By how much each counter of the server's KV tiers grew, by its name without labels.
    pub tier_counters: BTreeMap<String, f64>,
}

/// How the counters of KV tiers begin, server by server: KVBM (its own port, blocks and tokens);
/// vLLM's external caches, tokens, and native offloading, bytes; TensorRT-LLM's host and disk
/// tiers; the embedded engine's.
const TIERS: [&str; 8] = [
    "kvbm_",
    "vllm:external_prefix_cache_",
    "vllm:kv_offload_",
    "trtllm_kv_cache_onboard_",
    "trtllm_kv_cache_offload_",
    "trtllm_kv_cache_disk_",
    "spillpoint:kv_disk_",
    "spillpoint:kv_host_",
];

/// Series of these names that count nothing: rates, and what a client library adds.
const NO_COUNTERS: [&str; 3] = ["_rate", "_created", "_bucket"];

impl Moved {
    /// Takes the bytes from the host's samples.
    pub(crate) fn over(telemetry: &Telemetry, device: Option<&str>) -> Self {
        let grown = |column: &Column| {
            let series = telemetry.series(column)?;
            let mut values = series.iter().flatten();
            let first = values.next()?;
            grown(first, values.last()?)
        };
        let device = device.map(|name| Column::Device(name.to_owned(), Device::ReadBytes));
        let server = [Server::ReadBytes, Server::CgroupReadBytes].map(Column::Server);
        Self {
            device_read_bytes: device.as_ref().and_then(grown),
            server_read_bytes: server.iter().find_map(grown),
            tier_counters: BTreeMap::new(),
        }
    }

    /// Adds the counters of the server's KV tiers.
    pub(crate) fn add_tiers(&mut self, rows: &[ServerRow]) {
        let mut series: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for row in rows {
            if let Metric::Own(name) = &row.metric
                && is_tier_counter(base(name))
                && row.value.is_finite()
            {
                let (_, last) = series.entry(name).or_insert((row.value, row.value));
                *last = row.value;
            }
        }
        for (name, (first, last)) in series {
            if let Some(grown) = grown(first, last) {
                let base = base(name).to_owned();
                *self.tier_counters.entry(base).or_default() += grown;
            }
        }
    }

    /// The mean of several runs; each value over the runs that have it.
    pub(crate) fn mean<'a>(runs: impl Iterator<Item = &'a Moved> + Clone) -> Self {
        let of = |value: &dyn Fn(&Moved) -> Option<f64>| mean(runs.clone().filter_map(value));
        let names = runs.clone().flat_map(|run| run.tier_counters.keys());
        let counter = |name: &String| {
            let value = of(&|run| run.tier_counters.get(name).copied())?;
            Some((name.clone(), value))
        };
        Self {
            device_read_bytes: of(&|run| run.device_read_bytes),
            server_read_bytes: of(&|run| run.server_read_bytes),
            tier_counters: names.filter_map(counter).collect(),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// A counter that fell began anew with the server: what it had cannot be told.
fn grown(first: f64, last: f64) -> Option<f64> {
    (last >= first).then_some(last - first)
}

fn base(series: &str) -> &str {
    series.split_once('{').map_or(series, |(name, _)| name)
}

fn is_tier_counter(name: &str) -> bool {
    TIERS.iter().any(|start| name.starts_with(start))
        && !NO_COUNTERS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SessionNs;

    fn row(t: i64, series: &str, value: f64) -> ServerRow {
        ServerRow {
            t: SessionNs(t),
            source: String::new(),
            metric: Metric::Own(series.to_owned()),
            value,
        }
    }

    #[test]
    fn counters_of_tiers_are_told_from_rates_and_from_what_began_anew() {
        let mut moved = Moved::default();
        moved.add_tiers(&[
            row(1, "kvbm_onboard_blocks_d2d", 5.0),
            row(1, "kvbm_disk_cache_hit_rate", 0.1),
            row(1, "vllm:kv_offload_load_bytes_total{worker=\"0\"}", 100.0),
            row(1, "vllm:kv_offload_load_bytes_total{worker=\"1\"}", 10.0),
            row(1, "spillpoint:kv_disk_read_bytes_total", 9.0),
            row(2, "kvbm_onboard_blocks_d2d", 12.0),
            row(2, "kvbm_disk_cache_hit_rate", 0.9),
            row(2, "vllm:kv_offload_load_bytes_total{worker=\"0\"}", 300.0),
            row(2, "vllm:kv_offload_load_bytes_total{worker=\"1\"}", 11.0),
            row(2, "spillpoint:kv_disk_read_bytes_total", 4.0),
            row(2, "vllm:num_requests_running", 4.0),
        ]);
        let counters: Vec<_> = moved.tier_counters.into_iter().collect();
        let expected = [
            ("kvbm_onboard_blocks_d2d".to_owned(), 7.0),
            ("vllm:kv_offload_load_bytes_total".to_owned(), 201.0),
        ];
        assert_eq!(counters, expected);
    }
}
