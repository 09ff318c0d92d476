//! Each core: a map of a share of its time, over the session.

use super::{
    super::{
        frame::{CAP, TICK},
        numbers::percent,
        scale::Scale,
        scene::{Anchor, Rect, Scene, Style, at, rect_path},
        theme::{HEAT_STEPS, Ink},
    },
    PANEL_LABEL,
};
use crate::timeline::{Bins, CoreBins};

pub(super) fn draw(
    scene: &mut Scene,
    label: &str,
    bins: &Bins,
    cores: &[CoreBins],
    x: &Scale,
    plot: &Rect,
) {
    let most = cores
        .iter()
        .flat_map(|(_, bins)| bins.iter().flatten())
        .fold(0.0, |a, &b| f64::max(a, b));
    scene.text(at(plot.x, plot.y - 9.0), label, PANEL_LABEL);
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

fn name_cores(scene: &mut Scene, cores: &[CoreBins], plot: &Rect, row: f64) {
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
