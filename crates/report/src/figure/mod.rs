//! The figures: from cells and timelines to SVG, and from the very same SVG to PNG.
//!
//! A figure is a [`Scene`](scene::Scene): shapes whose colours are roles ([`theme::Ink`]), so that
//! one drawing serves the light file, the dark file and the page, where the reader's own setting
//! decides. Every title says what was found and is computed from the records alone.

mod ab;
mod bands;
mod curves;
mod frame;
mod h1;
mod h2;
mod h7;
mod h8;
mod label;
mod memory;
mod numbers;
mod png;
mod scale;
mod scatter;
mod scene;
mod stall_map;
mod strips;
mod svg;
mod theme;
mod typeface;

use crate::{Analysis, Note, evidence::RunEvidence, timeline::CpuTimeline};
use scene::{Paint, Scene};

pub(crate) use numbers::{change, milliseconds, percent, plain, repeats};
pub use png::FigureError;
pub use theme::Theme;
pub(crate) use theme::stylesheet;
pub(crate) use typeface::web_fonts;

/// A picture of the session.
#[derive(Clone, Debug)]
pub struct Figure {
    name: &'static str,
    title: String,
    scene: Scene,
}

impl Figure {
    /// Its name, which is also its files' stem.
    pub fn name(&self) -> &str {
        self.name
    }

    /// What it shows, as a finding.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The figure as a file of its own: light, its fonts inside.
    pub fn svg(&self) -> String {
        self.scene.svg(Paint::Standalone)
    }

    /// The figure for the page, whose style sheet holds colours and fonts.
    pub(crate) fn inline_svg(&self) -> String {
        self.scene.svg(Paint::Page)
    }

    /// The figure as a PNG of twice its size. The slow part: some tenths of a second.
    pub fn png(&self, theme: Theme) -> Result<Vec<u8>, FigureError> {
        png::render(&self.scene.svg(Paint::Fixed(theme)), self.name)
    }
}

/// The names of all figures that there are.
pub const FIGURES: [&str; 11] = [
    h2::IOWAIT.name,
    h2::PSI_IO.name,
    curves::NAME,
    h1::NAME,
    ab::LORA,
    ab::ARMS,
    h7::NAME,
    memory::EVICTION,
    h8::NAME,
    stall_map::NAME,
    memory::OVERVIEW,
];

/// Draws what can be drawn; what cannot becomes a note. Figures of other experiments are left out
/// without a word.
pub(crate) fn draw_all(
    analysis: &mut Analysis,
    runs: &[RunEvidence],
    timeline: Option<&CpuTimeline>,
) -> Vec<Figure> {
    let cells = &analysis.cells;
    let has_arms = cells.iter().any(|cell| cell.arm.is_some());
    let mut drawn = Vec::new();
    if !has_arms {
        drawn.push((h2::IOWAIT.name, h2::draw(cells, &h2::IOWAIT)));
        drawn.push((h2::PSI_IO.name, h2::draw(cells, &h2::PSI_IO)));
        drawn.push((curves::NAME, curves::draw(cells, &analysis.knees)));
    }
    drawn.push((h1::NAME, h1::draw(analysis)));
    drawn.push((ab::name(analysis), ab::draw(analysis)));
    drawn.push((h7::NAME, h7::draw(analysis)));
    drawn.push((memory::EVICTION, memory::eviction(analysis, runs)));
    drawn.push((h8::NAME, h8::draw(runs, timeline)));
    drawn.push((stall_map::NAME, stall_map::draw(analysis, runs)));
    drawn.push((memory::OVERVIEW, memory::overview(analysis, runs)));
    let mut figures = Vec::new();
    for (name, result) in drawn {
        match result {
            Ok(figure) => figures.push(figure),
            Err(NOTHING_TO_SHOW) => {}
            Err(why) => {
                let why = format!("figure {name} is not drawn: {why}");
                analysis.notes.push(Note::session(why));
            }
        }
    }
    figures
}

/// Why a figure is not drawn, in words.
type NotDrawn = &'static str;

/// The records are whole, and hold nothing of what the figure shows: no fault to speak of.
const NOTHING_TO_SHOW: NotDrawn = "";
