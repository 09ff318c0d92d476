//! The runs over the session's time, above figures that share that axis: a strip with their users
//! and arms, and a ground behind every second run.

use super::{
    frame::{CAP, TICK},
    scale::Scale,
    scene::{Anchor, Point, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface,
};
use crate::evidence::RunEvidence;
use record::RunManifest;

/// A line of the strip.
const LINE: f64 = 19.0;

/// A run that has a place on the axis.
struct Band<'a> {
    run: &'a RunEvidence,
    manifest: &'a RunManifest,
    from: f64,
    to: f64,
}

/// How high the strip is: a line for users, and one for arms where there are any.
pub(super) fn height(runs: &[RunEvidence]) -> f64 {
    let has_arm = |run: &RunEvidence| run.manifest.as_ref().is_some_and(|it| it.arm.is_some());
    LINE * if runs.iter().any(has_arm) { 2.0 } else { 1.0 }
}

/// Draws the strip, and the grounds down to `bottom`.
pub(super) fn draw(scene: &mut Scene, runs: &[RunEvidence], x: &Scale, strip: &Rect, bottom: f64) {
    let band = |run| {
        let run: &RunEvidence = run;
        let manifest = run.manifest.as_ref()?;
        let stages = manifest.stages?;
        Some(Band {
            run,
            manifest,
            from: x.at(stages.ramp.start_ns.as_secs_f64()),
            to: x.at(stages.drain.end_ns.as_secs_f64()),
        })
    };
    let bands: Vec<Band> = runs.iter().filter_map(band).collect();
    for (index, band) in bands.iter().enumerate() {
        if index % 2 == 0 {
            let ground = Rect {
                x: band.from,
                y: strip.y,
                width: band.to - band.from,
                height: bottom - strip.y,
            };
            scene.rect(ground, Ink::Band);
        }
        let line = [at(band.from, strip.y), at(band.from, bottom)];
        scene.line(line[0], line[1], stroke(Ink::Grid, 1.0));
    }
    let baseline = |line: f64| strip.y + LINE * (line + 0.5) + CAP * TICK.size / 2.0;
    let has_arms = bands.iter().any(|band| band.manifest.arm.is_some());
    name_line(scene, strip, "users", baseline(0.0));
    name_users(scene, &bands, has_arms, baseline(0.0));
    if has_arms {
        name_line(scene, strip, "arm", baseline(1.0));
        name_arms(scene, &bands, strip, [baseline(0.0), baseline(1.0)]);
    }
}

fn name_line(scene: &mut Scene, strip: &Rect, name: &str, baseline: f64) {
    let style = Style {
        anchor: Anchor::End,
        ..TICK
    };
    scene.text(at(strip.x - 8.0, baseline), name, style);
}

/// Each run's users; where arms take turns, one label for neighbours with as many.
fn name_users(scene: &mut Scene, bands: &[Band], has_arms: bool, baseline: f64) {
    let is_one = |a: &Band, b: &Band| has_arms && a.manifest.users == b.manifest.users;
    let mut reached = f64::NEG_INFINITY;
    for group in bands.chunk_by(is_one) {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let mut text = first.manifest.users.to_string();
        if !has_arms && !first.run.has_telemetry {
            text.push_str(" ×");
        }
        let hint = format!("{}, {} users", first.run.id, first.manifest.users);
        let middle = (first.from + last.to) / 2.0;
        name(scene, text, hint, at(middle, baseline), &mut reached);
    }
}

/// Each run's arm: by its name where all have the room, or else by as much of it as tells it from
/// the others, with a key beside the strip.
fn name_arms(scene: &mut Scene, bands: &[Band], strip: &Rect, baselines: [f64; 2]) {
    let arm_of = |band: &Band| band.manifest.arm.clone().unwrap_or_default();
    let mut arms: Vec<String> = Vec::new();
    for arm in bands.iter().map(arm_of) {
        if !arm.is_empty() && !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    let fits = |band: &Band| width(&arm_of(band)) + 6.0 < band.to - band.from;
    let letters = if bands.iter().all(fits) {
        usize::MAX
    } else {
        draw_key(scene, &arms, strip, baselines)
    };
    let mut reached = f64::NEG_INFINITY;
    for band in bands {
        let arm = arm_of(band);
        let mut text: String = arm.chars().take(letters).collect();
        if !band.run.has_telemetry {
            text.push('×');
        }
        let middle = at((band.from + band.to) / 2.0, baselines[1]);
        let hint = format!("{}, {} users, {arm}", band.run.id, band.manifest.users);
        name(scene, text, hint, middle, &mut reached);
    }
}

/// Says what the letters stand for, on as many of the strip's lines as it takes; how many letters.
fn draw_key(scene: &mut Scene, arms: &[String], strip: &Rect, baselines: [f64; 2]) -> usize {
    let short = |arm: &String, letters| arm.chars().take(letters).collect::<String>();
    let longest = arms.iter().map(|arm| arm.chars().count()).max();
    let tells = |letters: &usize| {
        let mut all: Vec<String> = arms.iter().map(|arm| short(arm, *letters)).collect();
        all.sort_unstable();
        all.windows(2).all(|pair| pair[0] != pair[1])
    };
    let letters = (1..=longest.unwrap_or(1)).find(tells).unwrap_or(usize::MAX);
    let items: Vec<String> = arms
        .iter()
        .map(|arm| format!("{} = {arm}", short(arm, letters)))
        .collect();
    let style = Style {
        anchor: Anchor::Start,
        ..TICK
    };
    let place = |baseline| at(strip.right() + 9.0, baseline);
    let room = scene.width - strip.right() - 12.0;
    let one = items.join(", ");
    if width(&one) <= room {
        scene.text(place(baselines[1]), one, style);
    } else {
        let (first, second) = items.split_at(items.len().div_ceil(2));
        scene.text(place(baselines[0]), first.join(", "), style);
        scene.text(place(baselines[1]), second.join(", "), style);
    }
    letters
}

/// A label that has no room beside the one before is left out: better than one over the other.
fn name(scene: &mut Scene, text: String, hint: String, middle: Point, reached: &mut f64) {
    let half = width(&text) / 2.0;
    if middle.x - half >= *reached + 2.0 {
        scene.with_hint(hint, |scene| scene.text(middle, text, TICK));
        *reached = middle.x + half;
    }
}

fn width(text: &str) -> f64 {
    typeface::width(text, TICK.size, TICK.weight)
}
