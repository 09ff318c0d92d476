//! `*_mpstat.log`: the CPUs' times second by second, in percent.
//!
//! The seconds follow each other without gaps, so shares times the seconds between two stamps
//! are times again, but for two decimals of rounding.

use record::CpuTimes;
use std::collections::BTreeMap;

/// Seconds of a day.
const DAY_S: u32 = 86_400;

/// In the order of [`CpuTimes::fields`]: the columns that add up to each.
const FIELDS: [&[&str]; 8] = [
    &["%usr", "%guest"],
    &["%nice", "%gnice"],
    &["%sys"],
    &["%iowait"],
    &["%irq"],
    &["%soft"],
    &["%steal"],
    &["%idle"],
];

/// The times of all cores since the log began, after so many seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Second {
    pub(crate) after_s: u32,
    pub(crate) cores: BTreeMap<u32, CpuTimes>,
}

impl Second {
    /// All cores together.
    pub(crate) fn all(&self) -> CpuTimes {
        let mut sum = CpuTimes::default();
        for core in self.cores.values() {
            sum.usr_ms += core.usr_ms;
            sum.nice_ms += core.nice_ms;
            sum.sys_ms += core.sys_ms;
            sum.iowait_ms += core.iowait_ms;
            sum.irq_ms += core.irq_ms;
            sum.soft_ms += core.soft_ms;
            sum.steal_ms += core.steal_ms;
            sum.idle_ms += core.idle_ms;
        }
        sum
    }
}

/// A log as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Log {
    pub(crate) hostname: Option<String>,
    pub(crate) arch: Option<String>,
    pub(crate) seconds: Vec<Second>,
}

impl Log {
    /// In words why not.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut log = Self::default();
        let mut reader = Reader::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] | ["Average:", ..] => {}
                ["Linux", ..] => log.banner(&words),
                _ if words.contains(&"CPU") => reader.header(&words),
                _ => reader.row(&words)?,
            }
        }
        log.seconds = reader.finish();
        if log.seconds.len() < 2 {
            return Err("mpstat.log holds no second of any core".to_owned());
        }
        Ok(log)
    }

    /// `Linux 6.11.0 (host) 11/12/25 _aarch64_ (20 CPU)`.
    fn banner(&mut self, words: &[&str]) {
        let host = words
            .get(2)
            .and_then(|it| it.strip_prefix('(')?.strip_suffix(')'));
        self.hostname = host.map(str::to_owned);
        let arch = words
            .iter()
            .find_map(|it| it.strip_prefix('_')?.strip_suffix('_'));
        self.arch = arch.map(str::to_owned);
    }
}

#[derive(Default)]
struct Reader {
    /// Which field of [`FIELDS`] each column of the table adds to.
    columns: Vec<Option<usize>>,
    /// Where the column `CPU` stands: before it is the time, of one word or two.
    cpu: usize,
    /// The time of day of the rows that are being read.
    at_s: Option<u32>,
    after_s: u32,
    /// Milliseconds since the log began, by core.
    spent: BTreeMap<u32, [f64; 8]>,
    shares: BTreeMap<u32, [f64; 8]>,
    seconds: Vec<Second>,
}

impl Reader {
    fn header(&mut self, words: &[&str]) {
        self.cpu = words.iter().position(|word| *word == "CPU").unwrap_or(1);
        let field = |name: &&str| FIELDS.iter().position(|names| names.contains(name));
        self.columns = words[self.cpu + 1..].iter().map(field).collect();
    }

    fn row(&mut self, words: &[&str]) -> Result<(), String> {
        let refuse = || format!("mpstat.log: not a row of it: {:?}", words.join(" "));
        // A kill cuts the last row short.
        if words.len() < self.cpu + 1 + self.columns.len() || self.columns.is_empty() {
            return if self.columns.is_empty() {
                Err(refuse())
            } else {
                Ok(())
            };
        }
        let at = time_of_day(&words[..self.cpu]).ok_or_else(refuse)?;
        if self.at_s != Some(at) {
            self.close(at);
        }
        let Ok(core) = words[self.cpu].parse() else {
            return Ok(());
        };
        let mut shares = [0.0; 8];
        for (field, word) in self.columns.iter().zip(&words[self.cpu + 1..]) {
            let value: f64 = word.parse().map_err(|_| refuse())?;
            if let Some(field) = field {
                shares[*field] += value;
            }
        }
        self.shares.insert(core, shares);
        Ok(())
    }

    /// Ends the second that was being read. The first is one second long, as it was asked for.
    fn close(&mut self, next_s: u32) {
        let Some(at) = self.at_s.replace(next_s) else {
            self.after_s = 1;
            return;
        };
        self.push();
        self.after_s += (next_s + DAY_S - at) % DAY_S;
    }

