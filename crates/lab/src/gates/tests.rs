use super::*;
use plan::Builtin;

fn plan() -> Plan {
    Builtin::find("h2").unwrap().plan().unwrap()
}

fn good() -> Seen {
    Seen {
        requests: 200,
        failed: 2,
        counted: 198,
        ticks_due: 100,
        ticks_taken: 95,
        client_lag_p99_ms: Some(0.2),
        same_server: Some(true),
        cache: Some((CacheState::Cold, Some(0.4))),
        reuse_pct: Some(5.0),
        prompt_tokens_mean: Some(1000.0),
        common_head_tokens: common_head_tokens(Api::Completions),
        client_cpu_pct: Some(80.0),
        device_known: true,
        kv_pool: KvPool {
            here: Some(400.0),
            first: Some(400.0),
        },
        host: HostSeen {
            swapped_pages: Some(0.0),
            mem_available_mib: Some(512.0),
            drive: Drive::Nvme {
                hot_s: Some(0.0),
                transitions: Some(0),
            },
            gpu_hot_pct: Some(Some(0.0)),
        },
        stepped_ms: Some(-0.01),
        asked: Some(200),
        asks_again: false,
    }
}

fn failed(seen: Seen) -> Vec<String> {
    let gates = judge(&plan(), &seen);
    let failed = gates.into_iter().filter(|gate| !gate.passed);
    failed.map(|gate| gate.name).collect()
}

#[test]
fn a_run_at_its_limits_counts() {
    assert_eq!(failed(good()), [""; 0]);
}

#[test]
fn each_gate_fails_on_its_own() {
    let one = |change: fn(&mut Seen)| {
        let mut seen = good();
        change(&mut seen);
        failed(seen)
    };
    assert_eq!(
        one(|seen| (seen.failed, seen.counted) = (3, 197)),
        ["failed_requests"]
    );
    assert_eq!(one(|seen| seen.ticks_taken = 94), ["telemetry_coverage"]);
    assert_eq!(
        one(|seen| seen.client_lag_p99_ms = Some(1.5)),
        ["client_lag"]
    );
    assert_eq!(one(|seen| seen.counted = 197), ["token_counts"]);
    let cache = |state, pct| Some((state, Some(pct)));
    assert_eq!(
        [CacheState::Cold, CacheState::Warm].map(|state| {
            let seen = Seen {
                cache: cache(state, 50.0),
                ..good()
            };
            failed(seen)
        }),
        [["cache_state"], ["cache_state"]]
    );
    assert_eq!(one(|seen| seen.same_server = Some(false)), ["same_server"]);
    assert_eq!(one(|seen| seen.asked = Some(201)), ["whole_phase"]);
    let back = one(|seen| seen.stepped_ms = Some(-3_600_000.0));
    assert_eq!(back, ["wall_clock"]);
    assert_eq!(one(|seen| seen.reuse_pct = Some(5.1)), ["prompt_reuse"]);
    assert_eq!(one(|seen| seen.client_cpu_pct = Some(81.0)), ["client_cpu"]);
    assert_eq!(one(|seen| seen.device_known = false), ["device_known"]);
    assert_eq!(one(|seen| seen.kv_pool.here = Some(399.0)), ["kv_pool"]);
    let host = |change: fn(&mut HostSeen)| {
        let mut seen = good();
        change(&mut seen.host);
        failed(seen)
    };
    assert_eq!(host(|it| it.swapped_pages = Some(1.0)), ["swapped_pages"]);
    assert_eq!(
        host(|it| it.mem_available_mib = Some(511.9)),
        ["mem_available"]
    );
    let nvme = |hot_s, transitions| Drive::Nvme {
        hot_s: Some(hot_s),
        transitions: Some(transitions),
    };
    assert_eq!(
        host(|it| it.gpu_hot_pct = Some(Some(0.1))),
        ["gpu_throttle"]
    );
    let drive = |drive| {
        let mut seen = good();
        seen.host.drive = drive;
        failed(seen)
    };
    assert_eq!(drive(nvme(0.5, 0)), ["drive_hot"]);
    assert_eq!(drive(nvme(0.0, 1)), ["drive_throttle"]);
}

