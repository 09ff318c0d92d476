//! What a session concludes: a part of `session.json`, once analysed.

use serde::{Deserialize, Serialize};

/// What a session concludes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The finding.
    pub kind: VerdictKind,
    /// Whether a decision may rest on it: balanced repeats, attribution, no gate failed.
    pub decision_grade: bool,
    /// What led to it, the strongest first.
    pub reasons: Vec<Reason>,
    /// The same in plain words: what was found, how sure, what would change it, what to try.
    pub paragraph: String,
}

/// What a session can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerdictKind {
    /// Waits for storage shape what users feel.
    StorageBound,
    /// Added users only add waiting before the server's own limit.
    QueueBound,
    /// The server's compute sets the latency.
    ComputeBound,
    /// Memory runs short: the kernel evicts what is needed again.
    MemoryPressure,
    /// No effect, down to the bound that is given.
    NoEffect,
    /// The records cannot tell; the reasons say what is missing.
    Inconclusive,
    /// A gate that decides validity failed.
    Invalid,
}

impl VerdictKind {
    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            VerdictKind::StorageBound => "STORAGE_BOUND",
            VerdictKind::QueueBound => "QUEUE_BOUND",
            VerdictKind::ComputeBound => "COMPUTE_BOUND",
            VerdictKind::MemoryPressure => "MEMORY_PRESSURE",
            VerdictKind::NoEffect => "NO_EFFECT",
            VerdictKind::Inconclusive => "INCONCLUSIVE",
            VerdictKind::Invalid => "INVALID",
        }
    }
}

/// One step to a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name, the same in every session: `DEVICE_READS_RISE`.
    pub code: String,
    /// The number behind it, in the unit that the words give.
    pub measured: Option<f64>,
    /// It in words, with the number and its unit.
    pub words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_it_is_named() {
        use VerdictKind::*;
        for kind in [
            StorageBound,
            QueueBound,
            ComputeBound,
            MemoryPressure,
            NoEffect,
            Inconclusive,
            Invalid,
        ] {
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written, kind.name());
        }
    }
}
