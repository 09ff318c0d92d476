//! The host, its device and its GPUs.

use super::row::{Figure, Row, Shape, cut, head, shown};
use crate::{
    host::{CoreView, GpuView, HostView},
    series::{Series, bar_of_pct},
    state::State,
};
use ratatui::text::Span;

const GIB: f64 = (1_u64 << 30) as f64;

pub(crate) fn rows(state: &State, shape: Shape) -> Vec<Row> {
    let mut rows = vec![host_head(state, shape)];
    rows.extend(cpu(state, shape));
    rows.extend(pressure_and_memory(state, shape));
    rows.extend(device(state, shape));
    let gpus = state.host.gpus.iter().enumerate();
    rows.extend(gpus.map(|(place, view)| gpu(state, place, view, shape)));
    rows
}

fn host_head(state: &State, shape: Shape) -> Row {
    if let Some(silent) = state.silent() {
        let words = format!(" HOST: no tick for {} s", silent.as_secs());
        return Row::new(3, Span::styled(words, shape.palette.bad()));
    }
    head(
        10,
        "HOST",
        if state.sampling {
            ""
        } else {
            "not sampled just now"
        },
        shape,
    )
}

fn cpu(state: &State, shape: Shape) -> Vec<Row> {
    let HostView { cpu, cores, .. } = &state.host;
    let parts = cpu.map_or_else(String::new, |cpu| {
        let (usr, sys) = (cpu.usr_pct + cpu.nice_pct, cpu.sys_pct);
        let irq = cpu.irq_pct + cpu.soft_pct;
        format!(
            "usr {usr:.0} sys {sys:.0} irq {irq:.0} steal {:.0}",
            cpu.steal_pct
        )
    });
    let busy = Figure {
        name: "CPU",
        value: cpu.map(|cpu| 100.0 - cpu.idle_pct - cpu.iowait_pct),
        unit: "%",
        past: &state.figures.cpu,
        aside: parts,
    };
    let greatest = cores
        .iter()
        .filter_map(|core| core.iowait_pct)
        .reduce(f64::max);
    let iowait = Figure {
        name: "iowait",
        value: cpu.map(|cpu| cpu.iowait_pct),
        unit: "%",
        past: &state.figures.iowait,
        aside: greatest.map_or_else(String::new, |pct| format!("the highest core {pct:.0} %")),
    };
    vec![
        busy.row(5, shape),
        iowait.row(3, shape),
        by_core(cores, shape),
    ]
}

/// A bar a core, as many as there is room for.
fn by_core(cores: &[CoreView], shape: Shape) -> Row {
    let room = shape.width.saturating_sub(26) / 2;
    let bars = |of: fn(&CoreView) -> Option<f64>| {
        let bars: String = cores.iter().map(|core| bar_of_pct(of(core))).collect();
        cut(&bars, room)
    };
    let palette = shape.palette;
    Row::new(
        6,
        vec![
            Span::raw(" by core   iowait "),
            Span::styled(bars(|core| core.iowait_pct), palette.warning()),
            Span::raw("  busy "),
            Span::styled(bars(|core| core.busy_pct), palette.bars()),
        ],
    )
}

fn pressure_and_memory(state: &State, shape: Shape) -> [Row; 2] {
    let host = &state.host;
    let gib = |bytes: Option<f64>| bytes.map(|bytes| bytes / GIB);
    let (memory, cpu) = (shown(host.psi_memory_pct), shown(host.psi_cpu_pct));
    let pressure = Figure {
        name: "PSI io",
        value: host.psi_io_pct,
        unit: "%",
        past: &state.figures.psi_io,
        aside: format!("memory {memory} · cpu {cpu} %"),
    };
    let (total, cached) = (
        shown(gib(host.mem_total_bytes)),
        shown(gib(host.mem_cached_bytes)),
    );
    let available = Figure {
        name: "available",
        value: gib(host.mem_available_bytes),
        unit: "GiB",
        past: &state.figures.available,
        aside: format!("of {total} · cached {cached} GiB"),
    };
    [pressure.row(5, shape), available.row(4, shape)]
}

fn device(state: &State, shape: Shape) -> Vec<Row> {
    let Some(name) = state.device() else {
        return vec![head(9, "DEVICE", "none under test", shape)];
    };
    let disk = state.host.disk.unwrap_or_default();
    let temperature = disk
        .temp_c
        .map_or_else(String::new, |c| format!(" · {c:.0} °C"));
    let util = disk
        .util_pct
        .map_or_else(String::new, |pct| format!(" · busy {pct:.0} %"));
    let (r_await, w_await) = (shown(disk.r_await_ms), shown(disk.w_await_ms));
    let figure = |name, value, past, aside| Figure {
        name,
        value,
        unit: "MB/s",
        past,
        aside,
    };
    let queue = shown(disk.aqu_sz);
    let read = format!("await {r_await} ms · aqu-sz {queue}");
    let write = format!("await {w_await} ms{util}");
    let (read_past, write_past): (&Series, &Series) = (&state.figures.read, &state.figures.write);
    vec![
        head(9, "DEVICE", &format!("{name}{temperature}"), shape),
        figure("read", disk.read_mb_s, read_past, read).row(2, shape),
        figure("write", disk.write_mb_s, write_past, write).row(4, shape),
    ]
}

/// Bits of `nvmlClocksEventReasons` that hold a GPU back against its will (nvml.h).
const THROTTLED: [(u64, &str); 5] = [
    (0x04, "power cap"),
    (0x08, "hw slowdown"),
    (0x20, "thermal"),
    (0x40, "hw thermal"),
    (0x80, "power brake"),
];

fn gpu(state: &State, place: usize, view: &GpuView, shape: Shape) -> Row {
    let with = |value: Option<f64>, unit: &str| value.map(|value| format!("{value:.0} {unit}"));
    let memory = view
        .mem_used_bytes
        .or(view.process_bytes)
        .map(|bytes| bytes / GIB);
    let held = view.throttle.unwrap_or_default();
    let held = THROTTLED.iter().find(|(bit, _)| held & bit != 0);
    let parts = [
        held.map(|(_, why)| (*why).to_owned()),
        with(view.power_w, "W"),
        with(view.temp_c, "°C"),
        with(view.sm_clock_mhz, "MHz"),
        with(memory, "GiB"),
    ];
    let none = Series::default();
    let figure = Figure {
        name: &format!("GPU {}", view.number),
        value: view.util_pct,
        unit: "%",
        // One past is kept.
        past: if place == 0 {
            &state.figures.gpu
        } else {
            &none
        },
        aside: parts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
    };
    figure.row(if place == 0 { 5 } else { 12 }, shape)
}
