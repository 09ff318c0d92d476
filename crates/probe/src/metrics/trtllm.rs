//! TensorRT-LLM's JSON: `/metrics`, one object an iteration, and `/perf_metrics`, one a request.
//!
//! Both answers empty a queue in the server, so that each must have one poller and no more. All
//! fields are optional: the routes are called beta, and versions differ.

use serde::Deserialize;
use serde_json::Value;

/// One iteration of the server's scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Iteration {
    /// The fields that are known.
    pub known: IterationFields,
    /// The whole object, as it came.
    pub whole: Value,
}

/// The known fields of an iteration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IterationFields {
    /// Its number.
    pub iter: Option<u64>,
    /// How long it took.
    #[serde(rename = "iterLatencyMS")]
    pub latency_ms: Option<f64>,
    /// Requests that run.
    pub num_active_requests: Option<u64>,
    /// Requests that wait.
    pub num_queued_requests: Option<u64>,
    /// The KV cache.
    pub kv_cache_stats: KvCache,
}

/// The known fields of the KV cache.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KvCache {
    /// Blocks of the pool.
    pub max_num_blocks: Option<u64>,
    /// Blocks in use.
    pub used_num_blocks: Option<u64>,
    /// Blocks found again.
    pub reused_blocks: Option<u64>,
    /// Blocks not found.
    pub missed_blocks: Option<u64>,
    /// The share found.
    pub cache_hit_rate: Option<f64>,
}

/// Parses the answer of `/metrics`: an array, empty where nothing has run since the last poll.
pub fn iterations(json: &[u8]) -> serde_json::Result<Vec<Iteration>> {
    let objects: Vec<Value> = serde_json::from_slice(json)?;
    let iteration = |whole: Value| {
        Ok(Iteration {
            known: IterationFields::deserialize(&whole)?,
            whole,
        })
    };
    objects.into_iter().map(iteration).collect()
}

/// How one request's time was spent, by the server's own clock.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestTimes {
    /// From its arrival until it was first scheduled: queueing.
    pub queue_s: Option<f64>,
    /// From there to its first token.
    pub prefill_s: Option<f64>,
    /// From there to its last.
    pub decode_s: Option<f64>,
    /// The whole object, as it came.
    pub whole: Value,
}

/// Parses the answer of `/perf_metrics`.
pub fn requests(json: &[u8]) -> serde_json::Result<Vec<RequestTimes>> {
    let objects: Vec<Value> = serde_json::from_slice(json)?;
    Ok(objects.into_iter().map(request).collect())
}

fn request(whole: Value) -> RequestTimes {
    // The times lie at the top or below `perf_metrics`, by version.
    let timing = whole
        .pointer("/perf_metrics/timing_metrics")
        .or_else(|| whole.get("timing_metrics"));
    let span = |from: &str, to: &str| {
        let time = |name: &str| timing?.get(name)?.as_f64();
        Some(time(to)? - time(from)?)
    };
    RequestTimes {
        queue_s: span("arrival_time", "first_scheduled_time"),
        prefill_s: span("first_scheduled_time", "first_token_time"),
        decode_s: span("first_token_time", "last_token_time"),
        whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_are_taken_and_the_rest_is_kept() {
        let json =
            br#"[{"gpuMemUsage": 1, "iter": 7, "iterLatencyMS": 12.5, "numActiveRequests": 3,
            "kvCacheStats": {"maxNumBlocks": 100, "usedNumBlocks": 25, "cacheHitRate": 0.5}}, {}]"#;
        let iterations = iterations(json).unwrap();
        let known = &iterations[0].known;
        assert_eq!((known.iter, known.latency_ms), (Some(7), Some(12.5)));
        assert_eq!(known.num_queued_requests, None);
        assert_eq!(known.kv_cache_stats.used_num_blocks, Some(25));
        assert_eq!(iterations[0].whole["gpuMemUsage"], 1);
        assert_eq!(iterations[1].known, IterationFields::default());
        assert!(super::iterations(b"{\"detail\": \"Not Found\"}").is_err());
    }

    #[test]
    fn a_requests_time_is_split() {
        let json = br#"[{"request_id": 1, "perf_metrics": {"timing_metrics": {"arrival_time": 10.0,
            "first_scheduled_time": 10.5, "first_token_time": 11.5, "last_token_time": 14.5}}}, {}]"#;
        let requests = requests(json).unwrap();
        assert_eq!(requests[0].queue_s, Some(0.5));
        assert_eq!(
            (requests[0].prefill_s, requests[0].decode_s),
            (Some(1.0), Some(3.0))
        );
        assert_eq!(requests[1].queue_s, None);
    }
}
