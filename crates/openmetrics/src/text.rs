//! One tick as text: pure.

use crate::family::{CORE, Family, MODES, Place, THROTTLE_REASONS, THROTTLED, place};
use probe::Seen;
use record::{Column, CpuTimes, Gpu, Kind};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

/// The two forms of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own text, which is older: for those who don't ask for the other.
    Prometheus,
}

impl Format {
    /// The form that a request's `Accept` asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accepts_openmetrics(accept) => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// What `Content-Type` says of it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Whether OpenMetrics is among what is accepted, and not refused by a weight of 0.
fn accepts_openmetrics(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next() == Some("application/openmetrics-text");
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.trim_matches(['0', '.']).is_empty());
        named && !refused
    })
}

/// What does not change from tick to tick.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Spillpoint's version.
    pub version: String,
    /// Bytes of a page of memory.
    pub page_bytes: u64,
}

/// Writes ticks. A counter that it has written never falls: the kernel's own may (iowait, idle), and
/// a scraper would take that for a restart and the whole value for growth.
#[derive(Debug)]
pub struct Exposition {
    facts: Facts,
    highest: HashMap<(&'static str, String), f64>,
}

/// One series' value: its labels, written out, and the number.
type Series = (String, f64);

/// All series of a family; families by their names, each in one piece as the format wants it.
type Families = BTreeMap<Family, (Kind, Vec<Series>)>;

impl Exposition {
    /// Begins with nothing written.
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            highest: HashMap::new(),
        }
    }

    /// The whole text of a tick. What no sensor gave is not there. Without a tick there are the
    /// facts alone.
    pub fn text(&mut self, seen: Option<&Seen>, format: Format) -> String {
        let mut families = Families::new();
        if let Some(seen) = seen {
            self.columns(seen, &mut families);
            self.cores(seen, &mut families);
            self.ticks(seen, &mut families);
        }
        let mut text = build_info(&self.facts.version, format);
        for (family, (kind, series)) in &families {
            write_family(&mut text, family, *kind, series, format);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn columns(&mut self, seen: &Seen, families: &mut Families) {
        for column in seen.columns.iter() {
            let Some(value) = seen.number(column) else {
                continue;
            };
            if let Column::Gpu(number, Gpu::ThrottleReasons) = column {
                throttled(*number, value as u64, families);
                continue;
            }
            let place = place(column);
            let value = place.scale.apply(value, self.facts.page_bytes);
            self.add(&place, value, families);
        }
    }

    fn cores(&mut self, seen: &Seen, families: &mut Families) {
        for core in &seen.cores {
            for (mode, ms) in MODES.iter().zip(CpuTimes::fields(&core.times)) {
                let place = Place {
                    family: CORE,
                    kind: Kind::Counter,
                    labels: vec![("cpu", core.core.to_string()), ("mode", (*mode).to_owned())],
                    scale: crate::family::Scale::Milli,
                };
                let value = place.scale.apply(ms as f64, self.facts.page_bytes);
                self.add(&place, value, families);
            }
        }
    }

    fn ticks(&mut self, seen: &Seen, families: &mut Families) {
        const DUE: Family = Family {
            name: "sampler_ticks_due",
            unit: "",
            help: "Ticks that the sampler's schedule asked for.",
        };
        const TAKEN: Family = Family {
            name: "sampler_ticks_taken",
            unit: "",
            help: "Ticks that the sampler took.",
        };
        for (family, count) in [(DUE, seen.row.tick + 1), (TAKEN, seen.ticks_taken)] {
            let series = vec![(String::new(), count as f64)];
            families.insert(family, (Kind::Counter, series));
        }
    }

    fn add(&mut self, place: &Place, value: f64, families: &mut Families) {
        let labels = labels(&place.labels);
        let value = match place.kind {
            Kind::Gauge => value,
            Kind::Counter => {
                let key = (place.family.name, labels.clone());
                let highest = self.highest.entry(key).or_insert(value);
                *highest = highest.max(value);
                *highest
            }
        };
        let family = families.entry(place.family);
        let (_, series) = family.or_insert_with(|| (place.kind, Vec::new()));
        series.push((labels, value));
    }
}

fn throttled(number: u32, bits: u64, families: &mut Families) {
    let family = families.entry(THROTTLED);
    let (_, series) = family.or_insert_with(|| (Kind::Gauge, Vec::new()));
    for (bit, reason) in THROTTLE_REASONS {
        let labels = labels(&[("gpu", number.to_string()), ("reason", reason.to_owned())]);
        series.push((labels, f64::from(u8::from(bits & bit != 0))));
    }
}

/// `{a="1",b="2"}`, or nothing.
fn labels(labels: &[(&'static str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs = labels.iter().map(|(name, value)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

const HELP_OF_BUILD: &str = "The Spillpoint that is scraped.";

fn build_info(version: &str, format: Format) -> String {
    let labels = labels(&[("version", version.to_owned())]);
    // The older form knows no `info`.
    let (name, kind) = match format {
        Format::OpenMetrics => ("spillpoint_build", "info"),
        Format::Prometheus => ("spillpoint_build_info", "gauge"),
    };
    format!(
        "# TYPE {name} {kind}\n# HELP {name} {HELP_OF_BUILD}\nspillpoint_build_info{labels} 1\n"
    )
}

fn write_family(text: &mut String, family: &Family, kind: Kind, series: &[Series], format: Format) {
    let Family { name, unit, help } = family;
    let (kind, suffix) = match kind {
        Kind::Counter => ("counter", "_total"),
        Kind::Gauge => ("gauge", ""),
    };
    // A counter's family has its samples' suffix in the older form alone.
    let of_family = match format {
        Format::OpenMetrics => "",
        Format::Prometheus => suffix,
    };
    // Writing to a String can't fail.
    let _ = writeln!(text, "# TYPE spillpoint_{name}{of_family} {kind}");
    if format == Format::OpenMetrics && !unit.is_empty() {
        let _ = writeln!(text, "# UNIT spillpoint_{name} {unit}");
    }
    let _ = writeln!(text, "# HELP spillpoint_{name}{of_family} {help}");
    for (labels, value) in series {
        let _ = writeln!(text, "spillpoint_{name}{suffix}{labels} {value}");
    }
}

#[cfg(test)]
mod tests;
