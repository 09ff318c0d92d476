//! An answer as rows of `server.csv`: everything that it says, and the common figures beside it.

use super::{Answer, Common, Metrics, prometheus::Sample};
use record::{CommonMetric, Metric, ServerRow};
use serde_json::Value;

impl Answer<'_> {
    /// The answer's rows; none where there is no answer.
    pub fn rows(&self) -> Vec<ServerRow> {
        let Ok(metrics) = &self.metrics else {
            return Vec::new();
        };
        let source = self.source.url.to_string();
        let row = |(metric, value)| ServerRow {
            t: self.asked,
            source: source.clone(),
            metric,
            value,
        };
        metrics.rows().into_iter().map(row).collect()
    }
}

impl Metrics {
    /// Every value with its series. TensorRT-LLM's JSON becomes series as well: a number's path,
    /// labelled with the iteration or the request that it is of.
    pub fn rows(&self) -> Vec<(Metric, f64)> {
        let mut rows = match self {
            Metrics::Prometheus(samples) => samples.iter().map(own).collect(),
            Metrics::TrtllmIterations(iterations) => {
                objects(iterations.iter().map(|iteration| &iteration.whole), "iter")
            }
            Metrics::TrtllmRequests(requests) => {
                objects(requests.iter().map(|request| &request.whole), "request_id")
            }
        };
        rows.extend(self.common().iter().flat_map(common));
        rows
    }
}

fn own(sample: &Sample) -> (Metric, f64) {
    (Metric::Own(sample.to_string()), sample.value)
}

fn common(common: &Common) -> Vec<(Metric, f64)> {
    let value = |&metric: &CommonMetric| {
        let value = match metric {
            CommonMetric::Running => common.running,
            CommonMetric::Waiting => common.waiting,
            CommonMetric::KvUsed => common.kv_used,
            CommonMetric::KvPool => common.kv_pool,
            CommonMetric::PrefixHit => common.prefix_hit,
            CommonMetric::OffloadBytes => common.offload_bytes,
            CommonMetric::OnboardBytes => common.onboard_bytes,
        };
        Some((Metric::Common(metric), value?))
    };
    CommonMetric::ALL.iter().filter_map(value).collect()
}

/// The numbers of some objects. One without the field `id` is told by its place.
fn objects<'a>(wholes: impl Iterator<Item = &'a Value>, id: &str) -> Vec<(Metric, f64)> {
    let mut rows = Vec::new();
    for (place, whole) in wholes.enumerate() {
        let label = match whole.get(id) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => format!("#{place}"),
        };
        numbers("", whole, &mut |path, value| {
            let labels = vec![(id.to_owned(), label.clone())];
            let name = path.to_owned();
            rows.push(own(&Sample {
                name,
                labels,
                value,
            }));
        });
    }
    rows
}

/// Every number below a value, with its path: `kvCacheStats.usedNumBlocks`.
fn numbers(path: &str, value: &Value, found: &mut impl FnMut(&str, f64)) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Number(number) => number.as_f64().into_iter().for_each(|n| found(path, n)),
        Value::Bool(flag) => found(path, f64::from(u8::from(*flag))),
        Value::Object(fields) => {
            for (key, field) in fields {
                numbers(&below(key), field, found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                numbers(&below(&place.to_string()), item, found);
            }
        }
        Value::Null | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{prometheus, trtllm};

    fn texts(metrics: &Metrics) -> Vec<String> {
        let rows = metrics.rows().into_iter();
        rows.map(|(metric, value)| format!("{metric} {value}"))
            .collect()
    }

    #[test]
    fn prometheus_is_kept_whole_and_mapped_beside() {
        let text = "vllm:num_requests_running{engine=\"0\"} 3\nspent +Inf\n";
        let samples = prometheus::parse(text).unwrap();
        assert_eq!(
            texts(&Metrics::Prometheus(samples)),
            [
                "vllm:num_requests_running{engine=\"0\"} 3",
                "spent inf",
                "common:running 3"
            ]
        );
    }

    #[test]
    fn the_block_managers_own_port_is_one_more_source() {
        let text = "# TYPE kvbm_offload_blocks_d2h counter\nkvbm_offload_blocks_d2h 12\n\
            kvbm_matched_tokens 640\nkvbm_disk_cache_hit_rate 0.25\n";
        let samples = prometheus::parse(text).unwrap();
        // Blocks are no bytes: nothing is mapped.
        assert_eq!(
            texts(&Metrics::Prometheus(samples)),
            [
                "kvbm_offload_blocks_d2h 12",
                "kvbm_matched_tokens 640",
                "kvbm_disk_cache_hit_rate 0.25"
            ]
        );
    }

    #[test]
    fn json_becomes_series_by_path() {
        let json = br#"[{"iter": 7, "numActiveRequests": 3, "kvCacheStats": {"usedNumBlocks": 25},
            "timestamp": "11-24-2026", "spec": null}, {"numActiveRequests": 4}]"#;
        let iterations = trtllm::iterations(json).unwrap();
        assert_eq!(
            texts(&Metrics::TrtllmIterations(iterations)),
            [
                "iter{iter=\"7\"} 7",
                "kvCacheStats.usedNumBlocks{iter=\"7\"} 25",
                "numActiveRequests{iter=\"7\"} 3",
                "numActiveRequests{iter=\"#1\"} 4",
                "common:running 4"
            ]
        );
        let json =
            br#"[{"request_id": 9, "perf_metrics": {"timing_metrics": {"arrival_time": 1.5}}}]"#;
        let requests = trtllm::requests(json).unwrap();
        assert_eq!(
            texts(&Metrics::TrtllmRequests(requests)),
            [
                "perf_metrics.timing_metrics.arrival_time{request_id=\"9\"} 1.5",
                "request_id{request_id=\"9\"} 9"
            ]
        );
    }
}
