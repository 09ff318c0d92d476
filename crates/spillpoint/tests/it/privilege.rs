//! What the program may do to the machine that it runs on.

use crate::harness::{Engine, Workplace, is_root};
use std::fs;

#[test]
fn a_command_that_only_serves_gives_up_root() {
    let place = Workplace::new();
    let engine = Engine::start(&place);
    let status = fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .unwrap()
    };
    assert_eq!(value("NoNewPrivs:"), "1");
    for set in ["CapPrm:", "CapEff:"] {
        let held = u64::from_str_radix(value(set), 16).unwrap();
        // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE, CAP_IPC_LOCK of
        // linux/capability.h, and for whoever isn't root, nothing.
        let kept = 1 << 1 | 1 << 2 | 1 << 10 | 1 << 14;
        assert_eq!(held & !kept, 0, "{set} {held:x}");
        assert!(is_root() || held == 0, "{set} {held:x}");
    }
    engine.end();
}
