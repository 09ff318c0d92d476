//! `h8_cpu`: where the CPU time goes over the session, which cores are busy, and which wait for I/O.

mod heat;
mod stack;

use super::{
    Figure, NotDrawn, bands,
    frame::{Head, x_axis},
    numbers::{percent, plain},
    scale::Scale,
    scene::{Anchor, Rect, Scene, Style},
    theme::Ink,
    typeface::Weight,
};
use crate::{
    HostFigure, HostMeans,
    evidence::RunEvidence,
    timeline::{Bins, CoreBins, CpuShares, CpuTimeline},
};

pub(super) const NAME: &str = "h8_cpu";

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
/// Room for the labels beside the plots.
const RIGHT: f64 = 162.0;
const STACK_HEIGHT: f64 = 230.0;
const PANEL_LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};

pub(super) fn draw(
    runs: &[RunEvidence],
    timeline: Option<&CpuTimeline>,
) -> Result<Figure, NotDrawn> {
    let timeline = timeline.ok_or("no run's stages are known")?;
    let shares = timeline.shares();
    if shares.iter().all(Option::is_none) {
        return Err("no run has telemetry of the CPU");
    }
    let busy = timeline.by_core(CpuShares::busy);
    let iowait = timeline.by_core(|shares| shares.iowait);
    let title = title(runs, &iowait);
    let head = Head::new(&title, &subtitle(runs, &timeline.bins), WIDTH);
    let column = |y, height| Rect {
        x: LEFT,
        y,
        width: WIDTH - LEFT - RIGHT,
        height,
    };
    let strip = column(head.height(), bands::height(runs));
    let stack = column(strip.bottom() + 28.0, STACK_HEIGHT);
    let maps = [
        ("Each core: share of its time busy", busy),
        ("Each core: share of its time in iowait", iowait),
    ];
    let mut below = stack;
    let mut heats = Vec::new();
    for (label, cores) in maps.iter().filter(|(_, cores)| !cores.is_empty()) {
        let height = (cores.len() as f64 * 16.0).clamp(48.0, 280.0);
        below = column(below.bottom() + 46.0, height);
        heats.push((label, cores, below));
    }
    let last = below;
    let mut scene = Scene::new(WIDTH, last.bottom() + 66.0, title.clone());
    head.draw(&mut scene);

    let x = time_scale(&timeline.bins, &strip);
    let bins = &timeline.bins;
    let ends = [bins.start_s(0), bins.start_s(bins.count())];
    scene.time = Some([strip.x, strip.right(), ends[0], ends[1]]);
    bands::draw(&mut scene, runs, &x, &strip, last.bottom());
    stack::draw(&mut scene, &timeline.bins, &shares, &x, &stack);
    for (label, cores, plot) in heats {
        heat::draw(&mut scene, label, bins, cores, &x, &plot);
    }
    x_axis(&mut scene, &last, &x, "Time since the session’s start (s)");
    Ok(Figure {
        name: NAME,
        title,
        scene,
    })
}

fn time_scale(bins: &Bins, plot: &Rect) -> Scale {
    let range = [bins.start_s(0), bins.start_s(bins.count())];
    Scale::span(range, [plot.x, plot.right()], 8)
}

/// The mean over all measured intervals, and the worst that one core saw.
fn title(runs: &[RunEvidence], cores: &[CoreBins]) -> String {
    let host = HostMeans::pooled(runs.iter().map(|run| &run.host));
    let iowait = host.get(HostFigure::IowaitPct);
    let worst = cores
        .iter()
        .flat_map(|(core, bins)| bins.iter().flatten().map(move |&share| (share, *core)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let peak = worst.filter(|(share, _)| *share > 0.0);
    match (host.get(HostFigure::IdlePct), iowait) {
        (Some(idle), Some(iowait)) if iowait > 0.0 || peak.is_some() => {
            let peak = peak.map_or(String::new(), |(share, core)| {
                format!("; core {core} peaks at {} iowait", percent(share))
            });
            format!(
                "While measured, the CPUs are {} idle and {} in iowait{peak}",
                percent(idle),
                percent(iowait)
            )
        }
        (Some(idle), Some(_)) => {
            format!(
                "While measured, the CPUs are {} idle and never in iowait",
                percent(idle)
            )
        }
        _ => "Where the CPU time goes".to_owned(),
    }
}

fn subtitle(runs: &[RunEvidence], bins: &Bins) -> String {
    let recorded = runs.iter().filter(|run| run.has_telemetry).count();
    let mut text = format!(
        "Share of CPU time in bins of {} s, {recorded} of {} runs recorded. Labels: mean of all bins. Blank where nothing was recorded. iowait is idle time of a CPU with a task waiting for I/O; the kernel calls it unreliable.",
        plain(bins.width_s()),
        runs.len()
    );
    if recorded < runs.len() {
        text.push_str(" Runs without telemetry are marked ×.");
    }
    text
}
