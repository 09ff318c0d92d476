//! `spillpoint watch`: telemetry alone, to the screen and to files.

use crate::{
    cli::{self, ProgressView},
    exit::{Exit, OrExit, Result},
    interrupt,
    named_file::is_there,
    progress::wants_dashboard,
};
use anyhow::Context;
use clock::SessionClock;
use dash::{Dashboard, HostTitle};
use load::Stop;
use openmetrics::{Facts, Server};
use probe::{Latest, Live, Probes, Roots, SampleInterval, Sampler, device, gpu, host};
use record::{DeviceUnderTest, RecordError, TelemetryWriter};
use std::{
    fs,
    io::{self, Write},
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// How often the screen follows; the files have every tick.
const REFRESH: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &cli::Watch) -> Result {
    let interval = SampleInterval::new(args.interval.get()).or_usage()?;
    let roots = Roots::default();
    is_there(&args.storage)?;
    let under_test = device::resolve(&roots, &args.storage);
    let mut probes = Probes::open(&roots, Some(&under_test));
    if let Ok(gpus) = gpu::find() {
        probes = probes.with_gpus(&gpus);
    }
    for fault in probes.faults() {
        writeln!(io::stderr(), "{fault}")?;
    }
    let trouble: Arc<OnceLock<RecordError>> = Arc::default();
    let mut writer = writer(args, &probes)?;
    let noted = Arc::clone(&trouble);
    let latest = Latest::default();
    let mut shown = latest.writer(probes.columns());
    let sink = move |row: &_, cores: &[_]| {
        shown.note(row, cores);
        if let Some(Err(error)) = writer.as_mut().map(|writer| writer.tick(row, cores)) {
            // Only the first counts: the others follow from it.
            let _ = noted.set(error);
        }
    };
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    let server = serve(args, &latest)?;
    let screen = screen(args, &under_test, latest, server.as_ref())?;
    let sampler = Sampler::start(probes, interval, SessionClock::start(), sink).or_failed()?;
    follow(
        &sampler,
        screen,
        args.duration.map(|span| span.0),
        &stop,
        &trouble,
    )?;
    let facts = sampler.stop().facts;
    writeln!(
        io::stderr(),
        "{} of {} ticks taken, the 99th percentile {} µs late",
        facts.ticks_taken,
        facts.ticks_due,
        facts
            .late_p99_us
            .map_or_else(|| "–".to_owned(), |us| format!("{us:.0}"))
    )?;
    match Arc::into_inner(trouble).and_then(OnceLock::into_inner) {
        Some(error) => Err(Exit::Failed(error.into())),
        None => Ok(Exit::Done),
    }
}

fn writer(args: &cli::Watch, probes: &Probes) -> Result<Option<TelemetryWriter>> {
    let Some(folder) = &args.out else {
        return Ok(None);
    };
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot make the folder", folder.display()))
        .or_usage()?;
    TelemetryWriter::create(folder, probes.columns())
        .or_usage()
        .map(Some)
}

/// Starts serving metrics, if that is wanted.
fn serve(args: &cli::Watch, latest: &Latest) -> Result<Option<Server>> {
    let Some(address) = args.serve.map(|serve| serve.0) else {
        return Ok(None);
    };
    if !address.ip().is_loopback() {
        writeln!(
            io::stderr(),
            "warning: {address} is not loopback: whoever reaches it can read what this host does, \
             without a password and unencrypted"
        )?;
    }
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        page_bytes: host::facts(&Roots::default()).page_size_bytes,
    };
    let server = Server::start(address, latest.clone(), facts).or_usage()?;
    writeln!(io::stderr(), "{}", serving(&server))?;
    Ok(Some(server))
}

fn serving(server: &Server) -> String {
    format!("serving http://{}/metrics", server.address())
}

/// What it is shown on.
fn screen(
    args: &cli::Watch,
    under_test: &DeviceUnderTest,
    latest: Latest,
    server: Option<&Server>,
) -> Result<Box<dyn Screen>> {
    if wants_dashboard(args.progress, dash::Screen::Stdout)? {
        let files = args.out.iter().map(|out| format!("into {}", out.display()));
        let title = HostTitle {
            device: under_test.name.clone(),
            limit: args.duration.map(|span| span.0),
            also: files.chain(server.map(serving)).collect(),
        };
        let dashboard = Dashboard::of_host(title, latest, dash::Screen::Stdout);
        return Ok(Box::new(dashboard.or_failed()?));
    }
    Ok(match args.progress {
        ProgressView::None => Box::new(Nothing),
        _ => Box::new(Log::default()),
    })
}

/// Shows the last second, once a second, until it is over.
fn follow(
    sampler: &Sampler,
    mut screen: Box<dyn Screen>,
    limit: Option<Duration>,
    stop: &Stop,
    trouble: &OnceLock<RecordError>,
) -> Result<()> {
    let began = Instant::now();
    let over = |elapsed: Duration| limit.is_some_and(|limit| elapsed >= limit);
    let mut due = REFRESH;
    while !stop.is_stopped() && trouble.get().is_none() && !over(began.elapsed()) {
        thread::sleep(Duration::from_millis(50));
        if began.elapsed() >= due {
            due += REFRESH;
            screen.show(began.elapsed(), &sampler.live())?;
        }
    }
    Ok(())
}

trait Screen {
    fn show(&mut self, elapsed: Duration, live: &Live) -> io::Result<()>;
}

/// A figure of [`Live`], by its name and unit.
type Figure = (&'static str, &'static str, fn(&Live) -> Option<f64>);

const FIGURES: [Figure; 5] = [
    ("read", "MB/s", |live| live.device_read_mb_s),
    ("write", "MB/s", |live| live.device_write_mb_s),
    ("iowait", "%", |live| live.iowait_pct),
    ("PSI io", "%", |live| live.psi_io_some_pct),
    ("available", "GiB", |live| {
        Some(live.mem_available_bytes? as f64 / f64::from(1 << 30))
    }),
];

/// A terminal: the dashboard follows by itself.
impl Screen for Dashboard {
    fn show(&mut self, _: Duration, _: &Live) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing is shown.
struct Nothing;

impl Screen for Nothing {
    fn show(&mut self, _: Duration, _: &Live) -> io::Result<()> {
        Ok(())
    }
}

/// Anything else: a line a second.
#[derive(Default)]
struct Log {
    begun: bool,
}

impl Screen for Log {
    fn show(&mut self, elapsed: Duration, live: &Live) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.begun {
            self.begun = true;
            write!(out, "{:>6}", "s")?;
            for (name, unit, _) in &FIGURES {
                write!(out, "  {:>16}", format!("{name}, {unit}"))?;
            }
            writeln!(out)?;
        }
        write!(out, "{:>6}", elapsed.as_secs())?;
        for (.., value) in &FIGURES {
            write!(out, "  {:>16}", shown(value(live)))?;
        }
        writeln!(out)
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}
