//! The last tick, for whoever looks while sampling goes on: a dashboard, a scraper.
//!
//! It is written by the sink's thread, never by the sampler's, and neither waits: a tick that
//! comes while somebody copies the one before is seen with the next.

use clock::SessionNs;
use record::{Column, CoreRow, Device, TelemetryRow, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a reading is shown that is taken less often than every tick. Such sensors read about
/// once a second: one that has been silent for longer hangs, and its last word is no longer true.
const HOLD_NS: i64 = 5_000_000_000;

/// The place where the last tick can be seen. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Mutex<Option<Seen>>>);

/// The host at its last tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What the values are.
    pub columns: Arc<[Column]>,
    /// The tick's row. Values of sensors that are read less often than every tick (temperatures,
    /// GPUs, the server, the page cache) are their last reading, if that is not too old.
    pub row: TelemetryRow,
    /// Every core at that tick.
    pub cores: Vec<CoreRow>,
    /// Ticks taken so far; `row.tick` + 1 were due.
    pub ticks_taken: u64,
}

impl Seen {
    /// The value of a column, as a number; absent where its sensor gave none.
    pub fn number(&self, column: &Column) -> Option<f64> {
        let place = self.columns.iter().position(|other| other == column)?;
        match *self.row.values.get(place)? {
            Value::Absent => None,
            Value::Int(value) => Some(value as f64),
            Value::Real(value) => Some(value),
        }
    }
}

impl Latest {
    /// The one who writes to it, for rows of these columns.
    pub fn writer(&self, columns: &[Column]) -> LatestWriter {
        LatestWriter {
            shared: self.clone(),
            read_at: vec![None; columns.len()],
            seen: Seen {
                columns: columns.into(),
                row: TelemetryRow {
                    tick: 0,
                    t: SessionNs(0),
                    values: vec![Value::Absent; columns.len()],
                },
                cores: Vec::new(),
                ticks_taken: 0,
            },
        }
    }

    /// The last tick; absent before the first.
    pub fn seen(&self) -> Option<Seen> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Seen>> {
        // A panicked writer can't leave half a tick that matters: every value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the last tick.
#[derive(Debug)]
pub struct LatestWriter {
    shared: Latest,
    seen: Seen,
    /// When each value was read that is held.
    read_at: Vec<Option<SessionNs>>,
}

impl LatestWriter {
    /// Shows this tick in place of the one before.
    pub fn note(&mut self, row: &TelemetryRow, cores: &[CoreRow]) {
        let Seen {
            columns,
            row: shown,
            cores: shown_cores,
            ticks_taken,
        } = &mut self.seen;
        (shown.tick, shown.t) = (row.tick, row.t);
        let places = shown.values.iter_mut().zip(&mut self.read_at);
        for ((column, (shown, read_at)), &value) in columns.iter().zip(places).zip(&row.values) {
            if value != Value::Absent {
                (*shown, *read_at) = (value, Some(row.t));
            } else if !read_at.is_some_and(|at| holds(column) && row.t - at <= HOLD_NS) {
                (*shown, *read_at) = (Value::Absent, None);
            }
        }
        shown_cores.clear();
        shown_cores.extend_from_slice(cores);
        *ticks_taken += 1;
        if let Ok(mut shared) = self.shared.0.try_lock() {
            match &mut *shared {
                // Keeps the buffers.
                Some(shared) => shared.clone_from(&self.seen),
                none => *none = Some(self.seen.clone()),
            }
        }
    }
}

/// Whether a column's sensor has a pace of its own, slower than the ticks.
fn holds(column: &Column) -> bool {
    match column {
        Column::Host(_) => false,
        // The others belong to their interval: a mean over no request is none.
        Column::Device(_, field) => *field == Device::TempC,
        Column::Gpu(..) | Column::Server(_) | Column::Cache(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{CpuTimes, Gpu, Host};

    fn columns() -> Vec<Column> {
        vec![
            Column::Host(Host::MemFreeBytes),
            Column::Device("vda".to_owned(), Device::RAwaitMs),
            Column::Gpu(0, Gpu::TempC),
        ]
    }

    fn row(tick: u64, values: [Value; 3]) -> TelemetryRow {
        TelemetryRow {
            tick,
            t: SessionNs(i64::try_from(tick).unwrap() * 1_000_000_000),
            values: values.to_vec(),
        }
    }

    #[test]
    fn a_slow_reading_is_held_for_a_while_and_a_mean_is_not() {
        let latest = Latest::default();
        assert_eq!(latest.seen(), None);
        let mut writer = latest.writer(&columns());
        let all = [Value::Int(7), Value::Real(0.5), Value::Int(40)];
        writer.note(&row(0, all), &[]);
        let number = |place: usize| latest.seen().unwrap().number(&columns()[place]);
        assert_eq!([0, 1, 2].map(number), [Some(7.0), Some(0.5), Some(40.0)]);
        let none = [Value::Int(8), Value::Absent, Value::Absent];
        writer.note(&row(5, none), &[]);
        assert_eq!([0, 1, 2].map(number), [Some(8.0), None, Some(40.0)]);
        writer.note(&row(6, none), &[]);
        assert_eq!(number(2), None, "the sensor hangs");
        assert_eq!(latest.seen().unwrap().ticks_taken, 3);
    }

    #[test]
    fn nobody_waits_for_the_one_who_looks() {
        let latest = Latest::default();
        let mut writer = latest.writer(&columns());
        let core = CoreRow {
            t: SessionNs(0),
            core: 3,
            times: CpuTimes::default(),
        };
        writer.note(
            &row(0, [Value::Int(1), Value::Absent, Value::Absent]),
            &[core],
        );
        let looking = latest.lock();
        writer.note(
            &row(1, [Value::Int(2), Value::Absent, Value::Absent]),
            &[core],
        );
        drop(looking);
        assert_eq!(latest.seen().unwrap().row.tick, 0);
        writer.note(
            &row(2, [Value::Int(3), Value::Absent, Value::Absent]),
            &[core],
        );
        let seen = latest.seen().unwrap();
        assert_eq!(
            (seen.row.tick, seen.ticks_taken, seen.cores.len()),
            (2, 3, 1)
        );
    }
}