fn effect_of(seen: &Seen, name: &str) -> Option<(bool, Effect)> {
    let gates = judge(&plan(), seen);
    let gate = gates.into_iter().find(|gate| gate.name == name)?;
    Some((gate.passed, gate.effect))
}

#[test]
fn what_nothing_here_could_tell_is_noted_and_what_should_be_told_costs_the_decision() {
    let seen = Seen::default();
    for name in ["prompt_reuse", "kv_pool", "drive_hot", "drive_throttle"] {
        assert_eq!(effect_of(&seen, name), Some((false, Effect::Noted)));
    }
    assert_eq!(effect_of(&seen, "gpu_throttle"), None, "there is no GPU");
    let mute = Seen {
        host: HostSeen {
            drive: Drive::Nvme {
                hot_s: None,
                transitions: None,
            },
            gpu_hot_pct: Some(None),
            ..HostSeen::default()
        },
        ..seen
    };
    for name in ["drive_hot", "drive_throttle", "gpu_throttle"] {
        let told = effect_of(&mute, name);
        assert_eq!(told, Some((false, Effect::NotDecisionGrade)));
    }
}

#[test]
fn prompts_that_come_again_by_design_are_held_to_no_share() {
    let seen = Seen {
        reuse_pct: Some(94.0),
        asks_again: true,
        ..good()
    };
    let gates = judge(&plan(), &seen);
    assert!(gates.iter().all(|gate| gate.name != "prompt_reuse"));
}

#[test]
fn reuse_is_held_to_what_the_workload_declares() {
    let declaring = Plan {
        workload: plan::Workload {
            reuse_pct: serde_json::from_str("40.0").unwrap(),
            ..plan().workload
        },
        ..plan()
    };
    let passed = |reuse_pct| {
        let seen = Seen {
            reuse_pct: Some(reuse_pct),
            ..good()
        };
        let gates = judge(&declaring, &seen);
        let gate = gates.into_iter().find(|it| it.name == "prompt_reuse");
        gate.unwrap().passed
    };
    assert_eq!(
        [0.0, 34.9, 35.0, 45.0, 45.1].map(passed),
        [false, false, true, true, false]
    );
}

#[test]
fn the_tokens_that_every_prompt_begins_with_are_no_reuse() {
    let passed = |prompt_tokens_mean, reuse_pct| {
        let seen = Seen {
            reuse_pct: Some(reuse_pct),
            prompt_tokens_mean: Some(prompt_tokens_mean),
            ..good()
        };
        let gates = judge(&plan(), &seen);
        let gate = gates.into_iter().find(|it| it.name == "prompt_reuse");
        gate.unwrap().passed
    };
    // One token of 16, as llama.cpp counts the one that begins a text; most of a prompt of 16.
    assert!(passed(16.0, 6.25));
    assert!(!passed(16.0, 60.0));
    assert!(!passed(1000.0, 6.25));
}

#[test]
fn a_late_client_costs_the_decision_not_the_run() {
    let late = Seen {
        client_lag_p99_ms: Some(3.0),
        ..good()
    };
    let failed = judge(&plan(), &late).into_iter().find(|gate| !gate.passed);
    assert_eq!(failed.unwrap().effect, Effect::NotDecisionGrade);
}

#[test]
fn what_could_not_be_measured_does_not_pass() {
    let gates = failed(Seen::default());
    assert_eq!(
        gates,
        [
            "failed_requests",
            "telemetry_coverage",
            "client_lag",
            "client_cpu",
            "token_counts",
            "prompt_reuse",
            "kv_pool",
            "device_known",
            "swapped_pages",
            "mem_available",
            "drive_hot",
            "drive_throttle",
            "wall_clock"
        ]
    );
}

#[test]
fn a_server_whose_process_is_unknown_has_no_such_gate() {
    let gates = judge(
        &plan(),
        &Seen {
            same_server: None,
            ..good()
        },
    );
    assert!(gates.iter().all(|gate| gate.name != "same_server"));
}
