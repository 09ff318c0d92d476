//! Quantiles and their intervals. Every function names the source of its method.
//!
//! The path of a figure: values become [`Sorted`]; a [`Percentile`] of them is an observed value,
//! given only where enough values back it; its 95 % interval comes from what repeats differ by
//! where there are several ([`repeat_interval`]), and within one run from order statistics,
//! lengthened by what neighbours are alike ([`time_ordered_interval`]), or a [`ClusterBootstrap`]
//! where values come in clusters, as gaps do in requests.

mod binomial;
mod bootstrap;
mod cluster;
mod dependent;
mod knee;
mod normal;
mod order;
mod paired;
mod quantile;
mod ratio;
mod repeats;
mod shift;
mod spans;
mod steady;

pub use binomial::binomial_cdf;
pub use bootstrap::{ClusterBootstrap, Clustered, REPLICATES, SEED};
pub use cluster::ClusterShares;
pub use dependent::{BatchShares, time_ordered_interval};
pub use knee::{Knee, knee};
pub use order::{order_statistic_interval, order_statistic_ranks};
pub use paired::{PairedEffect, paired_effect};
pub use quantile::{Percentile, Sorted};
pub use ratio::{PairedRatio, UnpairedRatio, paired_ratio, unpaired_ratio};
pub use repeats::repeat_interval;
pub use shift::{Coincidence, Stretch, coincidence};
pub use spans::{Pool, Spans, SpansBuilder, millis};
pub use steady::settles_at;

/// The confidence of every interval in this crate.
pub const CONFIDENCE: f64 = 0.95;
