//! A calibration for people. Pure.

use crate::{Calibration, Level, Spread, Telemetry};
use std::fmt::Write as _;

const HEAD: [&str; 2] = [
    "                             TTFT error, µs    ITL error, µs     e2e error, µs     client   ticks late",
    "  users   tokens/s  failed      p50      p99      p50      p99      p50      p99   µs/token      p99, µs",
];

impl Calibration {
    /// The table, and the sentences that it comes down to.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let cpu = self.host.cpu.as_deref().unwrap_or("unknown CPU");
        writeln!(
            text,
            "The instrument's own error on {}: Linux {}, {cpu}, {} cores; {}, spillpoint {}",
            self.host.hostname, self.host.kernel, self.host.cores, self.made, self.version,
        )?;
        writeln!(
            text,
            "Reported less true; p50 has a sign, p99 is of the magnitude.\n"
        )?;
        writeln!(text, "{}\n{}", HEAD[0], HEAD[1])?;
        for level in &self.levels {
            write_level(text, level)?;
        }
        writeln!(text, "\n{}", self.verdict())?;
        writeln!(text, "{}", ticks(&self.telemetry))?;
        if let Some(note) = self.doubt() {
            writeln!(text, "{note}")?;
        }
        Ok(())
    }

    fn verdict(&self) -> String {
        let limit = self.limit_us / 1e3;
        let most = self.levels.last().map(|level| level.users);
        match self.holds_up_to_users {
            None => {
                format!("At no load that was tried is the p99 error known to be under {limit} ms.")
            }
            Some(users) if Some(users) == most => {
                format!(
                    "The p99 error stays under {limit} ms up to {users} users, the most that were tried."
                )
            }
            Some(users) => format!("The p99 error stays under {limit} ms up to {users} users."),
        }
    }

    /// What makes the truth itself less than sure.
    fn doubt(&self) -> Option<String> {
        let longest = self.levels.iter().map(|it| it.truth.max_send_us).max()?;
        let slow: u64 = self.levels.iter().map(|it| it.truth.slow_sends).sum();
        let blocked: u64 = self.levels.iter().map(|it| it.truth.blocked_sends).sum();
        (slow + blocked > 0).then(|| {
            format!(
                "The truth's own error: {slow} sends took over 100 µs, the longest {longest} µs; \
                 {blocked} found the client's socket full."
            )
        })
    }
}

fn write_level(text: &mut String, level: &Level) -> std::fmt::Result {
    let failed = level.failed + level.unfinished + level.unmatched;
    write!(
        text,
        "{:7} {:10.0} {failed:7}",
        level.users, level.tokens_per_s
    )?;
    for error in [level.ttft_us, level.itl_us, level.e2e_us] {
        write!(text, " {:>8} {:>8}", figure(error.p50), figure(error.p99))?;
    }
    let cpu = figure(level.client_cpu_us_per_token);
    writeln!(text, " {cpu:>10} {:>12}", late(&level.telemetry.late_us))
}

/// Few ticks have no 99th percentile; the latest of them then stands for it.
fn late(late_us: &Spread) -> String {
    match (late_us.p99, late_us.max) {
        (None, Some(max)) => format!("max {max:.0}"),
        (p99, _) => figure(p99),
    }
}

fn ticks(telemetry: &Telemetry) -> String {
    let late = telemetry.late_us;
    format!(
        "Telemetry every {} ms: {} of {} ticks, late by {} µs (median), {} µs (p99), {} µs (most).",
        telemetry.interval_ms,
        telemetry.ticks_taken,
        telemetry.ticks_due,
        figure(late.p50),
        figure(late.p99),
        figure(late.max),
    )
}

fn figure(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use crate::calibration::tests::{calibration, level};

    #[test]
    fn the_text_is_this() {
        let mut last = level(64, None);
        last.failed = 3;
        last.client_cpu_us_per_token = None;
        last.truth.slow_sends = 2;
        last.telemetry.late_us.max = Some(77.0);
        let text = calibration(vec![level(16, Some(210.0)), last]).to_text();
        let wanted = "\
The instrument's own error on spark: Linux 6.14, unknown CPU, 20 cores; 1970-01-01T00:00:00Z, spillpoint 0.1.0
Reported less true; p50 has a sign, p99 is of the magnitude.

                             TTFT error, µs    ITL error, µs     e2e error, µs     client   ticks late
  users   tokens/s  failed      p50      p99      p50      p99      p50      p99   µs/token      p99, µs
     16        800       0     12.3    210.0     12.3    210.0     12.3    210.0        7.5            –
     64       3200       3     12.3        –     12.3        –     12.3        –          –       max 77

The p99 error stays under 1 ms up to 16 users.
Telemetry every 100 ms: 800 of 801 ticks, late by 12.3 µs (median), 90.0 µs (p99), 90.0 µs (most).
The truth's own error: 2 sends took over 100 µs, the longest 40 µs; 0 found the client's socket full.
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn the_verdict_says_how_far_it_holds() {
        let verdict = |p99s: [Option<f64>; 2]| {
            let [a, b] = p99s;
            calibration(vec![level(16, a), level(64, b)]).verdict()
        };
        assert!(verdict([Some(1.0), Some(1.0)]).ends_with("64 users, the most that were tried."));
        assert!(verdict([Some(1.0), None]).ends_with("up to 16 users."));
        assert!(verdict([None, None]).starts_with("At no load"));
    }
}
