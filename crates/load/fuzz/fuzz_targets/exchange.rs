//! Any bytes as a server's response: nothing panics, and any split of them gives the same.
//!
//! `cargo +nightly fuzz run exchange`, in the crate's folder. The first byte chooses the API, the
//! second the number of cuts, the next ones where they are; the rest is the response.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| load::fuzzing::any_split(data));
