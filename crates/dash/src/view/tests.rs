//! The dashboard as it looks, on terminals of several sizes.

use super::*;
use crate::state::HostTitle;
use clock::SessionNs;
use lab::{Estimate, Event, Moment};
use probe::{Latest, Seen};
use ratatui::{Terminal, backend::TestBackend, style::Modifier};
use record::{
    Column, CoreRow, CpuTimes, Device, Effect, Gate, Gpu, Host, RunId, RunState, Stage,
    TargetFacts, TargetKind, TelemetryRow, Value,
};
use std::time::Duration;

const SESSION: &str = "results/20261124T101500Z-h2-gx10";
const GIB: u64 = 1 << 30;

/// A Spark's tick at this second: the drive reads more and more, one core in five waits for it.
fn seen(second: u64) -> Seen {
    let host = [
        (Host::LateUs, 12),
        (Host::CpuUsrMs, 6_000 * second),
        (Host::CpuNiceMs, 0),
        (Host::CpuSysMs, 2_000 * second),
        (Host::CpuIowaitMs, 1_600 * second),
        (Host::CpuIrqMs, 0),
        (Host::CpuSoftMs, 400 * second),
        (Host::CpuStealMs, 0),
        (Host::CpuIdleMs, 10_000 * second),
        (Host::PsiCpuSomeUs, 41_000 * second),
        (Host::PsiIoSomeUs, 4_000 * second * second),
        (Host::PsiMemorySomeUs, 0),
        (Host::MemTotalBytes, 119 * GIB),
        (Host::MemAvailableBytes, 60 * GIB - second * GIB),
        (Host::MemCachedBytes, 30 * GIB),
    ];
    let device = [
        (Device::ReadsCount, 3_000 * second),
        (Device::ReadBytes, 30_000_000 * second * second),
        (Device::ReadTimeMs, 600 * second),
        (Device::WritesCount, 0),
        (Device::WriteBytes, 0),
        (Device::WriteTimeMs, 0),
        (Device::IoTimeMs, 450 * second),
        (Device::WeightedIoTimeMs, 3_200 * second),
        (Device::TempC, 51),
    ];
    let gpu = [
        (Gpu::UtilPct, 96),
        (Gpu::SmClockMhz, 2418),
        (Gpu::PowerMw, 84_000),
        (Gpu::TempC, 71),
        (Gpu::ThrottleReasons, 4),
        (Gpu::ProcessBytes, 62 * GIB),
    ];
    let host = host.map(|(field, value)| (Column::Host(field), value));
    let device = device.map(|(field, value)| (Column::Device("nvme0n1".to_owned(), field), value));
    let gpu = gpu.map(|(field, value)| (Column::Gpu(0, field), value));
    let (columns, values): (Vec<_>, Vec<_>) = host.into_iter().chain(device).chain(gpu).unzip();
    let t = SessionNs(i64::try_from(second).unwrap() * 1_000_000_000);
    let row = TelemetryRow {
        tick: second,
        t,
        values: values.into_iter().map(Value::Int).collect(),
    };
    let cores: Vec<_> = (0..20).map(|core| core_row(t, core, second)).collect();
    let latest = Latest::default();
    latest.writer(&columns).note(&row, &cores);
    latest.seen().unwrap()
}

fn core_row(t: SessionNs, core: u32, second: u64) -> CoreRow {
    let iowait_ms = if core.is_multiple_of(5) {
        400 * second
    } else {
        0
    };
    CoreRow {
        t,
        core,
        times: CpuTimes {
            usr_ms: u64::from(core) * 25 * second,
            iowait_ms,
            idle_ms: 1000 * second - iowait_ms - u64::from(core) * 25 * second,
            ..CpuTimes::default()
        },
    }
}

fn gate(name: &str, measured: Option<f64>, limit: &str, passed: bool) -> Gate {
    Gate {
        name: name.to_owned(),
        measures: String::new(),
        limit: limit.to_owned(),
        measured,
        passed,
        effect: Effect::Invalid,
    }
}

fn moment(second: u64) -> Moment {
    let slow = 80.0 + 4.0 * second as f64;
    Moment {
        stage: Stage::Measure,
        done: second as f64 / 60.0,
        left: Duration::from_secs(60 - second),
        ok: 12 * second,
        failed: 2,
        in_flight: 61,
        ttft_p50_ms: Some(92.0),
        ttft_p99_ms: Some(412.0),
        lately_ttft_p50_ms: Some(slow),
        lately_ttft_p99_ms: Some(4.0 * slow),
        chunks_per_s: 1234.0 - 5.0 * second as f64,
        read_mb_per_s: None,
        write_mb_per_s: None,
        gates: vec![
            gate("failed_requests", Some(1.25), "<= 1", false),
            gate("telemetry_coverage", Some(100.0), ">= 95", true),
            gate("client_lag", Some(0.04), "<= 1", true),
            gate("token_counts", None, ">= 100", false),
            gate("same_server", Some(1.0), ">= 1", true),
        ],
    }
}

fn run(users: u32, repeat: u32) -> RunId {
    RunId::new("h2", users, repeat)
}

