//! Prints the GPU columns once a second as CSV, to be laid beside `nvidia-smi
//! --query-gpu=utilization.gpu,clocks.sm,power.draw,temperature.gpu,memory.used --format=csv -l 1`.
//!
//! `cargo run -p probe --example gpu_beside_smi -- SECONDS`

use clock::{ClockPair, SessionClock};
use probe::{Probes, Roots, SampleInterval, Sampler, gpu};
use record::{Column, Value};
use std::{error::Error, thread, time::Duration};

#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(60), |text| text.parse())?;
    let gpus = gpu::find()?;
    for gpu in &gpus {
        println!("# {gpu:?}");
    }
    let probes = Probes::open(&Roots::default(), None).with_gpus(&gpus);
    let columns = probes.columns().iter().enumerate();
    let columns = columns.filter(|(_, column)| matches!(column, Column::Gpu(..)));
    let (places, names): (Vec<_>, Vec<_>) = columns
        .map(|(place, column)| (place, column.to_string()))
        .unzip();
    println!("utc_ms,{}", names.join(","));
    let interval = SampleInterval::new(Duration::from_secs(1))?;
    let sampler = Sampler::start(probes, interval, SessionClock::start(), move |row, _| {
        let values = places.iter().map(|&place| match row.values[place] {
            Value::Absent => String::new(),
            Value::Int(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
        });
        let values: Vec<_> = values.collect();
        println!(
            "{},{}",
            ClockPair::read().utc_ns / 1_000_000,
            values.join(",")
        );
    })?;
    thread::sleep(Duration::from_secs(seconds));
    let sampled = sampler.stop();
    println!("# {:?}", sampled.facts);
    Ok(())
}
