//! Prints what would stop or spoil a measurement on this host, for the device that holds a path.
//!
//! `cargo run -p probe --example doctor -- PATH`

use probe::{Roots, doctor};
use std::path::PathBuf;

#[expect(clippy::print_stdout, reason = "an example's output is what it is for")]
fn main() {
    let path = std::env::args()
        .nth(1)
        .map_or(PathBuf::from("."), PathBuf::from);
    for finding in doctor::examine(&doctor::gather(&Roots::default(), &path)) {
        println!("{finding}");
    }
}
