//! `spillpoint watch`: telemetry alone, to the screen and to files.

use crate::{
    cli,
    exit::{Exit, OrExit, Result},
    interrupt,
    sparkline::Sparkline,
};
use anyhow::Context;
use clock::SessionClock;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use load::Stop;
use probe::{Live, Probes, Roots, SampleInterval, Sampler, device, gpu};
use record::{RecordError, TelemetryWriter};
use std::{
    fs,
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// How often the screen follows; the files have every tick.
const REFRESH: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &cli::Watch) -> Result {
    let interval = SampleInterval::new(args.interval.get()).or_usage()?;
    let roots = Roots::default();
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
    let sink = move |row: &_, cores: &[_]| {
        if let Some(Err(error)) = writer.as_mut().map(|writer| writer.tick(row, cores)) {
            // Only the first counts: the others follow from it.
            let _ = noted.set(error);
        }
    };
    let stop = Stop::default();
    interrupt::ask_on_signal(&stop).or_failed()?;
    let sampler = Sampler::start(probes, interval, SessionClock::start(), sink).or_failed()?;
    let name = under_test.name.as_deref().unwrap_or("no block device");
    follow(
        &sampler,
        name,
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

/// Shows the last second, once a second, until it is over.
fn follow(
    sampler: &Sampler,
    device: &str,
    limit: Option<Duration>,
    stop: &Stop,
    trouble: &OnceLock<RecordError>,
) -> Result<()> {
    let mut screen: Box<dyn Screen> = match io::stdout().is_terminal() {
        true => Box::new(Lines::new(device)),
        false => Box::new(Log::default()),
    };
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

/// A terminal: a line a figure, its last minute drawn.
struct Lines {
    lines: Vec<(ProgressBar, Sparkline)>,
}

impl Lines {
    fn new(device: &str) -> Self {
        let all = MultiProgress::new();
        let line = |(name, unit, _): &Figure| {
            let style = ProgressStyle::with_template("{prefix:16} {wide_msg}")
                .expect("the template is well-formed");
            let line = all.add(ProgressBar::new_spinner().with_style(style));
            line.set_prefix(format!("{name}, {unit}"));
            (line, Sparkline::new(60))
        };
        let lines = FIGURES.iter().map(line).collect();
        // Without a terminal's room the line is lost, nothing else.
        let _ = all.println(format!("device: {device}; Ctrl-C ends"));
        Self { lines }
    }
}

impl Screen for Lines {
    fn show(&mut self, _: Duration, live: &Live) -> io::Result<()> {
        for ((line, past), (.., value)) in self.lines.iter_mut().zip(&FIGURES) {
            let value = value(live);
            past.push(value);
            line.set_message(format!("{past} {}", shown(value)));
            line.tick();
        }
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
