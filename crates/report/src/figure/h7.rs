//! `h7_smart`: what the drive's own counters say, by users and arm.

use super::{
    Figure, NOTHING_TO_SHOW, NotDrawn,
    frame::{CAP, Head, TICK},
    numbers::{plain, sum_up},
    scene::{Anchor, Rect, Scene, Style, at, stroke},
    theme::Ink,
    typeface::{self, Weight},
};
use crate::{Analysis, SmartDelta};
use std::collections::BTreeMap;

pub(super) const NAME: &str = "h7_smart";

const WIDTH: f64 = 960.0;
const ROW: f64 = 30.0;
const LABEL: Style = Style {
    size: 12.5,
    weight: Weight::SemiBold,
    ink: Ink::Text,
    anchor: Anchor::Start,
};

/// One column: a figure of each run.
struct Column {
    name: &'static str,
    unit: &'static str,
    ink: Ink,
    of: fn(&SmartDelta) -> Option<f64>,
}

fn per_1000_tokens(delta: &SmartDelta, value: f64) -> Option<f64> {
    let tokens = delta.output_tokens.filter(|tokens| *tokens > 0.0)?;
    Some(value * 1000.0 / tokens)
}

const COLUMNS: [Column; 6] = [
    Column {
        name: "read",
        unit: "GB",
        ink: Ink::Blue,
        of: |it| Some(it.read_bytes / 1e9),
    },
    Column {
        name: "written",
        unit: "GB",
        ink: Ink::Sky,
        of: |it| Some(it.written_bytes / 1e9),
    },
    Column {
        name: "read commands",
        unit: "thousand",
        ink: Ink::Purple,
        of: |it| Some(it.read_commands / 1e3),
    },
    Column {
        name: "read",
        unit: "MB per 1,000 tokens",
        ink: Ink::Blue,
        of: |it| per_1000_tokens(it, it.read_bytes / 1e6),
    },
    Column {
        name: "written",
        unit: "MB per 1,000 tokens",
        ink: Ink::Sky,
        of: |it| per_1000_tokens(it, it.written_bytes / 1e6),
    },
    Column {
        name: "read commands",
        unit: "per 1,000 tokens",
        ink: Ink::Purple,
        of: |it| per_1000_tokens(it, it.read_commands),
    },
];

/// A cell: its name and its runs' differences.
struct Row<'a> {
    name: String,
    deltas: Vec<&'a SmartDelta>,
}

pub(super) fn draw(analysis: &Analysis) -> Result<Figure, NotDrawn> {
    let rows = rows(analysis);
    if rows.is_empty() {
        return Err(NOTHING_TO_SHOW);
    }
    let title = title(&rows);
    let head = Head::new(&title, &subtitle(&rows), WIDTH);
    let top = head.height() + 40.0;
    let mut scene = Scene::new(WIDTH, top + rows.len() as f64 * ROW + 24.0, title.clone());
    head.draw(&mut scene);
    let widths = rows
        .iter()
        .map(|row| typeface::width(&row.name, TICK.size, TICK.weight));
    let left = 24.0 + widths.fold(0.0, f64::max) + 14.0;
    let column = (WIDTH - left - 16.0) / COLUMNS.len() as f64;
    for (index, row) in rows.iter().enumerate() {
        let style = Style {
            anchor: Anchor::End,
            ink: Ink::Text,
            ..TICK
        };
        let baseline = top + (index as f64 + 0.5) * ROW + CAP * TICK.size / 2.0;
        scene.text(at(left - 12.0, baseline), row.name.clone(), style);
    }
    for (index, kind) in COLUMNS.iter().enumerate() {
        let area = Rect {
            x: left + index as f64 * column,
            y: top,
            width: column,
            height: rows.len() as f64 * ROW,
        };
        draw_column(&mut scene, kind, &rows, &area);
    }
    Ok(Figure {
        name: NAME,
        title,
        scene,
    })
}

fn rows(analysis: &Analysis) -> Vec<Row<'_>> {
    let mut cells: BTreeMap<(&str, u32, Option<&str>), Vec<&SmartDelta>> = BTreeMap::new();
    for run in &analysis.runs {
        if let (Some(manifest), Some(delta), true) = (&run.manifest, &run.smart, run.counts()) {
            let key = (
                manifest.phase.as_str(),
                manifest.users,
                manifest.arm.as_deref(),
            );
            cells.entry(key).or_default().push(delta);
        }
    }
    let row = |((_, users, arm), deltas): ((&str, u32, Option<&str>), _)| {
        let unit = if users == 1 { "user" } else { "users" };
        let arm = arm.map_or(String::new(), |arm| format!(", {arm}"));
        Row {
            name: format!("{users} {unit}{arm}"),
            deltas,
        }
    };
    cells.into_iter().map(row).collect()
}