    fn push(&mut self) {
        let before = self.seconds.last().map_or(0, |second| second.after_s);
        let seconds = f64::from(self.after_s - before);
        if self.seconds.is_empty() {
            let zero = self.shares.keys().map(|&core| (core, CpuTimes::default()));
            self.seconds.push(Second {
                after_s: 0,
                cores: zero.collect(),
            });
        }
        for (core, shares) in std::mem::take(&mut self.shares) {
            let spent = self.spent.entry(core).or_default();
            for (sum, share) in spent.iter_mut().zip(shares) {
                *sum += share * 10.0 * seconds;
            }
        }
        let cores = self.spent.iter().map(|(&core, spent)| (core, times(spent)));
        self.seconds.push(Second {
            after_s: self.after_s,
            cores: cores.collect(),
        });
    }

    fn finish(mut self) -> Vec<Second> {
        if !self.shares.is_empty() {
            self.push();
        }
        self.seconds
    }
}

fn times(spent: &[f64; 8]) -> CpuTimes {
    CpuTimes::from_fields(spent.map(|ms| ms.round() as u64))
}

/// `15:30:12`, or `03:30:12 PM`.
fn time_of_day(words: &[&str]) -> Option<u32> {
    let parts: Option<Vec<u32>> = words
        .first()?
        .split(':')
        .map(|it| it.parse().ok())
        .collect();
    let [hours, minutes, seconds] = parts?[..] else {
        return None;
    };
    let hours = match words.get(1) {
        None => hours,
        Some(&"AM") => hours % 12,
        Some(&"PM") => hours % 12 + 12,
        Some(_) => return None,
    };
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Linux 6.11.0-1016-nvidia (spark) \t11/12/25 \t_aarch64_\t(2 CPU)\n\n";
    const COLUMNS: &str =
        "CPU    %usr   %nice    %sys %iowait    %irq   %soft  %steal  %guest  %gnice   %idle\n";

    fn second(time: &str, iowait: f64) -> String {
        let row = |core: &str| {
            format!(
                "{time}  {core}  10.00 0.00 5.00 {iowait:.2} 0.00 1.00 0.00 2.00 0.00 {:.2}\n",
                82.0 - iowait
            )
        };
        format!("{time}  {COLUMNS}{}{}{}\n", row("all"), row("0"), row("1"))
    }

    #[test]
    fn shares_become_times_core_by_core() {
        let text = format!(
            "{HEAD}{}{}",
            second("15:30:13", 4.0),
            second("15:30:14", 6.0)
        );
        let log = Log::parse(&text).unwrap();
        assert_eq!(log.hostname.as_deref(), Some("spark"));
        assert_eq!(log.arch.as_deref(), Some("aarch64"));
        let last = log.seconds.last().unwrap();
        assert_eq!((last.after_s, last.cores.len()), (2, 2));
        let times = last.cores[&1];
        // Guests are part of user time here; 4 % and 6 % of a second are 100 ms together.
        assert_eq!(
            (times.usr_ms, times.iowait_ms, times.soft_ms),
            (240, 100, 20)
        );
        assert_eq!(times.fields().iter().sum::<u64>(), 2000);
    }

    #[test]
    fn twelve_hours_midnight_and_a_slipped_second() {
        let text = format!(
            "{HEAD}{}{}{}",
            second("11:59:58 PM", 0.0),
            second("12:00:00 AM", 0.0),
            second("12:00:01 AM", 0.0)
        );
        let log = Log::parse(&text).unwrap();
        let after: Vec<u32> = log.seconds.iter().map(|it| it.after_s).collect();
        assert_eq!(after, [0, 1, 3, 4]);
        assert_eq!(log.seconds[3].cores[&0].sys_ms, 200);
    }

    #[test]
    fn averages_are_left_out_and_a_torn_row_too() {
        let average = "Average:     all    1.00    0.00\nAverage:       0    1.00\n";
        let text = format!(
            "{HEAD}{}15:30:14  0  10.00 0.00\n{average}",
            second("15:30:13", 4.0)
        );
        assert_eq!(Log::parse(&text).unwrap().seconds.len(), 2);
    }

    #[test]
    fn another_locale_or_an_empty_log_is_refused() {
        assert!(Log::parse("").is_err());
        let comma = format!("{HEAD}{}", second("15:30:13", 4.0)).replace(".00", ",00");
        let error = Log::parse(&comma).unwrap_err();
        assert!(error.contains("mpstat.log"), "{error}");
    }
}
