//! The property that the reading of responses rests on: any split of the bytes gives the same.
//! Checked by the tests with random splits, and by the fuzzer (`fuzz/`) with random bytes.

use crate::{
    dialect::Api,
    exchange::{Exchange, Failed, Progress, Stamp},
};
use clock::MonoNs;
use record::StampSource;

/// Everything that must not depend on how the bytes were split: the failure's kind, or what was seen.
#[derive(Debug, PartialEq, Eq)]
struct Gist {
    end: Result<Progress, record::Failure>,
    status: Option<u16>,
    chunks: usize,
    output_tokens: Option<u32>,
    answered: bool,
    reusable: bool,
}

/// Panics if the bytes, cut at these places, are read otherwise than in one piece.
pub(crate) fn check(api: Api, bytes: &[u8], cuts: impl IntoIterator<Item = usize>) {
    let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let parts = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
    assert_eq!(read(api, parts), read(api, [bytes]), "cut at {cuts:?}");
}

fn read<'a>(api: Api, parts: impl IntoIterator<Item = &'a [u8]>) -> Gist {
    let stamp = Stamp {
        arrival: MonoNs(1),
        read: MonoNs(1),
        source: StampSource::Kernel,
    };
    let mut exchange = Exchange::new(api, MonoNs(0));
    let mut end = Ok(Progress::Waiting);
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        end = exchange.feed(part, stamp);
        // What comes after the end is not looked at, in one piece or in many.
        if !matches!(end, Ok(Progress::Waiting | Progress::Answered)) {
            break;
        }
    }
    gist(&exchange, end)
}

fn gist(exchange: &Exchange, end: Result<Progress, Failed>) -> Gist {
    let seen = &exchange.seen;
    let mut gist = Gist {
        end: end.map_err(|failed| failed.failure),
        status: seen.status,
        chunks: seen.chunks.len(),
        output_tokens: seen.output_tokens(),
        answered: seen.answered.is_some(),
        // Bytes after the end spoil the connection, if they are read with the end.
        reusable: false,
    };
    if gist.end == Ok(Progress::Waiting) {
        gist.reusable = exchange.is_reusable();
    }
    gist
}
