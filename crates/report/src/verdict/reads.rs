//! What an arm reads from the device, and whose reads they are.

use super::{Findings, limits};
use crate::{Analysis, HostFigure, HostMeans, arms::Blocks, figure::plain};

/// Reads in the baseline and in an arm.
#[derive(Clone, Copy)]
pub(super) struct Read {
    base_mb_s: f64,
    pub(super) arm_mb_s: f64,
    /// In all runs of the arm together.
    pub(super) arm_bytes: f64,
}

/// What an arm reads beyond the baseline.
pub(super) struct Reads {
    pub(super) arm: String,
    pub(super) device: Option<Read>,
    /// The server's own: its processes', or its control group's.
    pub(super) server: Option<Read>,
    /// Who else uses the device, in words.
    pub(super) others: &'static str,
    /// The arm itself makes others use it.
    pub(super) planted: bool,
    /// What says why the server reads, by the limit that each must grow by.
    mechanisms: Vec<Mechanism>,
    /// Requests that waited in the server, on average.
    waiting: Option<[f64; 2]>,
}

/// A counter that moves where the server needs the device: in the baseline and in the arm.
struct Mechanism {
    code: &'static str,
    what: &'static str,
    values: [f64; 2],
    limit: f64,
}

/// Whose the reads are by which an arm exceeds the baseline.
pub(super) enum Share {
    /// There are none that matter.
    Nobodys,
    /// The server's.
    Servers,
    /// Others', beside a server that reads so many MB/s itself.
    OthersBeside(f64),
    /// Others', beside a server that reads nothing.
    OthersAlone,
    /// Not recorded.
    Unknown,
}

impl Reads {
    pub(super) fn of(analysis: &Analysis, blocks: &Blocks, arm: &str) -> Self {
        let pooled = |arm: &str| HostMeans::pooled(blocks.runs(arm).map(|run| &run.host));
        let (base, other) = (pooled(&blocks.baseline), pooled(arm));
        let seconds: f64 = blocks
            .runs(arm)
            .filter_map(|run| Some(run.summary.as_ref()?.duration_s))
            .sum();
        let read = |figure| {
            let (base_mb_s, arm_mb_s) = (base.get(figure)?, other.get(figure)?);
            Some(Read {
                base_mb_s,
                arm_mb_s,
                arm_bytes: arm_mb_s * 1e6 * seconds,
            })
        };
        let planted = analysis.session.experiment == "h4";
        let both = |figure| Some([base.get(figure)?, other.get(figure)?]);
        let page_mb = analysis.session.host.page_size_bytes as f64 / 1e6;
        let refaults = both(HostFigure::RefaultPagesS).map(|it| it.map(|pages| pages * page_mb));
        let majfaults = both(HostFigure::ServerMajfaultsS).or_else(|| both(HostFigure::MajfaultsS));
        let bytes = limits::MECHANISM * other.get(HostFigure::ReadMbS).unwrap_or_default();
        let bytes = bytes.max(limits::READS_MB_S);
        let mechanisms = [
            (
                "REFAULTS",
                "MB/s are read back soon after their eviction",
                refaults,
                bytes,
            ),
            (
                "MAJOR_FAULTS",
                "page faults a second need I/O",
                majfaults,
                limits::MAJFAULTS_S,
            ),
            (
                "SWAP_IN",
                "pages a second are swapped in",
                both(HostFigure::SwapinPagesS),
                limits::SWAPIN_PAGES_S,
            ),
            (
                "KV_ONBOARD",
                "MB/s of KV cache come back from a lower tier",
                both(HostFigure::KvOnboardMbS),
                bytes,
            ),
        ];
        let mechanisms = mechanisms
            .into_iter()
            .filter_map(|(code, what, values, limit)| {
                Some(Mechanism {
                    code,
                    what,
                    values: values?,
                    limit,
                })
            });
        Self {
            mechanisms: mechanisms.collect(),
            waiting: both(HostFigure::ServerWaiting),
            arm: arm.to_owned(),
            planted,
            device: read(HostFigure::ReadMbS),
            server: read(HostFigure::ServerReadMbS).or(read(HostFigure::CgroupReadMbS)),
            others: match planted {
                true => "the neighbour’s requests",
                false => "others",
            },
        }
    }

    pub(super) fn said(&self, findings: &mut Findings) {
        let said = |what: &str, base: f64, arm: f64| {
            format!(
                "{what} {} MB/s in {}, {} MB/s in the baseline",
                plain(arm),
                self.arm,
                plain(base)
            )
        };
        if let Some(it) = self.device {
            let words = said("the device is read at", it.base_mb_s, it.arm_mb_s);
            findings.reason("DEVICE_READS", Some(it.arm_mb_s), words);
        }
        if let Some(it) = self.server {
            let words = said("the server reads", it.base_mb_s, it.arm_mb_s);
            findings.reason("SERVER_READS", Some(it.arm_mb_s), words);
        }
        if let Some((device, server)) = self.device.zip(self.server) {
            // The two are sampled at different moments: a little less than nothing is nothing.
            let left = |device: f64, server: f64| (device - server).max(0.0);
            let base = left(device.base_mb_s, server.base_mb_s);
            let arm = left(device.arm_mb_s, server.arm_mb_s);
            let what = format!(
                "{}, the device’s reads less the server’s own, come to",
                self.others
            );
            findings.reason("OTHERS_READ", Some(arm), said(&what, base, arm));
        }
        let said = |[base, arm]: [f64; 2], what: &str| {
            format!(
                "{} {what} in {}, {} in the baseline",
                plain(arm),
                self.arm,
                plain(base)
            )
        };
        for it in self.mechanisms.iter().filter(|it| it.values[1] > 0.0) {
            findings.reason(it.code, Some(it.values[1]), said(it.values, it.what));
        }
        if let Some(waiting) = self.waiting {
            let words = said(waiting, "requests wait in the server on average");
            findings.reason("SERVER_QUEUE", Some(waiting[1]), words);
        }
    }

    /// Whether some counter moves that says why the server reads: part 3 of the five-part rule.
    pub(super) fn has_mechanism(&self) -> bool {
        let moves = |it: &Mechanism| it.values[1] - it.values[0] >= it.limit;
        self.mechanisms.iter().any(moves)
    }

    /// Whose the reads are by which the arm exceeds the baseline, if by enough to matter.
    pub(super) fn share(&self) -> Share {
        let Some(device) = self.device else {
            return Share::Unknown;
        };
        let more = device.arm_mb_s - device.base_mb_s;
        if more < limits::READS_MB_S || device.arm_mb_s < 1.5 * device.base_mb_s {
            return Share::Nobodys;
        }
        match self.server {
            None => Share::Unknown,
            Some(server) if server.arm_mb_s - server.base_mb_s >= limits::OWNED * more => {
                Share::Servers
            }
            Some(server) if server.arm_mb_s >= limits::READS_MB_S => {
                Share::OthersBeside(server.arm_mb_s)
            }
            // Whoever reads meanwhile is not of the arm's making.
            Some(_) if !self.planted => Share::Nobodys,
            Some(_) => Share::OthersAlone,
        }
    }
}
