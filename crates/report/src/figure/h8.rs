//! `h8_cpu`: where the CPU time goes over the session, and which cores wait for I/O.

use super::{
    Figure, NotDrawn,
    frame::{CAP, Head, TICK, x_axis, y_axis},
    label::spread_column,
    numbers::{percent, plain},
    scale::Scale,
    scene::{Anchor, Rect, Scene, Style, Track, at, rect_path, stroke},
    svg::Px,
    theme::{HEAT_STEPS, Ink},
    typeface::{self, Weight},
};
use crate::{
    HostFigure, HostMeans,
    evidence::RunEvidence,
    timeline::{Bins, CpuShares, CpuTimeline},
};
use std::fmt::Write as _;

pub(super) const NAME: &str = "h8_cpu";

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
/// Room for the labels beside the plots.
const RIGHT: f64 = 162.0;
const STRIP_HEIGHT: f64 = 22.0;
const STACK_HEIGHT: f64 = 230.0;
const PANEL_LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};

/// The layers from the bottom up; iowait on top, where its edge is seen against the idle time.
const LAYERS: [Layer; 4] = [
    Layer {
        name: "user",
        of: |shares| shares.usr,
        ink: Ink::Sky,
        text: Ink::SkyText,
    },
    Layer {
        name: "system",
        of: |shares| shares.sys,
        ink: Ink::Blue,
        text: Ink::BlueText,
    },
    Layer {
        name: "irq, steal, nice",
        of: |shares| shares.other,
        ink: Ink::Purple,
        text: Ink::PurpleText,
    },
    Layer {
        name: "iowait",
        of: |shares| shares.iowait,
        ink: Ink::Vermilion,
        text: Ink::VermilionText,
    },
];

struct Layer {
    name: &'static str,
    of: fn(&CpuShares) -> f64,
    ink: Ink,
    text: Ink,
}

