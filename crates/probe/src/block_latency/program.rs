//! The three programs.
//!
//! At its issue a request's time and process are kept under device, kind and first sector. At its
//! completion they are taken back, and the bucket of the time between gets one more. A bucket is
//! found as HDR histograms do it: eight to a power of two, so that none is wider than an eighth of
//! its beginning.
//!
//! An I/O scheduler keeps requests for a while, and whoever comes next may issue them: there the
//! process is noted when the request is given to the scheduler.

use super::{
    assembler::{
        Assembler, Code, Helper,
        Op::{Add, And, Lsh, Mov, Or, Rsh, Sub},
        Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10},
        When,
        Width::{Byte, Double, Word},
    },
    format::Fields,
};

/// The tracepoint where a request is given to an I/O scheduler, and the program there.
pub(super) const INSERT: &str = "block_rq_insert";
/// The tracepoint of a request's issue, and the program there.
pub(super) const ISSUE: &str = "block_rq_issue";
/// The tracepoint of its completion, and the program there.
pub(super) const COMPLETE: &str = "block_rq_complete";

/// Requests that are waiting or in flight: `{device, kind, sector}` to `{time, process}`; the time
/// is 0 until it is issued.
pub(super) const STARTS: &str = "starts";
/// The histograms: `{device, process, kind and slot}` to a count.
pub(super) const COUNTS: &str = "counts";
/// What could not be counted, and why.
pub(super) const LOST: &str = "lost";

/// In `LOST`: completions whose issue is not known.
pub(super) const LOST_UNMATCHED: u32 = 0;
/// In `LOST`: completions that found `COUNTS` full.
pub(super) const LOST_FULL: u32 = 1;

/// Buckets to a power of two, as a power of two.
pub(super) const SUB_BITS: u32 = 3;

// Where the frame holds what maps are asked with: device (a word), kind (a word), sector.
const KEY: i16 = -16;
const KEY_KIND: i16 = KEY + 4;
const KEY_SECTOR: i16 = KEY + 8;
/// When it was issued, and by whom.
const START: i16 = -32;
const START_PROCESS: i16 = START + 8;
/// Device, process, kind and slot.
const BUCKET: i16 = -48;
const BUCKET_PROCESS: i16 = BUCKET + 4;
const BUCKET_SLOT: i16 = BUCKET + 8;
/// A count of 0.
const ZERO: i16 = -56;
/// An index of `LOST`.
const INDEX: i16 = -64;

/// `BPF_NOEXIST`: another CPU may have made the entry.
const IF_NEW: i32 = 1;

/// Keeps the process that made a request.
pub(super) fn insert(fields: &Fields) -> Code {
    let mut code = Assembler::default();
    code.reg(Mov, R6, R1);
    key(&mut code, fields);
    code.store_imm(Double, START, 0);
    keep(&mut code);
    code.end()
}

/// Keeps the time of a request's issue, and the process unless it is known.
pub(super) fn issue(fields: &Fields) -> Code {
    let mut code = look_up(fields);
    code.jump(When::Equal, R0, 0, "new")
        .put(R0, R9)
        .go("out")
        .label("new")
        .store(Double, START, R9);
    keep(&mut code);
    code.label("out").end()
}

/// A program's beginning: the time is in R9, and R0 points to the request's start, or nowhere.
fn look_up(fields: &Fields) -> Assembler {
    let mut code = Assembler::default();
    code.reg(Mov, R6, R1);
    key(&mut code, fields);
    code.call(Helper::KtimeGetNs)
        .reg(Mov, R9, R0)
        .map(R1, STARTS)
        .frame(R2, KEY)
        .call(Helper::MapLookup);
    code
}

/// Keeps the time in the frame and the process that runs.
fn keep(code: &mut Assembler) {
    code.call(Helper::GetCurrentPidTgid)
        .imm(Rsh, R0, 32)
        .store(Word, START_PROCESS, R0)
        .store_imm(Word, START_PROCESS + 4, 0)
        .map(R1, STARTS)
        .frame(R2, KEY)
        .frame(R3, START)
        .imm(Mov, R4, 0)
        .call(Helper::MapUpdate);
}

