//! `h6_lora_ab` (or `arms_ab`): what each arm changes against the baseline, by users.

use super::{
    Figure, NOTHING_TO_SHOW, NotDrawn,
    frame::{CAP, Head, TICK, y_axis},
    label::spread_column,
    numbers::{change, percent, sum_up},
    scale::Scale,
    scatter::error_bar,
    scene::{Anchor, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::Weight,
};
use crate::{Analysis, ArmEffect, Metric, stats::Percentile};

const WIDTH: f64 = 860.0;
const PANEL_HEIGHT: f64 = 190.0;
const RIGHT: f64 = 110.0;
const LABEL: Style = Style {
    size: 13.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};
const INKS: [[Ink; 2]; 4] = [
    [Ink::Vermilion, Ink::VermilionText],
    [Ink::Blue, Ink::BlueText],
    [Ink::Purple, Ink::PurpleText],
    [Ink::Sky, Ink::SkyText],
];

pub(super) const LORA: &str = "h6_lora_ab";
pub(super) const ARMS: &str = "arms_ab";

pub(super) fn name(analysis: &Analysis) -> &'static str {
    match analysis.session.experiment.as_str() {
        "h6" => LORA,
        _ => ARMS,
    }
}

struct Panel<'a> {
    label: String,
    effects: Vec<&'a ArmEffect>,
}

pub(super) fn draw(analysis: &Analysis) -> Result<Figure, NotDrawn> {
    let panels = panels(&analysis.effects);
    let first = panels.first().ok_or(NOTHING_TO_SHOW)?;
    let against = first.effects[0].against.clone();
    let mut users: Vec<Option<u32>> = first.effects.iter().map(|it| it.users).collect();
    // The blocks of all users together come last.
    users.sort_by_key(|users| users.map_or(u64::MAX, u64::from));
    users.dedup();
    let mut arms: Vec<&str> = first.effects.iter().map(|it| it.arm.as_str()).collect();
    // The arm that is expected to cost most is planned last: it gets the first colour.
    arms.dedup();
    arms.reverse();
    let mut seen = Vec::new();
    arms.retain(|arm| {
        !seen.contains(arm) && {
            seen.push(arm);
            true
        }
    });
    let title = title(&panels, &against);
    let head = Head::new(&title, &subtitle(&panels, &against), WIDTH);
    let step = PANEL_HEIGHT + 46.0;
    let height = head.height() + 22.0 + panels.len() as f64 * step + 40.0;
    let mut scene = Scene::new(WIDTH, height, title.clone());
    head.draw(&mut scene);
    for (index, panel) in panels.iter().enumerate() {
        let plot = Rect {
            x: 84.0,
            y: head.height() + 22.0 + index as f64 * step,
            width: WIDTH - 84.0 - RIGHT,
            height: PANEL_HEIGHT,
        };
        draw_panel(&mut scene, panel, &users, &arms, &plot);
        if index + 1 == panels.len() {
            name_users(&mut scene, &users, &plot);
        }
    }
    Ok(Figure {
        name: name(analysis),
        title,
        scene,
    })
}

/// The median of TTFT, its highest percentile that all pairs support, and the median of e2e.
fn panels(effects: &[ArmEffect]) -> Vec<Panel<'_>> {
    let of = |metric, percentile: Percentile| -> Vec<&ArmEffect> {
        let wanted = (metric, percentile);
        effects
            .iter()
            .filter(|it| (it.metric, it.percentile) == wanted)
            .collect()
    };
    let median = of(Metric::Ttft, Percentile::P50);
    let pairs =
        |effects: &[&ArmEffect]| -> usize { effects.iter().map(|it| it.effect.pairs).sum() };
    let tails = [Percentile::P99, Percentile::P95, Percentile::P90];
    let tail = tails
        .map(|percentile| (Metric::Ttft, percentile))
        .into_iter()
        .find(|(metric, percentile)| pairs(&of(*metric, *percentile)) == pairs(&median));
    let wanted = [
        Some((Metric::Ttft, Percentile::P50)),
        tail,
        Some((Metric::E2e, Percentile::P50)),
    ];
    wanted
        .into_iter()
        .flatten()
        .map(|(metric, percentile)| Panel {
            label: crate::verdict::name(metric, percentile),
            effects: of(metric, percentile),
        })
        .filter(|panel| !panel.effects.is_empty())
        .collect()
}

fn change_pct(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}

fn draw_panel(scene: &mut Scene, panel: &Panel, users: &[Option<u32>], arms: &[&str], plot: &Rect) {
    let ends = panel.effects.iter().flat_map(|it| {
        let [low, high] = it.effect.interval.unwrap_or([it.effect.ratio; 2]);
        [change_pct(low), change_pct(high)]
    });
    let (least, most) = ends.fold((0.0, 0.0), |(a, b), end| {
        (f64::min(a, end), f64::max(b, end))
    });
    // An interval of a few pairs may reach far: what the points do must stay readable.
    let points = panel
        .effects
        .iter()
        .map(|it| change_pct(it.effect.ratio).abs());
    let reach = points.fold(1.0, f64::max) * 4.0;
    let margin = 0.06 * (most - least).min(2.0 * reach).max(1.0);
    let range = [least.max(-reach) - margin, most.min(reach) + margin];
    let y = Scale::span(range, [plot.bottom(), plot.y], 5);
    scene.text(at(plot.x, plot.y - 9.0), panel.label.clone(), LABEL);
    y_axis(scene, plot, &y, "Change (%)");
    let zero = y.at(0.0);
    scene.line(
        at(plot.x, zero),
        at(plot.right(), zero),
        stroke(Ink::Text, 1.2),
    );
    let column = plot.width / users.len() as f64;
    let mut names: Vec<(usize, f64)> = Vec::new();
    for (arm_index, arm) in arms.iter().enumerate() {
        let [ink, _] = INKS[arm_index % INKS.len()];
        let aside = (arm_index as f64 - (arms.len() as f64 - 1.0) / 2.0) * 22.0;
        for (index, users) in users.iter().enumerate() {
            let found = panel
                .effects
                .iter()
                .find(|it| it.arm == *arm && it.users == *users);
            let Some(effect) = found else { continue };
            let x = plot.x + (index as f64 + 0.5) * column + aside;
            draw_effect(scene, effect, &y, x, ink, range);
        }
        let last = users.iter().rev().find_map(|users| {
            panel
                .effects
                .iter()
                .find(|it| it.arm == *arm && it.users == *users)
        });
        if let Some(last) = last {
            names.push((arm_index, y.at(change_pct(last.effect.ratio))));
        }
    }
    name_arms(scene, arms, &names, plot);
}

