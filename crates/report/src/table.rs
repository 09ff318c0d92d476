//! The cells as one table, for the terminal and the page.

use crate::{
    Analysis, Cell, Estimate, HostFigure, Metric,
    figure::{percent, plain},
    stats::Percentile,
    tiers,
};
use std::fmt::Write as _;

/// What stands where there is no value.
pub(crate) const ABSENT: &str = "–";

/// A column's heading: what it holds, and its unit or part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// What: `TTFT p50`.
    pub name: &'static str,
    /// The unit: `ms`; empty where there is none.
    pub unit: &'static str,
}

/// Cells in rows, figures in columns, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The headings.
    pub header: Vec<Heading>,
    /// The rows, in the order of the cells; as many fields each as there are headings.
    pub rows: Vec<Vec<String>>,
}

const HEADER: [Heading; 11] = [
    heading("users", ""),
    heading("requests", ""),
    heading("failed", ""),
    heading("TTFT p50", "ms"),
    heading("TTFT p99", "ms"),
    heading("e2e p50", "ms [95 %]"),
    heading("e2e p99", "ms [95 %]"),
    heading("tokens", "/s"),
    heading("iowait", "%"),
    heading("PSI io", "%"),
    heading("read", "MB/s"),
];

pub(crate) const fn heading(name: &'static str, unit: &'static str) -> Heading {
    Heading { name, unit }
}

/// The session's cells as a table: for a terminal through [`Table::to_text`].
pub fn table(analysis: &Analysis) -> Table {
    of_cells(&analysis.cells)
}

/// The KV tiers' configurations as a table; absent where the session replays nothing.
pub fn tier_table(analysis: &Analysis) -> Option<Table> {
    tiers::table(&analysis.tiers)
}

pub(crate) fn of_cells(cells: &[Cell]) -> Table {
    let phases = cells.iter().any(|cell| cell.phase != cells[0].phase);
    let row = |cell| match phases {
        true => row(cell, format!("{} {}", cell.phase, name(cell))),
        false => row(cell, name(cell)),
    };
    Table {
        header: HEADER.to_vec(),
        rows: cells.iter().map(row).collect(),
    }
}

fn row(cell: &Cell, name: String) -> Vec<String> {
    let ttft = |percentile| point(cell.spread(Metric::Ttft).percentile(percentile));
    let e2e = |percentile| with_interval(cell.spread(Metric::E2e).percentile(percentile));
    let host = |figure| cell.host.get(figure);
    let share = |figure| maybe(host(figure).map(|it| percent(it).replace("\u{a0}%", "")));
    vec![
        name,
        cell.requests.total.to_string(),
        cell.requests.failed.total().to_string(),
        ttft(Percentile::P50),
        ttft(Percentile::P99),
        e2e(Percentile::P50),
        e2e(Percentile::P99),
        maybe(cell.output_tokens_per_s.map(plain)),
        share(HostFigure::IowaitPct),
        share(HostFigure::PsiIoSomePct),
        maybe(host(HostFigure::ReadMbS).map(plain)),
    ]
}

/// Users, the arm where there is one, and a star where the runs are invalid.
pub(crate) fn name(cell: &Cell) -> String {
    let arm = cell.arm.as_ref().map(|arm| format!(" {arm}"));
    let star = if cell.invalid { "*" } else { "" };
    format!("{}{}{star}", cell.users, arm.unwrap_or_default())
}

fn maybe(text: Option<String>) -> String {
    text.unwrap_or_else(|| ABSENT.to_owned())
}

fn point(estimate: Option<Estimate>) -> String {
    maybe(estimate.map(|it| plain(it.value)))
}

fn with_interval(estimate: Option<Estimate>) -> String {
    maybe(estimate.map(|it| match it.interval {
        Some([low, high]) => format!("{} [{}–{}]", plain(it.value), plain(low), plain(high)),
        None => plain(it.value),
    }))
}

impl Table {
    /// Aligned to the right, two lines of headings, two spaces between columns.
    pub fn to_text(&self) -> String {
        let width_of = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .header
            .iter()
            .enumerate()
            .map(|(column, heading)| {
                let fields = self.rows.iter().filter_map(|row| row.get(column));
                fields
                    .map(|field| width_of(field))
                    .chain([width_of(heading.name), width_of(heading.unit)])
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        let mut text = String::new();
        let mut line = |fields: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (field, width) in fields.zip(&widths) {
                // Writing to a String can't fail.
                let _ = write!(line, "{field:>width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&mut self.header.iter().map(|heading| heading.name));
        line(&mut self.header.iter().map(|heading| heading.unit));
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str));
        }
        text
    }
}
