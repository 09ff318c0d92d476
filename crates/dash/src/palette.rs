//! How things look, with colours and without.

use ratatui::style::{Color, Modifier, Style};
use std::env;

/// The ways to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// The terminal's own sixteen colours, which its owner has made readable.
    Colour,
    /// None: what a colour says, a mark, a word or reverse video says too.
    Mono,
}

impl Palette {
    /// As the environment wishes: `NO_COLOR`, not empty, means none (no-color.org).
    pub fn of_environment() -> Self {
        match env::var_os("NO_COLOR") {
            Some(wish) if !wish.is_empty() => Self::Mono,
            _ => Self::Colour,
        }
    }

    fn colour(self, colour: Color) -> Style {
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Mono => Style::new(),
        }
    }

    /// A section's head.
    pub(crate) fn head(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// What is read last.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A figure.
    pub(crate) fn figure(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Bars.
    pub(crate) fn bars(self) -> Style {
        self.colour(Color::Blue)
    }

    /// What is as it should be.
    pub(crate) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// What has failed.
    pub(crate) fn bad(self) -> Style {
        match self {
            Self::Colour => self.colour(Color::Red).add_modifier(Modifier::BOLD),
            Self::Mono => Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    /// What may become bad.
    pub(crate) fn warning(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }
}
