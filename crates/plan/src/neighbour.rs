//! A neighbour: another program that uses the drive beside the server.

use crate::values::whole_number;
use serde::{Deserialize, Serialize};

/// What the neighbour does, as long as the run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Which requests it makes.
    pub pattern: Pattern,
    /// The most that it reads or writes a second, in MiB. Absent: as much as it gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_mib: Option<RateMib>,
    /// The size of a request, in KiB.
    pub block_kib: BlockKib,
    /// Requests in flight.
    pub depth: Depth,
    /// The size of its file, in MiB.
    #[serde(default = "file_mib")]
    pub file_mib: FileMib,
}

fn file_mib() -> FileMib {
    FileMib::DEFAULT
}

/// Which requests a neighbour makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// Reads, one after the other.
    Read,
    /// Reads anywhere.
    Randread,
    /// Writes, one after the other.
    Write,
    /// Writes anywhere.
    Randwrite,
    /// Reads and writes anywhere, as many of each.
    Randrw,
}

impl Pattern {
    /// Its name to fio.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Read => "read",
            Pattern::Randread => "randread",
            Pattern::Write => "write",
            Pattern::Randwrite => "randwrite",
            Pattern::Randrw => "randrw",
        }
    }

    /// Whether it wears the drive.
    pub fn writes(self) -> bool {
        match self {
            Pattern::Read | Pattern::Randread => false,
            Pattern::Write | Pattern::Randwrite | Pattern::Randrw => true,
        }
    }
}

whole_number! {
    /// The most that a neighbour reads or writes a second.
    RateMib, "a rate in MiB a second", 1..=100_000
}

whole_number! {
    /// The size of a neighbour's request.
    BlockKib, "a request in KiB", 4..=16_384
}

whole_number! {
    /// A neighbour's requests in flight.
    Depth, "requests in flight", 1..=1_024
}

whole_number! {
    /// The size of a neighbour's file: larger than what a drive keeps in its own memory, and small
    /// beside what it holds.
    FileMib, "a file in MiB", 16..=65_536
}

impl FileMib {
    const DEFAULT: Self = Self(1024);
}
