//! The Prometheus exposition text.

use super::{Counts, Facts, LoraInUse};
use crate::{
    sched::Tally,
    storage::{
        adapters::{AdapterCounts, AdapterRead},
        tier::TierCounts,
    },
};
use clock::MonoNs;
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Upper bounds, in seconds, of all histograms.
const BOUNDS: [f64; 20] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0, 120.0,
];

/// Spans, counted by length.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    /// Counts a span.
    pub(super) fn add(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

/// The whole page.
pub(super) fn render(counts: &Counts, facts: &Facts<'_>) -> String {
    let mut page = Page::new(facts.model);
    page.scheduler(&counts.tally);
    for (reason, value) in [
        ("stop", counts.stop),
        ("length", counts.length),
        ("abort", counts.abort),
    ] {
        let labels = format!("finished_reason=\"{reason}\"");
        let help = "Requests that ended, by reason.";
        page.labelled(
            "vllm:request_success_total",
            "counter",
            help,
            &labels,
            value as f64,
        );
    }
    page.histogram("vllm:time_to_first_token_seconds", &counts.first_token);
    page.histogram("vllm:inter_token_latency_seconds", &counts.inter_token);
    page.histogram("vllm:e2e_request_latency_seconds", &counts.end_to_end);
    page.histogram("vllm:request_queue_time_seconds", &counts.queue);
    page.histogram("vllm:request_prefill_time_seconds", &counts.prefill);
    page.histogram("vllm:request_decode_time_seconds", &counts.decode);
    let help = "The KV cache's settings.";
    page.labelled("vllm:cache_config_info", "gauge", help, facts.settings, 1.0);
    page.counter(
        "spillpoint:steps_total",
        "Steps computed.",
        counts.steps as f64,
    );
    page.counter(
        "spillpoint:step_lateness_seconds_total",
        "How late steps ended in all: the engine's own error.",
        counts.lateness.as_secs_f64(),
    );
    page.counter(
        "spillpoint:step_held_up_seconds_total",
        "By how much steps began after the end of the one before, where the machine held them up.",
        counts.held_up.as_secs_f64(),
    );
    page.weights(counts);
    if let Some(tier) = &counts.tier {
        page.tier(tier, &counts.tally);
    }
    if let Some(adapters) = counts.tally.adapters {
        page.adapters(adapters, counts.adapters);
    }
    if let Some(lora) = &counts.lora {
        page.lora(lora);
    }
    if let Some(held) = facts.ballast {
        let help = "Memory taken so that others have less.";
        page.gauge("spillpoint:ballast_bytes", help, held.0 as f64);
    }
    let up = MonoNs::now().since(facts.started).as_secs_f64();
    page.gauge("spillpoint:uptime_seconds", "Time since the start.", up);
    page.text
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// The text under construction.
struct Page {
    text: String,
    model: String,
    last: &'static str,
}

impl Page {
    fn new(model: &str) -> Self {
        let escaped = escape(model);
        Self {
            text: String::with_capacity(16 << 10),
            model: format!("model_name=\"{escaped}\""),
            last: "",
        }
    }

    fn scheduler(&mut self, tally: &Tally) {
        let used = f64::from(tally.blocks_used) / f64::from(tally.blocks.max(1));
        self.gauge(
            "vllm:num_requests_running",
            "Requests in the batch.",
            tally.running as f64,
        );
        self.gauge(
            "vllm:num_requests_waiting",
            "Requests in the queue.",
            tally.waiting as f64,
        );
        self.gauge(
            "vllm:kv_cache_usage_perc",
            "KV blocks in use; 1 is all.",
            used,
        );
        self.counters(&[
            (
                "vllm:prefix_cache_queries_total",
                "Prompt tokens looked up in the prefix cache.",
                tally.cache_queries_tokens,
            ),
            (
                "vllm:prefix_cache_hits_total",
                "Prompt tokens found in the prefix cache.",
                tally.cache_hits_tokens,
            ),
            (
                "vllm:num_preemptions_total",
                "Preemptions.",
                tally.preemptions,
            ),
            (
                "vllm:prompt_tokens_total",
                "Prompt tokens processed.",
                tally.prompt_tokens,
            ),
            (
                "vllm:generation_tokens_total",
                "Tokens generated.",
                tally.generation_tokens,
            ),
        ]);
    }

    fn tier(&mut self, tier: &TierCounts, tally: &Tally) {
        self.counters(&[
            (
                "vllm:external_prefix_cache_queries_total",
                "Prompt tokens looked up in the KV tiers.",
                tally.tier_queries_tokens,
            ),
            (
                "vllm:external_prefix_cache_hits_total",
                "Prompt tokens read back from the KV tiers.",
                tally.tier_hits_tokens,
            ),
            (
                "spillpoint:kv_disk_read_bytes_total",
                "Bytes read from the disk tier.",
                tier.disk_read_bytes,
            ),
            (
                "spillpoint:kv_disk_written_bytes_total",
                "Bytes written to the disk tier.",
                tier.disk_written_bytes,
            ),
            (
                "spillpoint:kv_disk_read_blocks_total",
                "Blocks read from the disk tier.",
                tier.disk_read_blocks,
            ),
            (
                "spillpoint:kv_disk_written_blocks_total",
                "Blocks written to the disk tier.",
                tier.disk_written_blocks,
            ),
        ]);
        self.tier_blocks(tier);
    }

    fn tier_blocks(&mut self, tier: &TierCounts) {
        self.counters(&[
            (
                "spillpoint:kv_host_read_blocks_total",
                "Blocks read from the memory tier.",
                tier.host_read_blocks,
            ),
            (
                "spillpoint:kv_host_written_blocks_total",
                "Blocks written to the memory tier.",
                tier.host_written_blocks,
            ),
            (
                "spillpoint:kv_bad_blocks_total",
                "Blocks that were not what they should be, and were computed again.",
                tier.bad_blocks,
            ),
            (
                "spillpoint:kv_dropped_writes_total",
                "Blocks not written because the disk did not keep pace.",
                tier.dropped_writes,
            ),
            (
                "spillpoint:kv_failed_ios_total",
                "Reads and writes of the disk tier that the kernel failed.",
                tier.failed_ios,
            ),
        ]);
    }

    /// The value is the wall-clock time, as vLLM has it: the latest of several series is current.
    fn lora(&mut self, lora: &LoraInUse) {
        let list = |names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            escape(&names.join(","))
        };
        let labels = format!(
            "max_lora=\"{}\",waiting_lora_adapters=\"{}\",running_lora_adapters=\"{}\"",
            lora.most,
            list(&lora.waiting),
            list(&lora.running)
        );
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let help = "Adapters of running and waiting requests.";
        self.labelled("vllm:lora_requests_info", "gauge", help, &labels, now);
    }

    fn adapters(&mut self, found: AdapterCounts, read: AdapterRead) {
        for (place, count) in [
            ("device", found.device_hits),
            ("host", found.host_hits),
            ("disk", found.misses),
        ] {
            let labels = format!("found=\"{place}\"");
            let help = "Adapters asked for by a sequence, by where they were found.";
            let name = "spillpoint:adapter_requests_total";
            self.labelled(name, "counter", help, &labels, count as f64);
        }
        self.counter(
            "spillpoint:adapter_read_bytes_total",
            "Bytes of the adapter files that were read.",
            read.file_bytes as f64,
        );
        self.counter(
            "spillpoint:adapter_device_bytes_total",
            "Of these, bytes that came from the device and not from the page cache.",
            read.device_bytes as f64,
        );
        self.counter(
            "spillpoint:adapter_read_seconds_total",
            "From asking for an adapter to having it, in all.",
            read.took.as_secs_f64(),
        );
    }

    fn weights(&mut self, counts: &Counts) {
        if let Some(report) = counts.loaded {
            let help = "Weights read at the start.";
            self.gauge(
                "spillpoint:weights_loaded_bytes",
                help,
                report.bytes.0 as f64,
            );
            let seconds = report.took.as_secs_f64();
            let help = "How long that took.";
            self.gauge("spillpoint:weights_load_seconds", help, seconds);
        }
        self.counter(
            "spillpoint:weights_paged_bytes_total",
            "Weights that steps read from the device.",
            counts.paged_bytes as f64,
        );
        self.counter(
            "spillpoint:weights_wait_seconds_total",
            "How much longer steps took for that reason.",
            counts.paged_wait.as_secs_f64(),
        );
    }

    fn counters(&mut self, rows: &[(&'static str, &str, u64)]) {
        for (name, help, value) in rows {
            self.counter(name, help, *value as f64);
        }
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.labelled(name, "gauge", help, "", value);
    }

    fn counter(&mut self, name: &'static str, help: &str, value: f64) {
        self.labelled(name, "counter", help, "", value);
    }

    fn labelled(&mut self, name: &'static str, kind: &str, help: &str, labels: &str, value: f64) {
        self.head(name, kind, help);
        let comma = if labels.is_empty() { "" } else { "," };
        let model = &self.model;
        // Writing to a String can't fail, here and below.
        let _ = writeln!(self.text, "{name}{{{model}{comma}{labels}}} {value:?}");
    }

    fn histogram(&mut self, name: &'static str, histogram: &Histogram) {
        self.head(name, "histogram", "In seconds.");
        let model = self.model.clone();
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            below += count;
            let _ = writeln!(
                self.text,
                "{name}_bucket{{{model},le=\"{bound:?}\"}} {below}.0"
            );
        }
        let Histogram { count, sum, .. } = histogram;
        let _ = writeln!(self.text, "{name}_bucket{{{model},le=\"+Inf\"}} {count}.0");
        let _ = writeln!(self.text, "{name}_count{{{model}}} {count}.0");
        let _ = writeln!(self.text, "{name}_sum{{{model}}} {sum:?}");
    }

    fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        if self.last != name {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            self.last = name;
        }
    }
}
