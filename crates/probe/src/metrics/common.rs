//! The few figures that all servers have, under one name each.

use super::{prometheus::Sample, trtllm::Iteration};

/// What matters of a server's state, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Common {
    /// Requests that run.
    pub running: Option<f64>,
    /// Requests that wait.
    pub waiting: Option<f64>,
    /// The share of the KV cache in use, from 0 to 1; of several engines, the fullest.
    pub kv_used: Option<f64>,
    /// The size of the KV cache's pool, in the server's own unit; of several engines, all.
    pub kv_pool: Option<f64>,
    /// The share of prompt tokens or blocks found in the prefix cache, since the server's start
    /// or over a window of its own.
    pub prefix_hit: Option<f64>,
    /// Bytes of KV cache moved to a lower tier since the start.
    pub offload_bytes: Option<f64>,
    /// Bytes of KV cache brought back since the start.
    pub onboard_bytes: Option<f64>,
}

/// How the series of several engines or labels make one value.
#[derive(Clone, Copy)]
enum Over {
    Sum,
    Max,
}

/// A metric's name, and the label that chooses among its series.
type Name = (&'static str, Option<(&'static str, &'static str)>);

const fn plain(name: &'static str) -> Name {
    (name, None)
}

const fn triton(name: &'static str, label: &'static str, value: &'static str) -> Name {
    (name, Some((label, value)))
}

const REQUESTS: &str = "nv_trt_llm_request_metrics";
const BLOCKS: &str = "nv_trt_llm_kv_cache_block_metrics";

// In each list a server has at most one name of its own, or an older name after the newer.
const RUNNING: &[Name] = &[
    plain("vllm:num_requests_running"),
    plain("sglang:num_running_reqs"),
    plain("llamacpp:requests_processing"),
    plain("trtllm_num_requests_running"),
    triton(REQUESTS, "request_type", "active"),
];
const WAITING: &[Name] = &[
    plain("vllm:num_requests_waiting"),
    plain("sglang:num_queue_reqs"),
    plain("llamacpp:requests_deferred"),
    plain("trtllm_num_requests_waiting"),
    triton(REQUESTS, "request_type", "waiting"),
];
const KV_USED: &[Name] = &[
    plain("vllm:kv_cache_usage_perc"),
    plain("vllm:gpu_cache_usage_perc"),
    plain("sglang:token_usage"),
    plain("llamacpp:kv_cache_usage_ratio"),
    plain("trtllm_kv_cache_utilization"),
    triton(BLOCKS, "kv_cache_block_type", "fraction"),
];
const KV_POOL: &[Name] = &[
    plain("sglang:max_total_num_tokens"),
    triton(BLOCKS, "kv_cache_block_type", "max"),
];
/// A series that says 1, and the pool's size in its label.
const KV_POOL_LABEL: (&str, &str) = ("vllm:cache_config_info", "num_gpu_blocks");
const PREFIX_HIT: &[Name] = &[
    plain("sglang:cache_hit_rate"),
    plain("trtllm_kv_cache_hit_rate"),
];
const PREFIX_HITS: &[Name] = &[plain("vllm:prefix_cache_hits")];
const PREFIX_QUERIES: &[Name] = &[plain("vllm:prefix_cache_queries")];
const OFFLOAD: &[Name] = &[
    plain("vllm:kv_offload_store_bytes"),
    plain("trtllm_kv_cache_offload_bytes"),
];
const ONBOARD: &[Name] = &[
    plain("vllm:kv_offload_load_bytes"),
    plain("trtllm_kv_cache_onboard_bytes"),
];

impl Common {
    /// Takes them from Prometheus samples. Blocks, as KVBM counts them, are no bytes, and stay in
    /// the samples.
    pub fn of_samples(samples: &[Sample]) -> Self {
        let find = |names: &[Name], over| names.iter().find_map(|name| value(samples, name, over));
        let hits = find(PREFIX_HITS, Over::Sum);
        let queries = find(PREFIX_QUERIES, Over::Sum).filter(|&queries| queries > 0.0);
        let counted = hits.zip(queries).map(|(hits, queries)| hits / queries);
        Self {
            running: find(RUNNING, Over::Sum),
            waiting: find(WAITING, Over::Sum),
            kv_used: find(KV_USED, Over::Max),
            kv_pool: labelled_pool(samples).or_else(|| find(KV_POOL, Over::Sum)),
            prefix_hit: counted.or_else(|| find(PREFIX_HIT, Over::Max)),
            offload_bytes: find(OFFLOAD, Over::Sum),
            onboard_bytes: find(ONBOARD, Over::Sum),
        }
    }

    /// Takes them from TensorRT-LLM's last iteration.
    pub fn of_iteration(iteration: &Iteration) -> Self {
        let known = &iteration.known;
        let kv = &known.kv_cache_stats;
        let pool = kv.max_num_blocks.filter(|&blocks| blocks > 0);
        let used = kv.used_num_blocks.zip(pool);
        Self {
            running: known.num_active_requests.map(|count| count as f64),
            waiting: known.num_queued_requests.map(|count| count as f64),
            kv_used: used.map(|(used, pool)| used as f64 / pool as f64),
            kv_pool: pool.map(|blocks| blocks as f64),
            prefix_hit: kv.cache_hit_rate,
            ..Self::default()
        }
    }
}

/// Of all engines.
fn labelled_pool(samples: &[Sample]) -> Option<f64> {
    let (name, label) = KV_POOL_LABEL;
    let infos = samples.iter().filter(|sample| sample.name == name);
    let pools = infos.filter_map(|sample| sample.label(label)?.parse::<u32>().ok());
    pools.map(f64::from).reduce(|so_far, pool| so_far + pool)
}

/// A metric over all its series; a counter's name may end in `_total` or not, by client library.
fn value(samples: &[Sample], (name, label): &Name, over: Over) -> Option<f64> {
    let is_meant = |sample: &&Sample| {
        sample.name.strip_suffix("_total").unwrap_or(&sample.name) == *name
            && label.is_none_or(|(label, value)| sample.label(label) == Some(value))
            && sample.value.is_finite()
    };
    let values = samples.iter().filter(is_meant).map(|sample| sample.value);
    values.reduce(|so_far, value| match over {
        Over::Sum => so_far + value,
        Over::Max => so_far.max(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{prometheus, trtllm};

    fn common(text: &str) -> Common {
        Common::of_samples(&prometheus::parse(text).unwrap())
    }

    #[test]
    fn vllm_with_two_engines() {
        let common = common(
            "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_running{engine=\"1\"} 4\n\
             vllm:kv_cache_usage_perc{engine=\"0\"} 0.5\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.75\n\
             vllm:cache_config_info{engine=\"0\",num_gpu_blocks=\"400\"} 1\n\
             vllm:cache_config_info{engine=\"1\",num_gpu_blocks=\"300\"} 1\n\
             vllm:prefix_cache_queries_total 200\nvllm:prefix_cache_hits_total 50\n",
        );
        assert_eq!((common.running, common.waiting), (Some(7.0), None));
        assert_eq!(common.kv_pool, Some(700.0));
        assert_eq!(
            (common.kv_used, common.prefix_hit),
            (Some(0.75), Some(0.25))
        );
    }

    #[test]
    fn other_servers() {
        let llama = common("llamacpp:requests_processing 2\nllamacpp:requests_deferred 3\n");
        assert_eq!((llama.running, llama.waiting), (Some(2.0), Some(3.0)));
        let triton = common(
            "nv_trt_llm_request_metrics{request_type=\"active\"} 5\n\
             nv_trt_llm_request_metrics{request_type=\"waiting\"} 1\n\
             nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\"} 90\n\
             nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"} 0.25\n",
        );
        assert_eq!((triton.running, triton.waiting), (Some(5.0), Some(1.0)));
        assert_eq!((triton.kv_used, triton.kv_pool), (Some(0.25), Some(90.0)));
        let trtllm =
            common("trtllm_kv_cache_onboard_bytes_total 9\ntrtllm_kv_cache_hit_rate 0.5\n");
        assert_eq!(
            (trtllm.onboard_bytes, trtllm.prefix_hit),
            (Some(9.0), Some(0.5))
        );
        assert_eq!(common("up 1\n"), Common::default());
    }

    #[test]
    fn trtllm_in_json() {
        let json = br#"[{"numActiveRequests": 3, "kvCacheStats": {"maxNumBlocks": 100, "usedNumBlocks": 25}}]"#;
        let common = Common::of_iteration(&trtllm::iterations(json).unwrap()[0]);
        assert_eq!((common.running, common.kv_used), (Some(3.0), Some(0.25)));
        assert_eq!((common.waiting, common.kv_pool), (None, Some(100.0)));
    }
}
