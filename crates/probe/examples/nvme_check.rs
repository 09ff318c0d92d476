//! Looks at one NVMe drive with everything that this crate has for it, reads from it, and checks
//! the controller's count of the bytes against the block layer's, and the count of the latency
//! histograms against the block layer's requests.
//!
//! `nvme_check /dev/nvme0n1 MIB`, as root with tracefs mounted. Says `AGREES` or `DIFFERS` of the
//! bytes, and `AGREE` or `DIFFER` of the requests.

use clock::SessionClock;
use probe::{
    Probes, Roots, SampleInterval, Sampler,
    block_latency::{BlockLatency, Kind},
    device,
    nvme::{self, SmartDelta},
};
use record::{Column, Device, DeviceUnderTest, Value};
use std::{error::Error, fs::File, io::Read, path::Path, sync::mpsc, thread, time::Duration};

#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(mib)) = (arguments.next(), arguments.next()) else {
        return Err("give a drive and a number of MiB: /dev/nvme0n1 64".into());
    };
    let mib: usize = mib.parse()?;
    let roots = Roots::default();
    let under_test = device::resolve(&roots, Path::new(&path));
    println!("{under_test:?}");
    let disk = under_test.name.clone().ok_or("no device")?;
    println!("{:?}", device::disk_facts(&roots, &disk));

    let before = nvme::read(&roots, &disk)?;
    println!("{before:?}");
    let latency = BlockLatency::start(&roots)?;
    let (block_bytes, requests) = sample_reading(&roots, &under_test, &disk, mib)?;
    let latencies = latency.read()?;
    let after = nvme::read(&roots, &disk)?;
    let delta = SmartDelta::between(&before, &after).ok_or("a counter fell")?;
    let check = nvme::cross_check(delta.data_units_read, block_bytes);
    println!(
        "{delta:?}\n{check:?}\n{}",
        if check.agrees { "AGREES" } else { "DIFFERS" }
    );
    let reads = latencies.of(&disk, Kind::Read);
    // What the kernel had no room to run a program for, it says.
    let agree = (reads.count()..=reads.count() + latencies.missed.unwrap_or(0)).contains(&requests);
    println!(
        "histogram of {} of {requests} reads, missed {:?}, median {:?}, slowest {:?}; {:?}\nrequests {}",
        reads.count(),
        latencies.missed,
        reads.quantile(0.5),
        reads.quantile(1.0),
        latency.cost(),
        if agree { "AGREE" } else { "DIFFER" }
    );
    Ok(())
}

/// Reads from the drive while it is sampled; gives the bytes and the requests that the block
/// layer counted.
#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn sample_reading(
    roots: &Roots,
    under_test: &DeviceUnderTest,
    disk: &str,
    mib: usize,
) -> Result<(u64, u64), Box<dyn Error>> {
    let probes = Probes::open(roots, Some(under_test));
    let place = |field| {
        let column = Column::Device(disk.to_owned(), field);
        let found = probes.columns().iter().position(|other| *other == column);
        found.ok_or("the drive has no columns")
    };
    let (read, temp) = (place(Device::ReadBytes)?, place(Device::TempC)?);
    let reads = place(Device::ReadsCount)?;
    let (send, ticks) = mpsc::channel();
    let interval = SampleInterval::DEFAULT;
    let sampler = Sampler::start(probes, interval, SessionClock::start(), move |row, _| {
        let counters = [row.values[read], row.values[reads]];
        let _ = send.send((counters, row.values[temp]));
    })?;
    thread::sleep(Duration::from_millis(300));
    let mut file = File::open(&under_test.path)?;
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..mib {
        file.read_exact(&mut chunk)?;
    }
    // A read-ahead may still be on its way.
    thread::sleep(Duration::from_secs(2));
    let faults = sampler.stop().faults;
    let ticks: Vec<_> = ticks.iter().collect();
    let temp = ticks.iter().find(|(_, temp)| *temp != Value::Absent);
    println!(
        "faults {faults:?}; temperature {:?}",
        temp.map(|(_, temp)| temp)
    );
    match (ticks.first(), ticks.last()) {
        (
            Some(([Value::Int(first_bytes), Value::Int(first)], _)),
            Some(([Value::Int(last_bytes), Value::Int(last)], _)),
        ) => Ok((last_bytes - first_bytes, last - first)),
        _ => Err("the drive's counters could not be read".into()),
    }
}
