//! `*_telemetry.csv`: a row each three seconds or so, said to be one a second.
//!
//! A row's stamp is taken before its readings: `vmstat` fills the first second after it,
//! `iostat` the second, and the loop sleeps through the third.

const HEADER: &str = "ms_since_t0,vm_r,vm_b,vm_us,vm_sy,vm_id,vm_wa,mem_MemAvailable_kB,mem_Cached_kB,iostat_rps,iostat_wps,iostat_rMBps,iostat_wMBps,iostat_await_ms,iostat_avg_rqsz,iostat_avg_qu_sz,iostat_util_pct,gpu_util_pct,gpu_mem_used_MiB,gpu_mem_total_MiB,ssd_temp_C";
const WIDTH: usize = 21;

/// No collector ran for more than thirty days: a stamp beyond is damage.
const LONGEST_MS: u64 = 30 * 24 * 3600 * 1000;

/// What a row holds that can be stood behind, by what it really is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// The stamp, in milliseconds since the collector began.
    pub(crate) ms: u64,
    pub(crate) available_bytes: Option<u64>,
    pub(crate) cached_bytes: Option<u64>,
    /// `iostat_rMBps` is r_await in iostat 12; absent where no read ended.
    pub(crate) r_await_ms: Option<f64>,
    pub(crate) util_pct: Option<f64>,
    pub(crate) gpu_util_pct: Option<f64>,
    pub(crate) gpu_used_bytes: Option<u64>,
    pub(crate) gpu_total_bytes: Option<u64>,
}

/// A file as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Telemetry {
    pub(crate) rows: Vec<Row>,
    /// Rows without the header's number of fields.
    pub(crate) broken: usize,
    /// The text where GPU memory should be a number.
    pub(crate) gpu_memory_text: Option<String>,
    /// Whether the columns of iostat can be those of iostat 12.
    pub(crate) iostat_12: bool,
}

impl Telemetry {
    /// In words why not.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        if header.trim() != HEADER {
            return Err("telemetry.csv: its header is not that of version 2.2".to_owned());
        }
        let mut telemetry = Self {
            iostat_12: true,
            ..Self::default()
        };
        for line in lines {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            match fields[0].parse() {
                Ok(ms) if fields.len() == WIDTH && ms <= LONGEST_MS => {
                    telemetry.push(ms, &fields)?
                }
                _ => telemetry.broken += 1,
            }
        }
        if telemetry.rows.is_empty() {
            return Err("telemetry.csv holds no whole row".to_owned());
        }
        Ok(telemetry)
    }

    fn push(&mut self, ms: u64, fields: &[&str]) -> Result<(), String> {
        if self.rows.last().is_some_and(|last| last.ms >= ms) {
            return Err(
                "telemetry.csv: its time runs backwards: two collectors wrote into one file"
                    .to_owned(),
            );
        }
        let number = |column: usize| -> Option<f64> {
            let value: f64 = fields[column].parse().ok()?;
            (value.is_finite() && value >= 0.0).then_some(value)
        };
        let scaled = |column: usize, by: f64| number(column).map(|value| (value * by) as u64);
        for column in [18, 19] {
            let text = fields[column];
            if number(column).is_none() && text != "NA" {
                self.gpu_memory_text.get_or_insert_with(|| text.to_owned());
            }
        }
        // `iostat_wps` would be %rrqm, a share.
        self.iostat_12 &= number(10).is_none_or(|share| share <= 100.0);
        // `iostat_wMBps` would be rareq-sz: 0 only where no read ended.
        let has_reads = number(12).is_some_and(|size| size > 0.0);
        self.rows.push(Row {
            ms,
            available_bytes: scaled(7, 1024.0),
            cached_bytes: scaled(8, 1024.0),
            r_await_ms: number(11).filter(|_| has_reads),
            util_pct: number(16),
            gpu_util_pct: number(17),
            gpu_used_bytes: scaled(18, 1_048_576.0),
            gpu_total_bytes: scaled(19, 1_048_576.0),
        });
        Ok(())
    }

    /// The middle one of the distances of two rows, in seconds.
    pub(crate) fn cadence_s(&self) -> Option<f64> {
        let gap = |pair: &[Row]| pair[1].ms - pair[0].ms;
        let mut gaps: Vec<u64> = self.rows.windows(2).map(gap).collect();
        gaps.sort_unstable();
        Some(*gaps.get(gaps.len() / 2)? as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of iostat 12: 5.30 read merges and 12.00 writes a second, reads of 33.36 kB that
    /// took 1.28 ms each.
    const ROW: &str = "0,3,1,12,4,80,4,70000000,50000000,5.30,1.10,1.28,33.36,2.00,0.70,12.00,91.20,88,[N/A],[N/A],45.9";

    fn parse(rows: &[&str]) -> Result<Telemetry, String> {
        Telemetry::parse(&format!("{HEADER}\n{}\n", rows.join("\n")))
    }

    #[test]
    fn columns_are_what_iostat_12_printed_there() {
        let telemetry = parse(&[ROW]).unwrap();
        let row = &telemetry.rows[0];
        assert_eq!(row.r_await_ms, Some(1.28));
        assert_eq!(row.util_pct, Some(91.2));
        assert_eq!(row.available_bytes, Some(70_000_000 * 1024));
        assert!(telemetry.iostat_12);
    }

    #[test]
    fn gpu_memory_as_text_is_absent_and_said() {
        let telemetry = parse(&[ROW]).unwrap();
        assert_eq!(telemetry.rows[0].gpu_used_bytes, None);
        assert_eq!(telemetry.gpu_memory_text.as_deref(), Some("[N/A]"));
        let discrete = parse(&[&ROW.replacen("[N/A]", "1024", 1)]).unwrap();
        assert_eq!(discrete.rows[0].gpu_used_bytes, Some(1 << 30));
    }

    #[test]
    fn no_read_means_no_time_of_a_read() {
        let idle = ROW.replace(",1.28,33.36,", ",0.00,0.00,");
        assert_eq!(parse(&[&idle]).unwrap().rows[0].r_await_ms, None);
    }

    #[test]
    fn a_share_beyond_all_is_another_iostats_column() {
        let other = ROW.replace(",5.30,1.10,", ",5.30,561.00,");
        assert!(!parse(&[&other]).unwrap().iostat_12);
    }

    #[test]
    fn broken_rows_are_counted_and_na_is_absent() {
        let na = "3060,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA";
        // A reading that failed after its first words breaks the row in two.
        let telemetry = parse(&[ROW, na, "6120,3,1,12", "NA,NA,45.9"]).unwrap();
        assert_eq!((telemetry.rows.len(), telemetry.broken), (2, 2));
        assert_eq!(
            telemetry.rows[1],
            Row {
                ms: 3060,
                ..Row::default()
            }
        );
        assert_eq!(telemetry.cadence_s(), Some(3.06));
    }

    #[test]
    fn time_that_runs_backwards_is_refused() {
        let error = parse(&[&ROW.replacen('0', "3060", 1), ROW]).unwrap_err();
        assert!(error.contains("backwards"), "{error}");
        assert!(Telemetry::parse("time,cpu\n1,2\n").is_err());
    }
}