fn draw_effect(
    scene: &mut Scene,
    effect: &ArmEffect,
    y: &Scale,
    x: f64,
    ink: Ink,
    range: [f64; 2],
) {
    let clamp = |ratio: f64| y.at(change_pct(ratio).clamp(range[0], range[1]));
    let interval = effect.effect.interval;
    let said = interval.map_or(String::new(), |[low, high]| {
        format!(" (95 % {} to {})", change(low), change(high))
    });
    let users = effect
        .users
        .map_or("all users".to_owned(), |users| format!("{users} users"));
    let hint = format!(
        "{}, {users}: {}{said}, {} pairs",
        effect.arm,
        change(effect.effect.ratio),
        effect.effect.pairs
    );
    if let Some([low, high]) = interval {
        error_bar(scene, at(x, clamp(low)), at(x, clamp(high)), ink);
    }
    let (fill, line) = if effect.effect.is_clear() {
        (ink, stroke(Ink::Surface, 1.5))
    } else {
        (Ink::Surface, stroke(ink, 2.0))
    };
    let point = at(x, clamp(effect.effect.ratio));
    scene.with_hint(hint, |scene| scene.circle(point, 5.0, fill, line));
}

fn name_arms(scene: &mut Scene, arms: &[&str], names: &[(usize, f64)], plot: &Rect) {
    let wanted: Vec<f64> = names
        .iter()
        .map(|(_, y)| y.clamp(plot.y, plot.bottom()))
        .collect();
    let placed = spread_column(&wanted, 17.0, [plot.y + 8.0, plot.bottom() - 8.0]);
    for ((arm, _), middle) in names.iter().zip(placed) {
        let [_, ink] = INKS[arm % INKS.len()];
        let style = Style { ink, ..LABEL };
        let baseline = middle + CAP * style.size / 2.0;
        scene.text(at(plot.right() + 8.0, baseline), arms[*arm], style);
    }
}

fn name_users(scene: &mut Scene, users: &[Option<u32>], plot: &Rect) {
    let column = plot.width / users.len() as f64;
    for (index, users) in users.iter().enumerate() {
        let x = plot.x + (index as f64 + 0.5) * column;
        let text = users.map_or("all".to_owned(), |users| users.to_string());
        scene.text(at(x, plot.bottom() + 20.0), text, TICK);
    }
    let middle = at(plot.x + plot.width / 2.0, plot.bottom() + 42.0);
    let style = Style {
        weight: Weight::Regular,
        anchor: Anchor::Middle,
        ..LABEL
    };
    scene.text(middle, "Concurrent users", style);
}

/// The greatest clear change of the blocks taken together: clear also among so many figures, as the
/// verdict has it.
fn title(panels: &[Panel], against: &str) -> String {
    let together = |it: &&&ArmEffect| it.users.is_none();
    let all = || {
        panels
            .iter()
            .flat_map(|panel| panel.effects.iter().map(move |it| (panel, it)))
    };
    let several = all().any(|(_, it)| together(&it));
    let compared = || all().filter(|(_, it)| !several || it.users.is_none());
    let count = compared().count() as f64;
    let p_value = |it: &ArmEffect| it.effect.p_value.unwrap_or(1.0);
    let clear = compared().filter(|(_, it)| p_value(it) * count <= 0.05);
    let worst = clear.max_by(|a, b| a.1.effect.ratio.total_cmp(&b.1.effect.ratio));
    match worst {
        Some((panel, it)) if it.effect.ratio > 1.0 => format!(
            "Against {against}, {} makes {} {}",
            it.arm,
            panel.label,
            crate::verdict::longer(it.effect.ratio)
        ),
        Some((panel, it)) => format!(
            "Against {against}, {} makes {} {} shorter",
            it.arm,
            panel.label,
            percent(-change_pct(it.effect.ratio))
        ),
        None => format!("No arm differs clearly from {against}"),
    }
}

fn subtitle(panels: &[Panel], against: &str) -> String {
    let pairs = panels
        .iter()
        .flat_map(|panel| panel.effects.iter().map(|it| it.effect.pairs));
    let detectable = panels.iter().filter_map(|panel| {
        let effects = panel.effects.iter().filter_map(|it| it.effect.detectable);
        let least = effects.reduce(f64::min)?;
        Some(format!("{} {}", panel.label, change(least)))
    });
    let detectable: Vec<String> = detectable.collect();
    let mut text = format!(
        "Change against {against} within each block, n = {} pairs a point. Bars: 95 % t intervals of the pairs’ log ratios; filled: the interval leaves no change out.",
        sum_up(pairs).unwrap_or_default()
    );
    if !detectable.is_empty() {
        text.push_str(&format!(
            " The smallest change that would have shown four times in five: {}.",
            detectable.join(", ")
        ));
    }
    text
}
