//! What the drive's own counters say of a run.

use record::SmartSnapshot;

/// By how much an NVMe controller's counters grew over a run, warm-up and drain included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmartDelta {
    /// Bytes read by the host. A unit is 512,000 bytes.
    pub read_bytes: f64,
    /// Bytes written by the host.
    pub written_bytes: f64,
    /// Read commands.
    pub read_commands: f64,
    /// Write commands.
    pub write_commands: f64,
    /// Transitions to thermal management, light and heavy; absent where the drive does not tell.
    pub thermal_transitions: Option<u64>,
    /// Output tokens of all requests of the run that ended, in any stage; absent if the server
    /// gave no counts.
    pub output_tokens: Option<f64>,
}

impl SmartDelta {
    /// Between two snapshots of one device; in words why not.
    pub(crate) fn between(
        pre: &SmartSnapshot,
        post: &SmartSnapshot,
        output_tokens: Option<f64>,
    ) -> Result<Self, &'static str> {
        if pre.device != post.device {
            return Err("its two SMART snapshots are of different devices");
        }
        let grew = |before: u128, after: u128| after.checked_sub(before).map(|it| it as f64);
        let backwards = "a SMART counter went backwards between its two snapshots";
        let (a, b) = (&pre.log, &post.log);
        let units = |before, after| grew(before, after).map(|units| units * 512_000.0);
        let transitions = a.thermal_transitions.zip(b.thermal_transitions);
        Ok(Self {
            read_bytes: units(a.data_units_read, b.data_units_read).ok_or(backwards)?,
            written_bytes: units(a.data_units_written, b.data_units_written).ok_or(backwards)?,
            read_commands: grew(a.host_reads, b.host_reads).ok_or(backwards)?,
            write_commands: grew(a.host_writes, b.host_writes).ok_or(backwards)?,
            thermal_transitions: transitions.map(|(a, b)| {
                let each = a
                    .iter()
                    .zip(b)
                    .map(|(&a, b)| u64::from(b.saturating_sub(a)));
                each.sum()
            }),
            output_tokens,
        })
    }
}
