//! `spillpoint engine`'s grammar, and the engine's settings that follow from it.

use engine::{
    Bytes, Config, Speed,
    profile::Model,
    storage::{
        adapters::{AdapterLimits, Adapters, NamedAdapter},
        ballast::Ballast,
        disk::{IoEngine, QueueConfig},
        tier::{DiskTier, KvTier, LeftOver, WriteMode},
        weights::{Weights, WeightsLoad},
    },
};
use plan::Span;
use std::{net::IpAddr, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Engine {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// The model that it stands in for: gpt-oss-120b, llama-3.1-8b or llama-3.3-70b.
    #[arg(long, default_value_t = Model::default())]
    model: Model,
    /// The name that it is served under [default: the model's].
    #[arg(long)]
    name: Option<String>,
    /// How much faster than the modelled machine it runs.
    #[arg(long, value_name = "FACTOR", default_value_t = Speed::REAL)]
    speed: Speed,
    /// The most sequences in a step.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_batch: usize,
    /// The most tokens in a step: longer prompts are computed in pieces.
    #[arg(long, value_name = "TOKENS", default_value_t = 2048)]
    step_tokens: u32,
    /// The size of the KV block pool. It is modelled, and takes no memory.
    #[arg(long, value_name = "SIZE", default_value = "16GiB")]
    kv_bytes: Bytes,
    /// Tokens in a KV block.
    #[arg(long, value_name = "TOKENS", default_value_t = 16)]
    block_tokens: u32,
    /// Compute equal prefixes again and again.
    #[arg(long)]
    no_prefix_cache: bool,
    /// The longest prompt and reply together.
    #[arg(long, value_name = "TOKENS", default_value_t = 131_072)]
    max_model_len: u32,
    /// The mean length of a reply that the client does not force.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    reply_tokens: u32,
    /// The most finished requests that are kept for `GET /truth`: each takes some hundred bytes, and
    /// 16 a token.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    truth_requests: usize,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    tier: TierArgs,
    #[command(flatten)]
    adapters: AdapterArgs,
    #[command(flatten)]
    ballast: BallastArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Weights, really read")]
struct WeightArgs {
    /// The file to read.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// How: buffered, direct, or mmap (paged in as experts are drawn).
    #[arg(
        long,
        value_name = "HOW",
        default_value = "buffered",
        requires = "weights"
    )]
    weights_load: WeightsLoad,
    /// Refuse a file that is shorter.
    #[arg(long, value_name = "SIZE", requires = "weights")]
    weights_size: Option<Bytes>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "KV tiers, really written and read")]
struct TierArgs {
    /// The size of a tier in memory.
    #[arg(long, value_name = "SIZE")]
    kv_host: Option<Bytes>,
    /// The file of a tier on disk; made if it is not there.
    #[arg(long, value_name = "FILE", requires = "kv_disk_size")]
    kv_disk: Option<PathBuf>,
    /// Its size.
    #[arg(long, value_name = "SIZE", requires = "kv_disk")]
    kv_disk_size: Option<Bytes>,
    /// When blocks are written: through (as they fill) or back (as they are evicted).
    #[arg(long, value_name = "WHEN", default_value = "through")]
    kv_write: WriteMode,
    /// Only blocks that were used so often are written to disk.
    #[arg(long, value_name = "N", default_value_t = 1)]
    kv_min_uses: u8,
    /// How the disk is asked: auto, io_uring or threads.
    #[arg(long, value_name = "HOW", default_value = "auto")]
    kv_io: IoEngine,
    /// How many requests the disk has at once.
    #[arg(long, value_name = "N", default_value_t = 32)]
    kv_depth: u32,
    /// What becomes of the blocks of an earlier run: drop or reuse.
    #[arg(long, value_name = "WHAT", default_value = "drop")]
    kv_left: LeftOver,
    /// Makes the disk slower by this much a read, to plant a known answer.
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    kv_read_delay: Span,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "LoRA adapters, read on first use")]
struct AdapterArgs {
    /// An adapter and its file; may be given more than once.
    #[arg(long, value_name = "NAME=FILE")]
    lora: Vec<NamedAdapter>,
    /// Places for adapters on the device.
    #[arg(long, value_name = "N", default_value_t = 4)]
    max_loras: u32,
    /// Places for adapters in memory.
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_cpu_loras: u32,
    /// Read adapters past the page cache.
    #[arg(long)]
    lora_direct: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Memory pressure")]
struct BallastArgs {
    /// Memory to take, so that the page cache has less.
    #[arg(long, value_name = "SIZE")]
    ballast: Option<Bytes>,
    /// MemAvailable never goes below this on its account.
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    ballast_floor: Bytes,
}

impl Engine {
    /// The engine's settings.
    pub(crate) fn config(self) -> Config {
        Config {
            host: self.host,
            port: self.port,
            model: self.model,
            served_name: self.name,
            speed: self.speed,
            max_batch: self.max_batch,
            step_tokens: self.step_tokens,
            kv: self.kv_bytes,
            block_tokens: self.block_tokens,
            prefix_cache: !self.no_prefix_cache,
            max_model_tokens: self.max_model_len,
            mean_reply_tokens: self.reply_tokens,
            truth_capacity: self.truth_requests,
            weights: self.weights.settings(),
            kv_tier: self.tier.settings(),
            adapters: self.adapters.settings(),
            ballast: self.ballast.settings(),
            ..Config::default()
        }
    }
}

impl WeightArgs {
    fn settings(self) -> Option<Weights> {
        Some(Weights {
            path: self.weights?,
            load: self.weights_load,
            size: self.weights_size,
        })
    }
}

impl TierArgs {
    fn settings(self) -> Option<KvTier> {
        let disk = self.kv_disk.zip(self.kv_disk_size);
        let disk = disk.map(|(path, size)| DiskTier {
            path,
            size,
            left_over: self.kv_left,
            queue: QueueConfig {
                io: self.kv_io,
                depth: self.kv_depth,
                read_delay: self.kv_read_delay.0,
            },
        });
        (disk.is_some() || self.kv_host.is_some()).then_some(KvTier {
            host: self.kv_host.unwrap_or(Bytes(0)),
            disk,
            write: self.kv_write,
            min_uses: self.kv_min_uses,
        })
    }
}

impl AdapterArgs {
    fn settings(self) -> Option<Adapters> {
        (!self.lora.is_empty()).then_some(Adapters {
            known: self.lora,
            limits: AdapterLimits {
                device_slots: self.max_loras,
                host_slots: self.max_cpu_loras,
            },
            direct: self.lora_direct,
        })
    }
}

impl BallastArgs {
    fn settings(self) -> Option<Ballast> {
        Some(Ballast {
            size: self.ballast?,
            floor: self.ballast_floor,
        })
    }
}
