//! What sampling itself costs: CPU time and lateness at 1, 10 and 100 ticks a second, with every
//! sensor on that this host has, the rows written as a run's are.
//!
//! `cargo run --release -p probe --example sampling_cost -- SECONDS [ROOT]`; ROOT names another
//! tree of /proc and /sys, such as that of a machine with more cores.

use clock::{MonoNs, SessionClock};
use nix::time::{ClockId, clock_gettime};
use probe::{Probes, Roots, SampleInterval, Sampler, device, gpu, page_cache::Files, server};
use record::TelemetryWriter;
use std::{error::Error, path::Path, thread, time::Duration};

#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let roots = match arguments.next() {
        Some(root) => Roots::under(Path::new(&root)),
        None => Roots::default(),
    };
    println!("hz   due  taken  cpu_us_per_tick  cpu_pct_of_a_core  late_p99_us  urgency");
    for hz in [1, 10, 100] {
        let probes = every_sensor(&roots)?;
        let folder = tempfile::tempdir()?;
        let mut writer = TelemetryWriter::create(folder.path(), probes.columns())?;
        let interval = SampleInterval::new(Duration::from_secs(1) / hz)?;
        let (cpu_before, began) = (cpu_time()?, MonoNs::now());
        let sampler = Sampler::start(
            probes,
            interval,
            SessionClock::start(),
            move |row, cores| {
                // A full disk shows in the count of rows.
                let _ = writer.tick(row, cores);
            },
        )?;
        thread::sleep(Duration::from_secs(seconds));
        let sampled = sampler.stop();
        let facts = sampled.facts;
        let (cpu, wall) = (cpu_time()? - cpu_before, MonoNs::now().since(began));
        let ticks = facts.ticks_taken;
        println!(
            "{hz:3} {:5} {ticks:6}  {:15.1}  {:17.3}  {:11.0}  {:?}",
            facts.ticks_due,
            cpu.as_secs_f64() * 1e6 / ticks as f64,
            100.0 * cpu.as_secs_f64() / wall.as_secs_f64(),
            facts.late_p99_us.unwrap_or(f64::NAN),
            sampled.urgency,
        );
    }
    Ok(())
}

fn every_sensor(roots: &Roots) -> Result<Probes, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let under_test = device::resolve(roots, &program);
    let myself = server::by_pid(&Roots::default(), std::process::id())?;
    let probes = Probes::open(roots, Some(&under_test))
        .with_server(&Roots::default(), myself)
        .with_files(Files::open(&program)?);
    Ok(match gpu::find() {
        Ok(gpus) => probes.with_gpus(&gpus),
        Err(_) => probes,
    })
}

/// The CPU time of all threads of this process.
fn cpu_time() -> nix::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}