/// The second run of a sweep, half a minute in; the first has lost a gate.
fn session() -> State {
    let mut state = State::new(Subject::Session);
    state.tell(estimated());
    state.tell(began(TargetKind::Attached, Some("nvme0n1")));
    state.tell(Event::RunBegan {
        run: run(32, 1),
        number: 1,
        users: 32,
    });
    state.pass(Duration::from_secs(66));
    let lag = Gate {
        effect: Effect::NotDecisionGrade,
        ..gate("client_lag", Some(2.31), "<= 1", false)
    };
    state.tell(Event::RunEnded {
        run: run(32, 1),
        state: RunState::Complete,
        gates: vec![lag],
    });
    state.tell(Event::RunBegan {
        run: run(64, 1),
        number: 2,
        users: 64,
    });
    state.tell(Event::Sampling(Latest::default()));
    for second in 1..=30 {
        state.pass(Duration::from_secs(66 + second));
        state.see(seen(second));
        state.tell(Event::Progress(moment(second)));
    }
    state
}

fn drawn(state: &State, palette: Palette, width: u16, height: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(state, palette, frame.buffer_mut()))
        .unwrap();
    terminal.backend().clone()
}

fn lines(backend: &TestBackend) -> String {
    // Without the quotes: a line as it is seen.
    let text = backend.to_string();
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_session_on_80_by_24() {
    insta::assert_snapshot!(lines(&drawn(&session(), Palette::Colour, 80, 24)));
}

#[test]
fn a_session_on_120_by_40() {
    insta::assert_snapshot!(lines(&drawn(&session(), Palette::Colour, 120, 40)));
}

#[test]
fn a_session_on_40_by_10_keeps_what_matters_most() {
    insta::assert_snapshot!(lines(&drawn(&session(), Palette::Colour, 40, 10)));
}

#[test]
fn a_host_on_80_by_24() {
    let mut state = State::new(Subject::Host(HostTitle {
        device: Some("nvme0n1".to_owned()),
        limit: Some(Duration::from_secs(90)),
        also: vec!["serving http://127.0.0.1:9464/metrics".to_owned()],
    }));
    for second in 1..=20 {
        state.pass(Duration::from_secs(second));
        state.see(seen(second));
    }
    insta::assert_snapshot!(lines(&drawn(&state, Palette::Colour, 80, 24)));
}

#[test]
fn before_the_first_run_there_is_no_figure_and_no_nought() {
    let mut state = State::new(Subject::Session);
    state.pass(Duration::from_secs(2));
    let text = lines(&drawn(&state, Palette::Colour, 80, 24));
    assert!(text.contains("the target is looked at"), "{text}");
    assert!(!text.contains("0.00"), "{text}");
}

#[test]
fn a_gate_turns_red_as_it_fails_and_stands_out_without_colours_too() {
    let at_the_cross = |palette| {
        let backend = drawn(&session(), palette, 80, 24);
        let cells = backend.buffer().content();
        let cross = cells.iter().find(|cell| cell.symbol() == "✗").unwrap();
        (cross.fg, cross.modifier)
    };
    let (colour, _) = at_the_cross(Palette::Colour);
    assert_eq!(colour, ratatui::style::Color::Red);
    let (none, modifier) = at_the_cross(Palette::Mono);
    assert_eq!(none, ratatui::style::Color::Reset);
    assert!(modifier.contains(Modifier::REVERSED));
}

#[test]
fn a_gate_that_nothing_here_could_tell_has_not_failed() {
    let mut state = session();
    let noted = Gate {
        effect: Effect::Noted,
        ..gate("drive_hot", None, "<= 0", false)
    };
    state.tell(Event::RunEnded {
        run: run(64, 1),
        state: RunState::Complete,
        gates: vec![gate("same_server", Some(1.0), ">= 1", true), noted],
    });
    let text = lines(&drawn(&state, Palette::Colour, 80, 24));
    assert!(text.contains("✓ 1 hold: same_server"), "{text}");
    assert!(text.contains("· 1 open: drive_hot"), "{text}");
    assert!(!text.contains('✗'), "{text}");
}

#[test]
fn without_colours_no_cell_has_one() {
    let backend = drawn(&session(), Palette::Mono, 80, 24);
    let plain = ratatui::style::Color::Reset;
    let mut cells = backend.buffer().content().iter();
    assert!(cells.all(|cell| cell.fg == plain && cell.bg == plain));
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let state = session();
    for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 1), (1, 80), (500, 200)] {
        drawn(&state, Palette::Colour, width, height);
    }
}

#[test]
fn a_sampler_that_is_silent_is_said_and_its_figures_go() {
    let mut state = session();
    state.pass(Duration::from_secs(66 + 30 + 4));
    let text = lines(&drawn(&state, Palette::Colour, 80, 24));
    assert!(text.contains("no tick for 4 s"), "{text}");
    assert!(text.contains("read             – MB/s"), "{text}");
}

#[test]
fn the_rest_of_a_plan_follows_from_the_runs_that_were_made() {
    let text = lines(&drawn(&session(), Palette::Colour, 80, 24));
    // Eleven runs less half of one, at 66 seconds each.
    assert!(text.contains("11:33 left"), "{text}");
    let mut state = State::new(Subject::Session);
    state.tell(Event::Warning("before".to_owned()));
    state.tell(estimated());
    state.tell(began(TargetKind::Embedded, None));
    let text = lines(&drawn(&state, Palette::Colour, 80, 24));
    assert!(text.contains("12:00 left at least"), "{text}");
}

fn estimated() -> Event {
    Event::Estimated(Estimate {
        measuring: Duration::from_secs(12 * 60),
        ..Estimate::default()
    })
}

fn began(kind: TargetKind, device: Option<&str>) -> Event {
    Event::Began {
        session: SESSION.into(),
        target: TargetFacts {
            kind,
            url: "http://127.0.0.1:8355".to_owned(),
            model: "gpt-oss-120b".to_owned(),
            api: "completions".to_owned(),
            server: None,
        },
        device: device.map(str::to_owned),
        runs: 12,
    }
}