pub(super) fn draw(
    runs: &[RunEvidence],
    timeline: Option<&CpuTimeline>,
) -> Result<Figure, NotDrawn> {
    let timeline = timeline.ok_or("no run's stages are known")?;
    let shares = timeline.shares();
    if shares.iter().all(Option::is_none) {
        return Err("no run has telemetry of the CPU");
    }
    let cores = timeline.iowait_by_core();
    let title = title(runs, &cores);
    let head = Head::new(&title, &subtitle(runs, &timeline.bins), WIDTH);
    let column = |y, height| Rect {
        x: LEFT,
        y,
        width: WIDTH - LEFT - RIGHT,
        height,
    };
    let strip = column(head.height(), STRIP_HEIGHT);
    let stack = column(strip.bottom() + 28.0, STACK_HEIGHT);
    let heat_height = (cores.len() as f64 * 16.0).clamp(48.0, 280.0);
    let heat = column(stack.bottom() + 46.0, heat_height);
    let last = if cores.is_empty() { stack } else { heat };
    let mut scene = Scene::new(WIDTH, last.bottom() + 66.0, title.clone());
    head.draw(&mut scene);

    let x = time_scale(&timeline.bins, &strip);
    let bins = &timeline.bins;
    let ends = [bins.start_s(0), bins.start_s(bins.count())];
    scene.time = Some([strip.x, strip.right(), ends[0], ends[1]]);
    draw_runs(&mut scene, runs, &x, &strip, last.bottom());
    draw_stack(&mut scene, &timeline.bins, &shares, &x, &stack);
    if !cores.is_empty() {
        draw_heat(&mut scene, &timeline.bins, &cores, &x, &heat);
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
fn title(runs: &[RunEvidence], cores: &[(u32, Vec<Option<f64>>)]) -> String {
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

/// A strip that names each run's users, and a ground behind every second run.
pub(super) fn draw_runs(
    scene: &mut Scene,
    runs: &[RunEvidence],
    x: &Scale,
    strip: &Rect,
    bottom: f64,
) {
    let header = Style {
        anchor: Anchor::End,
        ..TICK
    };
    let baseline = strip.y + strip.height / 2.0 + CAP * TICK.size / 2.0;
    scene.text(at(strip.x - 8.0, baseline), "users", header);
    let mut label_ends = f64::NEG_INFINITY;
    for (index, run) in runs.iter().enumerate() {
        let Some((manifest, stages)) = run.manifest.as_ref().and_then(|it| Some((it, it.stages?)))
        else {
            continue;
        };
        let from = x.at(stages.ramp.start_ns.as_secs_f64());
        let to = x.at(stages.drain.end_ns.as_secs_f64());
        if index % 2 == 0 {
            let ground = Rect {
                x: from,
                y: strip.y,
                width: to - from,
                height: bottom - strip.y,
            };
            scene.rect(ground, Ink::Band);
        }
        scene.line(at(from, strip.y), at(from, bottom), stroke(Ink::Grid, 1.0));
        let mut text = manifest.users.to_string();
        if let Some(arm) = &manifest.arm {
            let with_arm = format!("{text} {arm}");
            if typeface::width(&with_arm, TICK.size, TICK.weight) + 6.0 < to - from {
                text = with_arm;
            }
        }
        if !run.has_telemetry {
            text.push_str(" ×");
        }
        let width = typeface::width(&text, TICK.size, TICK.weight);
        let middle = (from + to) / 2.0;
        // A run too short for its label goes without: better than one over the other.
        if middle - width / 2.0 >= label_ends + 4.0 {
            let hint = format!("{}, {} users", run.id, manifest.users);
            scene.with_hint(hint, |scene| scene.text(at(middle, baseline), text, TICK));
            label_ends = middle + width / 2.0;
        }
    }
}

fn draw_stack(
    scene: &mut Scene,
    bins: &Bins,
    shares: &[Option<CpuShares>],
    x: &Scale,
    plot: &Rect,
) {
    let all = |shares: &CpuShares| LAYERS.iter().map(|layer| (layer.of)(shares)).sum::<f64>();
    let most = shares.iter().flatten().map(all).fold(0.0, f64::max);
    let y = Scale::from_zero(most.clamp(5.0, 100.0), [plot.bottom(), plot.y], 6);
    let label = if y.end() < 99.0 {
        format!(
            "All cores: share of CPU time; the axis ends at {}, the rest is idle",
            percent(y.end())
        )
    } else {
        "All cores: share of CPU time; the rest is idle".to_owned()
    };
    scene.text(at(plot.x, plot.y - 9.0), label, PANEL_LABEL);
    y_axis(scene, plot, &y, "CPU time (%)");
    let mut below = vec![0.0; shares.len()];
    for layer in &LAYERS {
        let above: Vec<Option<f64>> = shares
            .iter()
            .zip(&below)
            .map(|(shares, below)| Some(below + (layer.of)(shares.as_ref()?)))
            .collect();
        let mean = mean_of(shares, layer.of);
        let value = |(bin, shares): (usize, &Option<CpuShares>)| {
            let middle = (x.at(bins.start_s(bin)) + x.at(bins.start_s(bin + 1))) / 2.0;
            let share = (layer.of)(shares.as_ref()?);
            Some((at(middle, y.at(share)), share))
        };
        let track = Track {
            unit: "%",
            dots: false,
            values: shares.iter().enumerate().filter_map(value).collect(),
        };
        let name = format!("{} (mean {})", layer.name, percent(mean));
        scene.with_track(name, track, |scene| {
            scene.fill(area(bins, &below, &above, x, &y), layer.ink, false);
        });
        for (below, above) in below.iter_mut().zip(above) {
            *below = above.unwrap_or(*below);
        }
    }
    scene.line(
        at(plot.x, plot.bottom()),
        at(plot.right(), plot.bottom()),
        stroke(Ink::Axis, 1.2),
    );
    draw_layer_names(scene, shares, plot, &y);
}

fn mean_of(shares: &[Option<CpuShares>], of: fn(&CpuShares) -> f64) -> f64 {
    let known: Vec<f64> = shares.iter().flatten().map(of).collect();
    known.iter().sum::<f64>() / known.len().max(1) as f64
}

/// A stepped area between two edges, in pieces where bins are absent.
fn area(bins: &Bins, below: &[f64], above: &[Option<f64>], x: &Scale, y: &Scale) -> String {
    let mut path = String::new();
    let mut bin = 0;
    while bin < above.len() {
        let end = (bin..above.len())
            .find(|&at| above[at].is_none())
            .unwrap_or(above.len());
        if end > bin {
            let left = |bin: usize| x.at(bins.start_s(bin));
            // Writing to a String can't fail.
            let _ = write!(path, "M{} {}", Px(left(bin)), Px(y.at(below[bin])));
            for (at, top) in above[bin..end].iter().enumerate() {
                let top = Px(y.at(top.unwrap_or_default()));
                let _ = write!(path, "V{top}H{}", Px(left(bin + at + 1)));
            }
            for at in (bin..end).rev() {
                let _ = write!(path, "V{}H{}", Px(y.at(below[at])), Px(left(at)));
            }
            path.push('z');
        }
        bin = end + 1;
    }
    path
}

/// Each layer's name and mean, beside the end of the plot and apart from each other.
fn draw_layer_names(scene: &mut Scene, shares: &[Option<CpuShares>], plot: &Rect, y: &Scale) {
    let Some(last) = shares.iter().flatten().next_back() else {
        return;
    };
    let mut below = 0.0;
    let wanted: Vec<f64> = LAYERS
        .iter()
        .map(|layer| {
            let share = (layer.of)(last);
            below += share;
            y.at(below - share / 2.0)
        })
        .collect();
    // Ties keep the order of the layers: the lowest layer has the greatest y.
    let ordered: Vec<f64> = wanted
        .iter()
        .enumerate()
        .map(|(i, y)| y - i as f64 * 1e-3)
        .collect();
    let placed = spread_column(&ordered, 17.0, [plot.y + 6.0, plot.bottom() - 4.0]);
    for (layer, middle) in LAYERS.iter().zip(placed) {
        let style = Style {
            ink: layer.text,
            size: 12.5,
            ..PANEL_LABEL
        };
        let text = format!("{} {}", layer.name, percent(mean_of(shares, layer.of)));
        scene.text(
            at(plot.right() + 9.0, middle + CAP * 12.5 / 2.0),
            text,
            style,
        );
    }
}

fn draw_heat(
    scene: &mut Scene,
    bins: &Bins,
    cores: &[(u32, Vec<Option<f64>>)],
    x: &Scale,
    plot: &Rect,
) {
    let most = cores
        .iter()
        .flat_map(|(_, bins)| bins.iter().flatten())
        .fold(0.0, |a, &b| f64::max(a, b));
    scene.text(
        at(plot.x, plot.y - 9.0),
        "Each core: share of its time in iowait",
        PANEL_LABEL,
    );
    scene.turned_text(
        at(plot.x - 50.0, plot.y + plot.height / 2.0),
        "Core",
        Style {
            size: 13.5,
            ink: Ink::Text,
            ..TICK
        },
    );
    let colours = Scale::from_zero(most.max(5.0), [0.0, f64::from(HEAT_STEPS - 1)], 5);
    let row = plot.height / cores.len() as f64;
    let mut paths = vec![String::new(); usize::from(HEAT_STEPS)];
    for (index, (_, shares)) in cores.iter().enumerate() {
        let y = plot.y + index as f64 * row;
        heat_row(&mut paths, bins, shares, &colours, x, (y, row));
    }
    for (step, path) in (0..).zip(paths) {
        if !path.is_empty() {
            scene.fill(path, Ink::Heat(step), true);
        }
    }
    name_cores(scene, cores, plot, row);
    colour_scale(scene, &colours, plot);
}

/// Adds one core's bins to the paths of their colours; neighbours of one colour become one piece.
fn heat_row(
    paths: &mut [String],
    bins: &Bins,
    shares: &[Option<f64>],
    colours: &Scale,
    x: &Scale,
    (y, height): (f64, f64),
) {
    let step_of = |share: f64| match share {
        _ if share <= 0.0 => 0,
        _ => (colours.at(share).floor() as usize + 1).min(usize::from(HEAT_STEPS) - 1),
    };
    let mut bin = 0;
    while bin < shares.len() {
        let step = shares[bin].map(step_of);
        let same = |&at: &usize| shares[at].map(step_of) != step;
        let end = (bin..shares.len()).find(same).unwrap_or(shares.len());
        if let Some(step) = step {
            let (left, right) = (x.at(bins.start_s(bin)), x.at(bins.start_s(end)));
            paths[step].push_str(&rect_path(&Rect {
                x: left,
                y,
                width: right - left,
                height,
            }));
        }
        bin = end;
    }
}

fn name_cores(scene: &mut Scene, cores: &[(u32, Vec<Option<f64>>)], plot: &Rect, row: f64) {
    let every = [1, 2, 4, 5, 8, 10, 16, 32, 64, 128]
        .into_iter()
        .find(|&every| every as f64 * row >= 15.0)
        .unwrap_or(256);
    let style = Style {
        anchor: Anchor::End,
        ..TICK
    };
    for (index, (core, _)) in cores.iter().enumerate().step_by(every) {
        let middle = plot.y + (index as f64 + 0.5) * row;
        let baseline = middle + CAP * TICK.size / 2.0;
        scene.text(at(plot.x - 8.0, baseline), core.to_string(), style);
    }
}

/// What the colours mean, from nothing at the bottom to the most at the top.
fn colour_scale(scene: &mut Scene, colours: &Scale, plot: &Rect) {
    let (x, width) = (plot.right() + 14.0, 12.0);
    let height = plot.height.min(150.0);
    let step_height = height / f64::from(HEAT_STEPS);
    for step in 0..HEAT_STEPS {
        let swatch = Rect {
            x,
            y: plot.y + height - f64::from(step + 1) * step_height,
            width,
            height: step_height,
        };
        scene.rect(swatch, Ink::Heat(step));
    }
    let style = Style {
        anchor: Anchor::Start,
        ..TICK
    };
    let label = |scene: &mut Scene, y: f64, text: String| {
        scene.text(at(x + width + 7.0, y + CAP * TICK.size / 2.0), text, style);
    };
    label(
        scene,
        plot.y + height - step_height / 2.0,
        "none".to_owned(),
    );
    label(scene, plot.y + 4.0, percent(colours.end()));
    if height >= 80.0 {
        let above_none = height - step_height;
        label(
            scene,
            plot.y + above_none / 2.0,
            percent(colours.end() / 2.0),
        );
    }
}
