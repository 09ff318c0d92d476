//! The values of a plan. Each checks itself as it is read, so that an error names its line.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr, time::Duration};

/// A value that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfRange(pub(crate) String);

/// A phase's name: the start of its runs' folder names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhaseName(String);

impl PhaseName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PhaseName {
    type Error = OutOfRange;

    fn try_from(name: String) -> Result<Self, OutOfRange> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=32).contains(&name.len()) && name.chars().all(allowed) {
            return Ok(Self(name));
        }
        Err(OutOfRange(format!(
            "{name:?} is no name: use 1 to 32 of a-z, 0-9 and -"
        )))
    }
}

impl From<PhaseName> for String {
    fn from(name: PhaseName) -> Self {
        name.0
    }
}

/// The question that a plan is a form of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Experiment {
    /// Where added users only add waiting: the server's own limit, without storage.
    H0,
    /// Cold against warm: the model's files out of, or in, the page cache.
    H1,
    /// Latency against storage wait, over concurrency.
    H2,
    /// Storage QoS: with a neighbour on the same drive, or without.
    H4,
    /// The length of the context, and the KV cache that it takes.
    H5,
    /// LoRA adapters: one each, or another with every request.
    H6,
    /// KV tiers: prompts that come again, under several configurations of the server.
    Tiers,
}

impl Experiment {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Experiment::H0 => "h0",
            Experiment::H1 => "h1",
            Experiment::H2 => "h2",
            Experiment::H4 => "h4",
            Experiment::H5 => "h5",
            Experiment::H6 => "h6",
            Experiment::Tiers => "tiers",
        }
    }
}

/// The order of a plan's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Each repeat runs all levels in a random order of its own, and the arms of a level in order
    /// in odd repeats, in reverse in even ones.
    Shuffled,
    /// Each repeat runs the levels from few users to many, the arms always in order.
    Ascending,
    /// Levels up and arms in order in odd repeats, both reversed in even ones.
    Abba,
}

/// The API that is spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Completions where the server has it, else chat.
    Auto,
    /// `/v1/completions`.
    Completions,
    /// `/v1/chat/completions`.
    Chat,
}

macro_rules! whole_number {
    ($(#[$doc:meta])* $name:ident, $what:literal, $range:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name(u32);

        impl $name {
            /// The number.
            pub fn get(self) -> u32 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $crate::values::OutOfRange;

            fn try_from(value: i64) -> Result<Self, $crate::values::OutOfRange> {
                let range = $range;
                match u32::try_from(value) {
                    Ok(number) if range.contains(&number) => Ok(Self(number)),
                    _ => Err($crate::values::OutOfRange(format!(
                        "{value} is out of range for {}: use {} to {}",
                        $what, range.start(), range.end()
                    ))),
                }
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> i64 {
                value.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::values::OutOfRange;

            fn from_str(text: &str) -> Result<Self, $crate::values::OutOfRange> {
                let value: i64 = text
                    .trim()
                    .parse()
                    .map_err(|_| $crate::values::OutOfRange(format!("{text:?} is not a whole number")))?;
                Self::try_from(value)
            }
        }
    };
}
pub(crate) use whole_number;

whole_number! {
    /// Concurrent users.
    Users, "users", 1..=100_000
}

whole_number! {
    /// How often each level is measured.
    Repeats, "repeats", 1..=1_000
}

whole_number! {
    /// How readily the kernel swaps (Documentation/admin-guide/sysctl/vm.rst).
    Swappiness, "swappiness", 0..=200
}

whole_number! {
    /// A count of tokens.
    TokenCount, "a token count", 1..=1_000_000
}

/// The concurrency levels of a sweep: at least one, ascending, none twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Users>", into = "Vec<Users>")]
pub struct Sweep(Vec<Users>);

impl Sweep {
    /// The levels, from few users to many.
    pub fn levels(&self) -> &[Users] {
        &self.0
    }
}

impl TryFrom<Vec<Users>> for Sweep {
    type Error = OutOfRange;

    fn try_from(mut levels: Vec<Users>) -> Result<Self, OutOfRange> {
        if levels.is_empty() {
            return Err(OutOfRange(
                "a sweep needs one level of users at least".into(),
            ));
        }
        levels.sort_unstable();
        if let Some(twice) = levels.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(OutOfRange(format!(
                "{} users are named twice: repeats are what `repeats` is for",
                twice[0].get()
            )));
        }
        Ok(Self(levels))
    }
}

impl From<Sweep> for Vec<Users> {
    fn from(sweep: Sweep) -> Self {
        sweep.0
    }
}

/// As on the command line: `8,16,32`.
impl FromStr for Sweep {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let levels: Result<Vec<Users>, _> = text.split(',').map(str::parse).collect();
        Self::try_from(levels?)
    }
}

/// A span of time, as people write it: `300s`, `5m`, `500ms`. At most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl FromStr for Span {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|span| Duration::try_from(span).ok())
            .filter(|&span| span <= LONGEST)
            .map(Self)
            .ok_or_else(|| {
                OutOfRange(format!(
                    "{text:?} is no span of time: write one like \"300s\", \"5m\" or \"500ms\", at most a day"
                ))
            })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The distance of two telemetry ticks: 10 ms to 1 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Span", into = "Span")]
pub struct Tick(Duration);

impl Tick {
    /// The distance.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Span> for Tick {
    type Error = OutOfRange;

    fn try_from(span: Span) -> Result<Self, OutOfRange> {
        if (Duration::from_millis(10)..=Duration::from_secs(1)).contains(&span.0) {
            return Ok(Self(span.0));
        }
        Err(OutOfRange(format!(
            "{span} is out of range for a telemetry interval: use 10ms to 1s"
        )))
    }
}

impl From<Tick> for Span {
    fn from(tick: Tick) -> Self {
        Span(tick.0)
    }
}

impl FromStr for Tick {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        Self::try_from(text.parse::<Span>()?)
    }
}

macro_rules! real_number {
    ($(#[$doc:meta])* $name:ident, $what:literal, $range:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// The number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;

            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                let range = $range;
                if range.contains(&value) {
                    return Ok(Self(value));
                }
                Err(OutOfRange(format!(
                    "{value} is out of range for {}: use {} to {}",
                    $what, range.start(), range.end()
                )))
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }
    };
}

real_number! {
    /// A share in percent.
    Percent, "a percentage", 0.0..=100.0
}

impl Default for Percent {
    fn default() -> Self {
        Self(0.0)
    }
}

impl Percent {
    /// A default, in range.
    pub(crate) const fn literal(value: f64) -> Self {
        assert!(0.0 <= value && value <= 100.0);
        Self(value)
    }
}

real_number! {
    /// A sampling temperature.
    Temperature, "a temperature", 0.0..=2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_span_reads_as_people_write_it() {
        let span = |text: &str| text.parse::<Span>().map(|span| span.0);
        assert_eq!(span("300s"), Ok(Duration::from_secs(300)));
        assert_eq!(span("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "5", "-5s", "25h", "soon"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sweep_is_sorted_and_has_no_level_twice() {
        let sweep: Sweep = "32, 8,16".parse().unwrap();
        let levels: Vec<_> = sweep.levels().iter().map(|users| users.get()).collect();
        assert_eq!(levels, [8, 16, 32]);
        for text in ["", "8,8", "0", "8,x", "8;16"] {
            assert!(text.parse::<Sweep>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_span_reads_back(ms in 0..86_400_000u64) {
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