/// Counts a request's completion.
pub(super) fn complete(fields: &Fields) -> Code {
    let mut code = look_up(fields);
    code.jump(When::Equal, R0, 0, "unmatched")
        .load(Double, R7, R0, 0)
        .jump(When::Equal, R7, 0, "unmatched")
        .load(Word, R8, R0, START_PROCESS - START)
        .reg(Sub, R9, R7)
        .map(R1, STARTS)
        .frame(R2, KEY)
        .call(Helper::MapDelete)
        .load(Word, R1, R10, KEY)
        .store(Word, BUCKET, R1)
        .store(Word, BUCKET_PROCESS, R8);
    slot(&mut code);
    count(&mut code);
    code.label("unmatched");
    lost(&mut code, LOST_UNMATCHED);
    code.label("full");
    lost(&mut code, LOST_FULL);
    code.label("out").end()
}

/// Puts the request's key into the frame. R6 is the tracepoint's record.
fn key(code: &mut Assembler, fields: &Fields) {
    // `rwbs` begins with the kind, or with F where a flush goes before it (block/blk-core.c and
    // kernel/trace/blktrace.c, blk_fill_rwbs).
    code.load(Word, R7, R6, fields.dev)
        .store(Word, KEY, R7)
        .load(Double, R7, R6, fields.sector)
        .store(Double, KEY_SECTOR, R7)
        .load(Byte, R7, R6, fields.rwbs)
        .jump(When::NotEqual, R7, i32::from(b'F'), "kind")
        .load(Byte, R8, R6, fields.rwbs + 1)
        .jump(When::NotEqual, R8, i32::from(b'W'), "kind")
        .reg(Mov, R7, R8)
        .label("kind")
        .store(Word, KEY_KIND, R7);
}

/// Puts kind and slot of the nanoseconds in R9 into the frame.
fn slot(code: &mut Assembler) {
    const SKIP: [&str; 6] = ["32", "16", "8", "4", "2", "1"];
    let sub = SUB_BITS as i32;
    // R2 becomes the place of the highest bit of R1, by halving.
    code.reg(Mov, R1, R9).imm(Mov, R2, 0);
    for (label, shift) in SKIP.into_iter().zip([32, 16, 8, 4, 2, 1]) {
        code.reg(Mov, R3, R1)
            .imm(Rsh, R3, shift)
            .jump(When::Equal, R3, 0, label)
            .imm(Add, R2, shift)
            .reg(Mov, R1, R3)
            .label(label);
    }
    code.reg(Mov, R4, R9)
        .jump(When::Less, R9, 1 << sub, "small")
        .imm(Sub, R2, sub)
        .reg(Rsh, R4, R2)
        .imm(And, R4, (1 << sub) - 1)
        .imm(Add, R2, 1)
        .imm(Lsh, R2, sub)
        .reg(Add, R4, R2)
        .label("small")
        .load(Word, R3, R10, KEY_KIND)
        .imm(Lsh, R3, 16)
        .reg(Or, R4, R3)
        .store(Word, BUCKET_SLOT, R4);
}

/// Adds one to the bucket in the frame, which may have to be made.
fn count(code: &mut Assembler) {
    code.map(R1, COUNTS)
        .frame(R2, BUCKET)
        .call(Helper::MapLookup)
        .jump(When::NotEqual, R0, 0, "add")
        .store_imm(Double, ZERO, 0)
        .map(R1, COUNTS)
        .frame(R2, BUCKET)
        .frame(R3, ZERO)
        .imm(Mov, R4, IF_NEW)
        .call(Helper::MapUpdate)
        .map(R1, COUNTS)
        .frame(R2, BUCKET)
        .call(Helper::MapLookup)
        .jump(When::Equal, R0, 0, "full")
        .label("add")
        .imm(Mov, R1, 1)
        .add_atomic(R0, R1)
        .go("out");
}

/// Adds one to a count of what was lost.
fn lost(code: &mut Assembler, index: u32) {
    code.store_imm(Word, INDEX, index as i32)
        .map(R1, LOST)
        .frame(R2, INDEX)
        .call(Helper::MapLookup)
        .jump(When::Equal, R0, 0, "out")
        .imm(Mov, R1, 1)
        .add_atomic(R0, R1)
        .go("out");
}
