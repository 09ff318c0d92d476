//! All cores together: layers of usr, sys and iowait over time.

use super::{
    super::{
        frame::{CAP, y_axis},
        label::spread_column,
        numbers::percent,
        scale::Scale,
        scene::{Rect, Scene, Style, Track, at, stroke},
        svg::Px,
        theme::Ink,
    },
    PANEL_LABEL,
};
use crate::timeline::{Bins, CpuShares};
use std::fmt::Write as _;

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