fn draw_column(scene: &mut Scene, kind: &Column, rows: &[Row], area: &Rect) {
    let values: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| {
            row.deltas
                .iter()
                .filter_map(|delta| (kind.of)(delta))
                .collect()
        })
        .collect();
    let most = values.iter().flatten().fold(0.0, |a, &b| f64::max(a, b));
    scene.text(at(area.x, area.y - 22.0), kind.name, LABEL);
    let unit = Style {
        anchor: Anchor::Start,
        size: 11.5,
        ..TICK
    };
    scene.text(at(area.x, area.y - 7.0), kind.unit, unit);
    let (top, bottom) = (at(area.x, area.y), at(area.x, area.bottom()));
    scene.line(top, bottom, stroke(Ink::Axis, 1.2));
    for (index, values) in values.iter().enumerate() {
        let middle = area.y + (index as f64 + 0.5) * ROW;
        draw_bar(
            scene,
            kind,
            (&rows[index].name, values),
            most,
            (area, middle),
        );
    }
}

/// A bar of the mean, a tick a run, and the number.
fn draw_bar(
    scene: &mut Scene,
    kind: &Column,
    (name, values): (&str, &[f64]),
    most: f64,
    (area, middle): (&Rect, f64),
) {
    let baseline = middle + CAP * TICK.size / 2.0;
    let style = Style {
        anchor: Anchor::Start,
        ink: Ink::Text,
        ..TICK
    };
    if values.is_empty() {
        scene.text(at(area.x + 6.0, baseline), "–", style);
        return;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    // Room for the widest number beside the longest bar.
    let room = area.width - 58.0;
    let length = |value: f64| if most > 0.0 { room * value / most } else { 0.0 };
    let each: Vec<String> = values.iter().map(|value| plain(*value)).collect();
    let hint = format!(
        "{name}: {} {} (runs: {})",
        plain(mean),
        kind.unit,
        each.join(", ")
    );
    scene.with_hint(hint, |scene| {
        let bar = Rect {
            x: area.x,
            y: middle - 8.0,
            width: length(mean).max(0.5),
            height: 16.0,
        };
        scene.rect(bar, kind.ink);
        for value in values {
            let x = area.x + length(*value);
            scene.line(
                at(x, middle - 11.0),
                at(x, middle + 11.0),
                stroke(Ink::Text, 1.2),
            );
        }
    });
    let end = values.iter().fold(0.0, |a, &b| f64::max(a, length(b)));
    scene.text(at(area.x + end + 6.0, baseline), plain(mean), style);
}

fn title(rows: &[Row]) -> String {
    let mean = |row: &Row, of: fn(&SmartDelta) -> Option<f64>| {
        let values: Vec<f64> = row.deltas.iter().filter_map(|it| of(it)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let per_token = COLUMNS[3].of;
    let known = || {
        rows.iter()
            .filter_map(|row| Some((row, mean(row, per_token)?)))
    };
    let most = known().max_by(|a, b| a.1.total_cmp(&b.1));
    let least = known().min_by(|a, b| a.1.total_cmp(&b.1));
    match (least, most) {
        (Some((few, low)), Some((many, high))) if few.name != many.name => format!(
            "The drive reads {} MB per 1,000 tokens with {}, {} MB with {}",
            plain(low),
            few.name,
            plain(high),
            many.name
        ),
        (Some((row, value)), _) => {
            format!(
                "The drive reads {} MB per 1,000 tokens with {}",
                plain(value),
                row.name
            )
        }
        _ => "What the drive’s own counters say of each run".to_owned(),
    }
}

fn subtitle(rows: &[Row]) -> String {
    let runs = sum_up(rows.iter().map(|row| row.deltas.len())).unwrap_or_default();
    let thermal: u64 = rows
        .iter()
        .flat_map(|row| &row.deltas)
        .filter_map(|delta| delta.thermal_transitions)
        .sum();
    let mut text = format!(
        "SMART differences over whole runs, warm-up and drain included. Bars: mean of {runs} runs, ticks: each. A data unit is 512,000 bytes, GB are 10⁹. Counters are the whole drive’s, and some drives update them late. Tokens: all output tokens of the run."
    );
    if thermal > 0 {
        text.push_str(&format!(
            " The drive went into thermal management {thermal} times."
        ));
    }
    text
}
