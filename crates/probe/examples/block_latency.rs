//! Prints how long each kind of request to each drive took, over some seconds, and what it cost to
//! know that.
//!
//! `block_latency SECONDS`, as root.

use probe::{Roots, block_latency::BlockLatency};
use std::{error::Error, thread, time::Duration};

#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(10), |text| text.parse())?;
    let watch = BlockLatency::start(&Roots::default())?;
    thread::sleep(Duration::from_secs(seconds));
    let latencies = watch.read()?;
    println!("device  kind  process  count  p50_us  p99_us  max_us");
    for histogram in &latencies.histograms {
        let until = |share| {
            let bucket = histogram.quantile(share);
            bucket.map_or(f64::NAN, |bucket| bucket.until_ns as f64 / 1e3)
        };
        println!(
            "{}  {:?}  {} {}  {}  {:.1}  {:.1}  {:.1}",
            histogram.device,
            histogram.kind,
            histogram.pid.unwrap_or_default(),
            histogram.process.as_deref().unwrap_or("ended"),
            histogram.count(),
            until(0.5),
            until(0.99),
            until(1.0),
        );
    }
    println!(
        "unmatched {}, uncounted {}, missed {:?}, cost {:?}",
        latencies.unmatched,
        latencies.uncounted,
        latencies.missed,
        watch.cost()
    );
    Ok(())
}
