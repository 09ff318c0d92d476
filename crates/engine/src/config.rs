//! What the engine is asked to be, and what it refuses to be.

use crate::{
    profile::{Machine, Model, Profile},
    roofline::Roofline,
    sched::Limits,
    storage::{
        adapters::{AdapterLimits, Adapters},
        ballast::Ballast,
        tier::{KvTier, TierLimits},
        weights::Weights,
    },
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
    time::Duration,
};

/// The engine's settings. [`Config::default`] is a small, lively server on a free port.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// The model it stands in for.
    pub model: Model,
    /// The name it is served under, if not the model's own.
    pub served_name: Option<String>,
    /// How much faster than the modelled machine it runs.
    pub speed: Speed,
    /// Most sequences in a step.
    pub max_batch: usize,
    /// Most tokens computed in a step.
    pub step_tokens: u32,
    /// Size of the KV block pool.
    pub kv: Bytes,
    /// Tokens in a KV block.
    pub block_tokens: u32,
    /// Whether equal prefixes are computed once.
    pub prefix_cache: bool,
    /// Longest prompt and reply together; the pool may set a lower limit.
    pub max_model_tokens: u32,
    /// Average length of a reply that the client does not force.
    pub mean_reply_tokens: u32,
    /// Finished requests kept for `GET /truth`; beyond it the oldest are dropped and counted.
    pub truth_capacity: usize,
    /// The model's file, if it is really to be read.
    pub weights: Option<Weights>,
    /// Tiers for KV blocks below the device, if there are any.
    pub kv_tier: Option<KvTier>,
    /// LoRA adapters, if any are served.
    pub adapters: Option<Adapters>,
    /// Memory to be taken, so that others have less.
    pub ballast: Option<Ballast>,
    /// How long requests in flight may go on after the shutdown signal.
    pub shutdown_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            model: Model::default(),
            served_name: None,
            speed: Speed::REAL,
            max_batch: 64,
            step_tokens: 2048,
            kv: Bytes(16 << 30),
            block_tokens: 16,
            prefix_cache: true,
            max_model_tokens: 131_072,
            mean_reply_tokens: 256,
            truth_capacity: 100_000,
            weights: None,
            kv_tier: None,
            adapters: None,
            ballast: None,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// A setting that can't work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A count that must be at least one is zero.
    #[error("{setting} is 0; it must be at least 1")]
    Zero {
        /// Which.
        setting: &'static str,
    },
    /// The pool has no room for a useful sequence.
    #[error(
        "a KV pool of {kv} holds {blocks} blocks of {block_tokens} tokens ({block} each); \
         give it at least {} blocks",
        MIN_BLOCKS
    )]
    SmallPool {
        /// As configured.
        kv: Bytes,
        /// What fits.
        blocks: u64,
        /// Tokens in a block.
        block_tokens: u32,
        /// Size of a block for this model.
        block: Bytes,
    },
    /// Memory has fewer places for adapters than the device.
    #[error(
        "{host_slots} adapters in memory are fewer than the {device_slots} on the device; \
         the device's are kept in memory too"
    )]
    SmallAdapterMemory {
        /// Places in memory.
        host_slots: u32,
        /// Places on the device.
        device_slots: u32,
    },
    /// Tiers hold what the prefix cache finds, and it is off.
    #[error("a KV tier is of no use without the prefix cache; leave that on, or the tier out")]
    TierWithoutCache,
    /// A model without a name.
    #[error("the served name is empty; leave it out to serve the model under its own name")]
    EmptyName,
}

/// Fewer blocks than this serve nothing.
const MIN_BLOCKS: u64 = 4;

impl Config {
    /// The name the model is served under.
    pub fn name(&self) -> &str {
        self.served_name.as_deref().unwrap_or(self.model.name())
    }

    /// Bytes of one KV block.
    pub fn block_bytes(&self) -> Bytes {
        let profile = self.model.profile();
        Bytes(profile.kv_bytes_per_token() * u64::from(self.block_tokens))
    }

    /// The longest prompt and reply together that is served.
    pub fn context_tokens(&self) -> u32 {
        let pool = self.blocks().saturating_mul(u64::from(self.block_tokens));
        self.max_model_tokens
            .min(u32::try_from(pool).unwrap_or(u32::MAX))
    }

