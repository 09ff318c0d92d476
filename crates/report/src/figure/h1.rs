//! `h1_cold_warm`: a model loaded cold and warm, each pair shown.

use super::{
    Figure, NOTHING_TO_SHOW, NotDrawn,
    frame::{Head, TICK, y_axis},
    numbers::{percent, plain},
    scale::Scale,
    scene::{Anchor, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::Weight,
};
use crate::RunAnalysis;
use crate::{
    Analysis,
    arms::Blocks,
    stats::{PairedRatio, paired_ratio},
    verdict::{COLD, seconds_to, to_first_token},
};

pub(super) const NAME: &str = "h1_cold_warm";

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 330.0;
const LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Middle,
};

/// A step of the start, and what each pair took to it: warm, cold, in seconds.
struct Step {
    name: &'static str,
    pairs: Vec<(f64, f64)>,
}

fn ready(run: &RunAnalysis) -> Option<f64> {
    let load = run.manifest.as_ref()?.model_load.as_ref()?;
    seconds_to(load, load.healthy_ns)
}

fn weights(run: &RunAnalysis) -> Option<f64> {
    let load = run.manifest.as_ref()?.model_load.as_ref()?;
    seconds_to(load, load.weights_read_ns)
}

pub(super) fn draw(analysis: &Analysis) -> Result<Figure, NotDrawn> {
    let blocks = Blocks::of(&analysis.runs).ok_or(NOTHING_TO_SHOW)?;
    let step = |name, of: fn(&RunAnalysis) -> Option<f64>| Step {
        name,
        pairs: blocks.pairs(COLD, None, of),
    };
    let steps: Vec<Step> = [
        step("weights read", weights),
        step("ready", ready),
        step("first token", to_first_token),
    ]
    .into_iter()
    .filter(|step| !step.pairs.is_empty())
    .collect();
    let last = steps.last().ok_or(NOTHING_TO_SHOW)?;
    let effect = paired_ratio(&last.pairs).ok_or(NOTHING_TO_SHOW)?;
    let title = title(&effect, last);
    let head = Head::new(&title, &subtitle(analysis, &effect), WIDTH);
    let mut scene = Scene::new(WIDTH, head.height() + HEIGHT + 72.0, title.clone());
    head.draw(&mut scene);
    let plot = Rect {
        x: 84.0,
        y: head.height() + 22.0,
        width: WIDTH - 84.0 - 24.0,
        height: HEIGHT,
    };
    let slowest = steps.iter().flat_map(|step| &step.pairs);
    let most = slowest.fold(0.0, |most, (warm, cold)| f64::max(most, warm.max(*cold)));
    let y = Scale::from_zero(most * 1.05, [plot.bottom(), plot.y], 6);
    y_axis(&mut scene, &plot, &y, "Time since the server’s start (s)");
    let (left, right) = (at(plot.x, plot.bottom()), at(plot.right(), plot.bottom()));
    scene.line(left, right, stroke(Ink::Axis, 1.2));
    let column = plot.width / steps.len() as f64;
    for (index, step) in steps.iter().enumerate() {
        let area = Rect {
            x: plot.x + index as f64 * column,
            width: column,
            ..plot
        };
        draw_step(&mut scene, step, &y, &area);
    }
    Ok(Figure {
        name: NAME,
        title,
        scene,
    })
}

/// Two columns of points, warm and cold, a line a pair.
fn draw_step(scene: &mut Scene, step: &Step, y: &Scale, area: &Rect) {
    let warm_x = area.x + area.width * 0.3;
    let cold_x = area.x + area.width * 0.7;
    let middle = area.x + area.width / 2.0;
    scene.text(
        at(middle, area.y - 10.0),
        format!("To: {}", step.name),
        LABEL,
    );
    for (number, (warm, cold)) in (1..).zip(&step.pairs) {
        let (from, to) = (at(warm_x, y.at(*warm)), at(cold_x, y.at(*cold)));
        let hint = format!(
            "pair {number}, {}: warm {} s, cold {} s, {}×",
            step.name,
            plain(*warm),
            plain(*cold),
            plain(cold / warm)
        );
        scene.with_hint(hint, |scene| {
            scene.line(from, to, stroke(Ink::Axis, 1.4));
            scene.circle(from, 5.0, Ink::Blue, stroke(Ink::Surface, 1.5));
            scene.circle(to, 5.0, Ink::Vermilion, stroke(Ink::Surface, 1.5));
        });
    }
    let mean = |of: fn(&(f64, f64)) -> f64| {
        step.pairs.iter().map(of).sum::<f64>() / step.pairs.len() as f64
    };
    let ends = [
        (
            warm_x - 12.0,
            Anchor::End,
            Ink::BlueText,
            mean(|pair| pair.0),
        ),
        (
            cold_x + 12.0,
            Anchor::Start,
            Ink::VermilionText,
            mean(|pair| pair.1),
        ),
    ];
    for (x, anchor, ink, mean) in ends {
        let style = Style {
            anchor,
            ink,
            ..LABEL
        };
        scene.text_with_halo(at(x, y.at(mean) + 5.0), format!("{} s", plain(mean)), style);
    }
    for (x, word) in [(warm_x, "warm"), (cold_x, "cold")] {
        scene.text(at(x, area.bottom() + 20.0), word, TICK);
    }
}

fn title(effect: &PairedRatio, last: &Step) -> String {
    match effect.interval {
        Some([low, _]) if low > 1.0 => format!(
            "A cold start takes {} times as long to its {} as a warm one",
            plain(effect.ratio),
            last.name
        ),
        Some([_, high]) if high > 2.0 => format!(
            "The pairs are too unlike to tell how much longer a cold start takes to its {}",
            last.name
        ),
        Some([_, high]) => format!(
            "A cold start does not clearly take longer to its {}: {} longer at most",
            last.name,
            percent((high.max(1.0) - 1.0) * 100.0)
        ),
        None => format!(
            "One pair: a cold start took {} times as long to its {}",
            plain(effect.ratio),
            last.name
        ),
    }
}

fn subtitle(analysis: &Analysis, effect: &PairedRatio) -> String {
    let mut text = match effect.interval {
        Some([low, high]) => format!(
            "n = {} pairs of starts, a line each; labels: means. Ratio {} (95 % {}–{}, t interval of the pairs’ logarithms).",
            effect.pairs,
            plain(effect.ratio),
            plain(low),
            plain(high)
        ),
        None => "n = 1 pair of starts: no interval.".to_owned(),
    };
    for code in ["LOAD_RATE", "COLD_BYTES", "WARM_BYTES"] {
        let reasons = &analysis.verdict.reasons;
        if let Some(reason) = reasons.iter().find(|reason| reason.code == code) {
            let mut letters = reason.words.chars();
            let first = letters.next().map(|it| it.to_uppercase().to_string());
            text.push_str(&format!(
                " {}{}.",
                first.unwrap_or_default(),
                letters.as_str()
            ));
        }
    }
    text
}