    /// Refuses what can't work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("max_batch", self.max_batch as u64),
            ("step_tokens", u64::from(self.step_tokens)),
            ("block_tokens", u64::from(self.block_tokens)),
            ("max_model_tokens", u64::from(self.max_model_tokens)),
            ("mean_reply_tokens", u64::from(self.mean_reply_tokens)),
        ];
        if let Some((setting, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ConfigError::Zero { setting });
        }
        if self.served_name.as_deref() == Some("") {
            return Err(ConfigError::EmptyName);
        }
        if let Some(adapters) = &self.adapters {
            let AdapterLimits {
                device_slots,
                host_slots,
            } = adapters.limits;
            if device_slots == 0 {
                let setting = "device_slots";
                return Err(ConfigError::Zero { setting });
            }
            if host_slots < device_slots {
                return Err(ConfigError::SmallAdapterMemory {
                    host_slots,
                    device_slots,
                });
            }
        }
        if self.kv_tier.is_some() && !self.prefix_cache {
            return Err(ConfigError::TierWithoutCache);
        }
        if self.blocks() < MIN_BLOCKS {
            return Err(ConfigError::SmallPool {
                kv: self.kv,
                blocks: self.blocks(),
                block_tokens: self.block_tokens,
                block: self.block_bytes(),
            });
        }
        Ok(())
    }

    pub(crate) fn limits(&self, tier: Option<TierLimits>) -> Limits {
        Limits {
            max_batch: self.max_batch,
            step_tokens: self.step_tokens,
            block_tokens: self.block_tokens,
            // A pool of more blocks than this would be 100 TB and more.
            blocks: u32::try_from(self.blocks()).unwrap_or(u32::MAX - 1),
            prefix_cache: self.prefix_cache,
            tier,
            adapters: self.adapters.as_ref().map(|adapters| adapters.limits),
        }
    }

    pub(crate) fn roofline(&self) -> Roofline {
        Roofline::new(Machine::GB10, self.profile(), self.speed.0)
    }

    fn profile(&self) -> Profile {
        self.model.profile()
    }

    /// Blocks of the KV pool.
    pub(crate) fn blocks(&self) -> u64 {
        self.kv.0 / self.block_bytes().0.max(1)
    }
}

/// A factor on the modelled machine's speed.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Speed(f64);

impl Speed {
    /// As fast as the machine.
    pub const REAL: Speed = Speed(1.0);

    /// A factor between a thousandth and a million; None otherwise.
    pub fn new(factor: f64) -> Option<Self> {
        (1e-3..=1e6).contains(&factor).then_some(Self(factor))
    }

    /// The factor.
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| format!("'{text}' is no speed; give a factor from 0.001 to 1000000"))
    }
}

/// A size in bytes. Parses `4096`, `512K`, `8G`, `8GiB` (powers of 1024) and `8GB` (of 1000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

const BINARY: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BINARY.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) if self.0.is_multiple_of(*unit) => {
                write!(f, "{} {name}", self.0 / unit)
            }
            Some((name, unit)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is no size; write it as 4096, 512K, 8GiB or 8GB");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "K" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "T" | "TiB" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(refused()),
        };
        let number: u64 = number.parse().map_err(|_| refused())?;
        number.checked_mul(factor).map(Bytes).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_unit() {
        let size = |text: &str| text.parse::<Bytes>().map(|b| b.0);
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("8G"), Ok(8 << 30));
        assert_eq!(size("8 GiB"), Ok(8 << 30));
        assert_eq!(size("8GB"), Ok(8_000_000_000));
        for bad in ["", "G", "-1", "1.5G", "1X", "99999999999T"] {
            assert!(size(bad).unwrap_err().contains(bad), "{bad}");
        }
        assert_eq!(Bytes(2 << 30).to_string(), "2 GiB");
        assert_eq!(Bytes(2_359_296).to_string(), "2.2 MiB");
        assert_eq!(Bytes(12).to_string(), "12 B");
    }

    #[test]
    fn speeds_are_positive() {
        assert_eq!("4".parse::<Speed>().map(Speed::factor), Ok(4.0));
        for bad in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        assert_eq!(Config::default().check(), Ok(()));
        let small = Config {
            kv: Bytes(1 << 20),
            ..Config::default()
        };
        let error = small.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "a KV pool of 1 MiB holds 0 blocks of 16 tokens (2 MiB each); give it at least 4 blocks"
        );
        let none = Config {
            max_batch: 0,
            ..Config::default()
        };
        assert_eq!(
            none.check().unwrap_err().to_string(),
            "max_batch is 0; it must be at least 1"
        );
    }

    #[test]
    fn a_small_pool_bounds_the_context() {
        let config = Config {
            kv: Bytes(64 << 20),
            ..Config::default()
        };
        assert_eq!(config.context_tokens(), 512);
    }
}
